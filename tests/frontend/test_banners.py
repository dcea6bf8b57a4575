"""The worst problem is in the banner while it lasts, and only then."""

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import CLOSED_MARKET, FakeApi, card, error

TUESDAY = "2024-01-02T15:42:05Z"


def part(status: str, message: str) -> dict[str, object]:
    return {"status": status, "message": message, "age": 1}


def banner(wall: Wall) -> tuple[str, str] | None:
    """Kind and text of the banner; None when there is none."""
    shown = wall.find("[data-banner]")
    if shown.count() == 0:
        return None
    return shown.get_attribute("data-banner") or "", " ".join(shown.inner_text().split())


def test_no_banner_while_all_is_well(wall: Wall) -> None:
    assert banner(wall) is None


def test_offline_says_since_when_and_dims_what_it_keeps(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.api.offline = True
    wall.pass_seconds(30)
    assert banner(wall) == ("offline", "⚠ OFFLINE last data 08:42:05, under a minute ago")
    wall.pass_seconds(515)
    assert banner(wall) == ("offline", "⚠ OFFLINE last data 08:42:05, 9 min ago")
    expect(wall.card(1).locator(".pnl")).to_have_css("color", "rgb(0, 149, 77)")
    expect(wall.card(1).locator(".value")).to_have_css("color", "rgb(153, 153, 153)")
    wall.api.offline = False
    wall.poll()
    assert banner(wall) is None
    expect(wall.card(1).locator(".pnl")).to_have_css("color", "rgb(0, 230, 118)")
    expect(wall.card(1).locator(".value")).to_have_css("color", "rgb(255, 255, 255)")


def test_nothing_in_the_bar_or_an_open_drawer_looks_live_while_offline(wall: Wall) -> None:
    wall.card(1).click()
    sheet = wall.find("[data-drawer]")
    expect(sheet.locator(".subtitle")).to_have_text("sma_crossover")
    wall.api.offline = True
    wall.poll()
    expect(sheet.locator(".subtitle")).to_have_text("old figures · sma_crossover")
    expect(sheet.locator(".pnl")).to_have_css("color", "rgb(0, 149, 77)")
    expect(sheet.locator("dd").first).to_have_css("color", "rgb(153, 153, 153)")
    wall.act("cancel")
    assert live_colours(wall) == []
    wall.api.offline = False
    wall.poll()
    assert live_colours(wall) == ["profit", "today", "open"]


def live_colours(wall: Wall) -> list[str]:
    """What in the status bar has the colour of a live gain."""
    found: list[str] = wall.page.evaluate(
        """() => [["profit", ".total strong"], ["today", "[data-today]"],
                  ["open", "[data-market]", "::before"]]
            .filter(([, selector, part]) =>
                getComputedStyle(document.querySelector(selector), part).color === "rgb(0, 230, 118)")
            .map(([name]) => name)"""
    )
    return found


@pytest.mark.parametrize(
    ("code", "kind"), [("ledger_gone", "ledger"), ("database_damaged", "databases")]
)
def test_a_ledger_that_is_gone_is_said_in_the_servers_words(
    open_wall: OpenWall, code: str, kind: str
) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    sentence = "The ledger was taken away while in use."
    wall.api.replies["GET algorithms"] = error(503, code, sentence)
    wall.pass_seconds(30)
    assert banner(wall) == (kind, f"⚠ {kind.upper()} {sentence}")
    wall.api.replies.clear()
    wall.poll()
    assert banner(wall) is None


def test_offline_from_the_start(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.offline = True
    wall = open_wall(api)
    assert banner(wall) == ("offline", "⚠ OFFLINE The server does not answer")
    assert wall.find("[data-card]").count() == 0
    assert "No cards" not in wall.find("[data-strip]").inner_text()
    api.offline = False
    wall.poll()
    assert banner(wall) is None
    assert wall.card(1).is_visible()


def test_any_part_that_is_not_well_gets_a_banner_and_the_worst_wins(wall: Wall) -> None:
    steps = [
        ("pin", part("degraded", "the PIN is still 2020"), "pin"),
        ("disk", part("degraded", "3 % free"), "disk"),
        ("backup", part("degraded", "last one 3 days ago"), "backup"),
        ("data", part("degraded", "newest bar 5 min old"), "data"),
        ("broker", part("down", "no answer for 2 min"), "broker"),
        ("orchestrator", part("down", "no heartbeat for 3 min"), "trader-stopped"),
    ]
    for count, (name, state, kind) in enumerate(steps):
        wall.api.parts[name] = state
        wall.poll()
        shown = banner(wall)
        assert shown is not None
        assert shown[0] == kind
        assert str(state["message"]) in shown[1]
        assert shown[1].endswith(f"+{count} more") or count == 0
    for name, _, _ in reversed(steps):
        shown = banner(wall)
        assert shown is not None
        wall.api.parts[name] = part("ok", "")
        wall.poll()
    assert banner(wall) is None


def test_a_part_that_is_down_outranks_one_that_is_unwell(wall: Wall) -> None:
    wall.api.parts["stream"] = part("degraded", "late")
    wall.api.parts["clock-drift"] = part("down", "off by a minute")
    wall.poll()
    assert banner(wall) == ("clock-drift", "⚠ CLOCK DRIFT off by a minute +1 more")


def test_a_clock_that_is_not_set_is_called_so(wall: Wall) -> None:
    wall.api.parts["clock"] = part("down", "The clock is 0:01:30 ahead of the broker's.")
    wall.poll()
    words = "⚠ CLOCK NOT SET The clock is 0:01:30 ahead of the broker's."
    assert banner(wall) == ("clock", words)


def test_a_trader_that_is_only_late_has_not_stopped(wall: Wall) -> None:
    wall.api.parts["orchestrator"] = part("degraded", "skipped a minute")
    wall.poll()
    assert banner(wall) == ("orchestrator", "⚠ TRADER skipped a minute")


def test_held_cards_are_named(wall: Wall) -> None:
    wall.api.cards = [card(1, ticker="KO", state="paused"), card(2, ticker="F", state="frozen")]
    wall.poll()
    assert banner(wall) == ("card-frozen", "⚠ CARD FROZEN not trading: F +1 more")
    wall.api.cards = [card(1, ticker="KO", state="paused")]
    wall.poll()
    assert banner(wall) == ("card-paused", "⚠ CARD PAUSED not trading: KO")
    wall.api.cards = [card(i, ticker="KO" if i < 3 else "F", state="paused") for i in (1, 2, 3)]
    wall.poll()
    assert banner(wall) == ("card-paused", "⚠ CARD PAUSED not trading: KO, F")
    wall.api.cards = [card(1)]
    wall.poll()
    assert banner(wall) is None


def test_the_end_of_the_calendar(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.market_open = False
    api.market = {**CLOSED_MARKET, "next_open": None, "next_close": None}
    shown = banner(open_wall(api))
    assert shown is not None
    assert shown[0] == "calendar-ended"
    assert "closed for good" in shown[1]


def test_simulated_is_a_badge_and_no_banner(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.market.update(mode="simulated", speed=60)
    assert banner(open_wall(api)) is None


def test_a_wall_that_cannot_be_shown_says_that_it_is_old(open_wall: OpenWall) -> None:
    """As of a newer server: what comes before the card that fails is new, the rest would look so."""
    wall = open_wall()
    wall.api.cards = [card(1, 581.25), card(2, 7.0)]
    wall.poll()
    wall.api.cards = [card(1, -3.0), card(2, -8.0, marks=5)]
    wall.poll()
    assert wall.card(2).locator("[data-pnl]").inner_text() == "+7.00"
    kind, sentence = banner(wall)
    assert kind == "page"
    assert "PAGE figures are old, the new ones cannot be shown: " in sentence
    assert wall.find("body[data-dim]").count() == 1
    wall.api.cards = [card(1, -3.0), card(2, -8.0)]
    wall.poll()
    assert wall.find("[data-banner]").count() == 0
    assert wall.card(2).locator("[data-pnl]").inner_text() == "−8.00"
