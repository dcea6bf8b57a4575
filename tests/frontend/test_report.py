"""The day's report on the page: from the menu or by a tap on the total, with the days before it."""

from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import REPORT, Answer, Call, FakeApi, error


def facts(wall: Wall) -> dict[str, str]:
    rows = wall.find("[data-report] .facts > div").all_inner_texts()
    pairs = [row.split("\n") for row in rows]
    return {pair[0]: pair[-1] for pair in pairs}


def test_says_what_was_made_and_how_well_the_minutes_were_kept(wall: Wall) -> None:
    wall.find(".bar [data-action=report]").click()
    panel = wall.find("[data-report]")
    expect(panel.locator("h2")).to_have_text("Tue 2 Jan")
    expect(panel.locator(".subtitle")).to_have_text("session to 16:00 ET")
    expect(panel.locator("header .pnl")).to_have_text("▼ −12.50")
    assert facts(wall) == {
        "minutes kept": "388 of 390",
        "decisions": "780 of 780",
        "woken late by": "12 ms, most 80",
        "bars in time": "776",
        "bars late": "2",
        "bars missing": "0",
        "orders": "3 filled, 1 rejected",
        "bought": "114 shares, $11,457.00",
        "sold": "nothing",
        "slippage": "2.99 bp, +3.42",
        "ledger and broker": "agree",
        "restarts": "1",
    }
    expect(panel.locator(".warning")).to_have_text(["388 of 390", "2", "1"])
    expect(panel.locator(".earnings li:not(.head)")).to_have_text(
        ["NVDA57 sh+20.25+73.75", "KO0 sh−32.75−12.50"]
    )
    expect(panel.locator(".events li")).to_have_text(
        ["08:02Trading went on.", "08:10ValueError: <b>no"]
    )


def test_older_days_are_a_tap_away(wall: Wall) -> None:
    older = {**REPORT, "day": "2023-12-29", "open": "2023-12-29T14:30:00Z", "drift": [{"id": 1}]}
    days = ["2024-01-02", "2023-12-29"]

    def reply(call: Call) -> Answer:
        return Answer({"report": older if "2023" in call.path else REPORT, "days": days})

    wall.api.replies["GET report"] = reply
    wall.act("menu")
    wall.find("[data-menu] [data-action=report]").click()
    title = wall.find("[data-report] h2")
    expect(title).to_have_text("Tue 2 Jan")
    assert wall.find("[data-action=newer]").is_disabled()
    wall.act("older")
    expect(title).to_have_text("Fri 29 Dec")
    assert wall.find("[data-action=older]").is_disabled()
    assert facts(wall)["ledger and broker"] == "differ: 1 card"
    wall.page.keyboard.press("ArrowRight")
    expect(title).to_have_text("Tue 2 Jan")
    wall.page.keyboard.press("Escape")
    expect(wall.find("[data-report]")).to_have_count(0)


def test_a_session_that_goes_on_is_told_so_far(open_wall: OpenWall) -> None:
    api = FakeApi()
    unfinished = {**REPORT, "made_at": "2024-01-02T18:42:05Z"}
    api.replies["GET report"] = Answer({"report": unfinished, "days": []})
    wall = open_wall(api)
    wall.find(".bar [data-action=report]").click()
    expect(wall.find("[data-report] .subtitle")).to_have_text("so far: to 13:42 of 16:00 ET")
    assert wall.find("[data-action=older]").is_disabled()


def test_a_report_that_cannot_be_had_says_why(wall: Wall) -> None:
    wall.api.replies["GET report"] = error(404, "not_found", "No session has begun.")
    wall.find(".bar [data-action=report]").click()
    expect(wall.find("[data-report]")).to_contain_text("No session has begun.")
