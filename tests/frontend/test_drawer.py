"""The sheet's history, charts and what the owner can do with a card besides stopping it."""

import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.frontend.conftest import Call, OpenWall, Wall
from tests.frontend.wire import (
    Answer,
    FakeApi,
    bars,
    card,
    decision,
    error,
    minute,
    transaction,
)
from tests.frontend.wire import Call as Asked


def open_sheet(wall: Wall, tab: str | None = None) -> None:
    wall.card(1).click()
    wall.find("[data-tab]").first.wait_for()
    if tab:
        wall.find(f"[data-tab={tab}]").click()
    wall.settle()


def rows(wall: Wall) -> list[str]:
    found = wall.find("[data-drawer] li").all_inner_texts()
    return [" ".join(row.split()) for row in found]


def paged(items: list[dict[str, Any]], size: int, key: str) -> Any:
    """Answer pages of `size`, the cursor being the last item's key."""

    def reply(call: Asked) -> Answer:
        cursor = re.search(r"cursor=([^&]+)", call.path)
        last = cursor.group(1).replace("%3A", ":") if cursor else None
        keys = [str(item[key]) for item in items]
        first = keys.index(last) + 1 if last else 0
        page = items[first : first + size]
        more = first + size < len(items)
        return Answer({"items": page, "next": page[-1][key] if more else None})

    return reply


def test_transactions_newest_first_in_local_time(wall: Wall) -> None:
    wall.api.transactions = [transaction(2, "sell", 70, 5), transaction(1, "buy", 5, 1125)]
    open_sheet(wall, "transactions")
    assert rows(wall) == ["▼ SELL 5 @ 100.50 2 Jan, 08:40", "▲ BUY 1,125 @ 100.50 2 Jan, 07:35"]


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        (0.0001, "0.0001"),
        (0.98765, "0.9877"),
        (1.0, "1.00"),
        (712_345.5, "712,345.50"),
    ],
)
def test_a_price_below_a_dollar_is_exact(open_wall: OpenWall, price: float, shown: str) -> None:
    api = FakeApi()
    api.cards = [card(1, current_price=price)]
    api.transactions = [{**transaction(1, "buy", 5), "price": price}]
    wall = open_wall(api)
    open_sheet(wall, "transactions")
    assert rows(wall) == [f"▲ BUY 57 @ {shown} 2 Jan, 07:35"]
    assert f"price\n${shown}\n" in wall.find("[data-drawer] .facts").inner_text() + "\n"
    expect(wall.card(1).locator(".facts dd").first).to_have_text(f"${shown}")


def test_no_price_is_none_and_not_zero(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, current_price=0.0, last_bar_at=None)]
    wall = open_wall(api)
    open_sheet(wall)
    assert "price\n–\n" in wall.find("[data-drawer] .facts").inner_text()
    expect(wall.card(1).locator(".facts dd").first).to_have_text("–")


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_an_old_price_does_not_look_live(open_wall: OpenWall, state: str) -> None:
    api = FakeApi()
    api.cards = [card(1, 581.25, price_stale=True, state=state)]
    wall = open_wall(api)
    open_sheet(wall)
    expect(wall.find("[data-drawer] .subtitle")).to_contain_text("old price")
    expect(wall.find("[data-drawer] .pnl")).to_have_css("color", "rgb(0, 149, 77)")
    api.cards = [card(1, 581.25)]
    wall.poll()
    expect(wall.find("[data-drawer] .subtitle")).to_have_text("sma_crossover")
    expect(wall.find("[data-drawer] .pnl")).to_have_css("color", "rgb(0, 230, 118)")


def test_what_was_chosen_for_a_card_stands_beside_its_algorithm(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, parameters={"short": 5, "factor": 1.5})]
    wall = open_wall(api)
    open_sheet(wall)
    expect(wall.find("[data-drawer] .subtitle")).to_have_text(
        "sma_crossover · short 5 · factor 1.5"
    )


def test_a_correction_is_not_told_as_a_trade(wall: Wall) -> None:
    wall.api.transactions = [
        {**transaction(3, "sell", 71, 5), "label": "sold by hand"},
        {**transaction(2, "buy", 70, 70), "label": "split"},
        transaction(1, "buy", 5, 7),
    ]
    open_sheet(wall, "transactions")
    assert rows(wall) == [
        "SOLD BY HAND \u22125 @ 100.50 2 Jan, 08:41",
        "SPLIT +70 @ 100.50 2 Jan, 08:40",
        "▲ BUY 7 @ 100.50 2 Jan, 07:35",
    ]


def test_more_pages_follow_and_new_ones_come_on_top(wall: Wall) -> None:
    items = [transaction(number, "buy", number, number) for number in range(5, 0, -1)]
    wall.api.replies["GET algorithms/1/transactions"] = paged(items, 2, "id")
    open_sheet(wall, "transactions")
    assert [row.split()[2] for row in rows(wall)] == ["5", "4"]
    wall.act("more")
    expect(wall.find("[data-drawer] li")).to_have_count(4)
    first = wall.find("[data-drawer] li").nth(0)
    first.evaluate("(node) => { node.known = true; }")
    items.insert(0, transaction(6, "sell", 6, 6))
    wall.api.cards = [card(1, 581.25, trade_count=4)]
    wall.poll()
    expect(wall.find("[data-drawer] li")).to_have_count(5)
    assert [row.split()[2] for row in rows(wall)] == ["6", "5", "4", "3", "2"]
    assert wall.find("[data-drawer] li").nth(1).evaluate("(node) => node.known") is True
    wall.act("more")
    expect(wall.find("[data-drawer] li")).to_have_count(6)
    assert not wall.find("[data-action=more]").is_visible()


def test_decisions_with_their_reasons(wall: Wall) -> None:
    wall.api.decisions = [
        decision(70, "buy", 57, "crossed above"),
        {**decision(69), "verdict": "missing"},
    ]
    open_sheet(wall, "decisions")
    assert rows(wall) == [
        "2 Jan, 08:40 BUY 57 crossed above",
        "2 Jan, 08:39 HOLD no cross · data missing",
    ]


def test_an_empty_or_refused_list_says_so(wall: Wall) -> None:
    open_sheet(wall, "decisions")
    assert "no decisions yet" in wall.find(".pane").inner_text()
    wall.api.replies["GET algorithms/1/transactions"] = error(500, "internal_error", "Oh dear")
    wall.find("[data-tab=transactions]").click()
    wall.find("text=Oh dear").wait_for()
    assert wall.find("[data-action=stop]").is_enabled()


def test_a_reason_full_of_markup_is_text(wall: Wall) -> None:
    evil = "<img src=x onerror=alert(1)>"
    wall.api.decisions = [decision(70, reason=evil)]
    wall.api.cards = [card(1, ticker="<b>X", state="paused", state_reason=evil)]
    wall.poll()
    open_sheet(wall, "decisions")
    assert evil in rows(wall)[0]
    assert wall.find("[data-drawer] img, [data-drawer] b").count() == 0


def test_candles_are_drawn_by_the_library_only_once_a_drawer_opens(wall: Wall) -> None:
    loaded = "performance.getEntriesByName(location.href + 'lightweight-charts.js').length"
    wall.api.bars = bars(120)
    wall.api.transactions = [transaction(1, "buy", 5)]
    assert wall.page.evaluate(loaded) == 0
    open_sheet(wall)
    wall.find("[data-chart] canvas").first.wait_for()
    assert wall.page.evaluate(loaded) == 1
    assert "SMA 20" in wall.find(".legend").inner_text()
    assert wall.find("[data-drawer] a").count() == 0  # a link leads off the kiosk
    assert wall.api.asked("GET", "bars/NVDA?limit=440") != []
    wall.find("[data-tab=equity]").click()
    wall.find("text=no bars yet").wait_for()
    wall.api.equity = [[minute(0), 10000.0], [minute(1), 10004.0]]
    wall.find("[data-tab=equity]").click()
    wall.find("[data-chart] canvas").first.wait_for()
    wall.act("cancel")
    open_sheet(wall)
    wall.find("[data-chart] canvas").first.wait_for()
    assert wall.page.evaluate(loaded) == 1


def test_a_closed_drawer_leaves_nothing_behind(wall: Wall) -> None:
    wall.api.bars = bars(120)
    browser = wall.page.context.new_cdp_session(wall.page)
    kept = []
    for opened in range(7):
        open_sheet(wall)
        wall.find("[data-chart] canvas").first.wait_for()
        wall.act("cancel")
        if opened in (2, 6):
            wall.settle()
            for _ in range(3):
                browser.send("HeapProfiler.collectGarbage")
            counted = browser.send("Memory.getDOMCounters")
            kept.append((counted["nodes"], counted["jsEventListeners"]))
    assert kept[1] == pytest.approx(kept[0], abs=10)  # a drawer has over a hundred nodes


def test_a_new_bar_is_fetched_and_an_unchanged_poll_fetches_nothing(wall: Wall) -> None:
    wall.api.bars = bars(120)
    open_sheet(wall)
    wall.find("[data-chart] canvas").first.wait_for()
    wall.poll()
    assert len(wall.api.asked("GET", "bars/NVDA?limit=440")) == 1
    wall.api.cards = [card(1, 581.25, last_bar_at="2024-01-02T15:42:00Z")]
    wall.poll()
    wall.settle()
    assert len(wall.api.asked("GET", "bars/NVDA?limit=440")) == 2
    assert wall.find("[data-chart]").count() == 1


def test_a_slow_server_is_asked_for_bars_one_at_a_time(wall: Wall) -> None:
    held: list[Route] = []
    slow = [True]
    wall.page.route(
        "**/api/bars/**", lambda route: held.append(route) if slow else route.fallback()
    )
    wall.api.bars = bars(120)
    open_sheet(wall)
    for number in (42, 43, 44):
        wall.api.cards = [card(1, 581.25, last_bar_at=f"2024-01-02T15:{number}:00Z")]
        wall.poll()
    assert len(held) == 1
    slow.clear()
    held[0].fulfill(json={"ticker": "NVDA", "items": bars(119)})
    wall.find("[data-chart] canvas").first.wait_for()
    wall.settle()
    assert len(wall.api.asked("GET", "bars/NVDA?limit=440")) == 1  # what came meanwhile, once


@pytest.mark.parametrize("answer", [404, None])
def test_without_the_library_all_else_works(wall: Wall, answer: int | None) -> None:
    def refuse(route: Route) -> None:
        if answer is None:
            route.fulfill(body="", content_type="text/javascript")
        else:
            route.fulfill(status=answer)

    wall.page.route("**/lightweight-charts.js", refuse)
    wall.api.bars = bars(120)
    wall.api.transactions = [transaction(1, "buy", 5)]
    open_sheet(wall)
    wall.find("text=chart unavailable").wait_for()
    wall.find("[data-tab=transactions]").click()
    expect(wall.find("[data-drawer] li")).to_have_count(1)
    wall.hold("stop")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")


def test_figures_without_a_server(wall: Wall) -> None:
    wall.api.offline = True
    wall.page.route("**/panes.js", lambda route: route.abort())
    wall.card(1).click()
    wall.find("text=history unavailable").wait_for()
    assert "+581.25" in wall.find("[data-drawer]").inner_text()


def test_the_tabs_are_walked_by_arrow_keys(wall: Wall) -> None:
    open_sheet(wall)
    wall.find("[data-tab=chart]").focus()
    for name in ("equity", "transactions", "decisions", "chart"):
        wall.page.keyboard.press("ArrowRight")
        expect(wall.find(f"[data-tab={name}]")).to_be_focused()
        expect(wall.find("[aria-selected=true]")).to_have_attribute("data-tab", name)


def test_averages_by_hand(call: Call) -> None:
    closes = [{"timestamp": minute(n), "close": float(n)} for n in range(5)]
    assert call("charts", "average", closes, 3) == [
        [minute(2), 1],
        [minute(3), 2],
        [minute(4), 3],
    ]
    assert call("charts", "average", closes, 6) == []
    assert call("charts", "lengths", {"parameters": {"short": 5, "long": 9}}) == {
        "short": 5,
        "long": 9,
    }
    assert call("charts", "lengths", {}) == {"short": 20, "long": 50}


def test_chart_times_are_new_york_wall_time(call: Call) -> None:
    for stamp in ("2024-03-08T14:30:00Z", "2024-03-11T13:30:00Z"):  # winter, then summer time
        assert call("charts", "easternSeconds", stamp) % 86_400 == (9 * 60 + 30) * 60


def test_marks_sit_on_the_bar_of_their_minute(call: Call) -> None:
    session = [{"timestamp": minute(0)}, {"timestamp": minute(3)}]
    found = call(
        "charts", "markers", session, [transaction(2, "sell", 4), transaction(1, "buy", 0)]
    )
    at = [call("charts", "easternSeconds", minute(number)) for number in (0, 3)]
    assert [(each["shape"], each["time"], each["text"]) for each in found] == [
        ("arrowUp", at[0], "57"),
        ("arrowDown", at[1], "57"),
    ]
    early = {**transaction(1, "buy", 0), "timestamp": "2024-01-01T00:00:00Z"}
    assert call("charts", "markers", session, [early]) == []
    before_the_first_bar = {**transaction(1, "buy", 0), "timestamp": "2024-01-03T14:30:02Z"}
    assert call("charts", "markers", session, [before_the_first_bar]) == []
    assert (
        call("charts", "markers", session, [{**transaction(2, "buy", 4), "label": "split"}]) == []
    )


def test_a_paused_card_goes_on(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, state="paused", state_reason="three failures in a row")]
    api.replies["POST algorithms/1/resume"] = Answer(card(1))
    wall = open_wall(api)
    open_sheet(wall)
    assert "three failures" in wall.find("[data-drawer]").inner_text()
    wall.act("resume")
    with wall.page.expect_response("**/resume"):
        wall.enter_pin()
    api.cards = [card(1)]
    expect(wall.find("[data-action=resume]")).to_be_hidden()
    sent = api.asked("POST", "algorithms/1/resume")
    assert [each.headers["authorization"] for each in sent] == ["Bearer secret-token"]


def test_the_brokers_figure_is_accepted(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, ticker="BRK.B", state="frozen", state_reason="broker has 7, ledger 10")]
    api.replies["POST positions/BRK.B/accept"] = error(409, "not_frozen", "It is not frozen")
    wall = open_wall(api)
    open_sheet(wall)
    assert not wall.find("[data-action=resume]").is_visible()
    wall.act("accept")
    wall.enter_pin()
    wall.find("text=It is not frozen").wait_for()
    api.replies["POST positions/BRK.B/accept"] = Answer({"algorithms": []})
    api.cards = [card(1, ticker="BRK.B")]
    wall.act("accept")
    expect(wall.find("[data-action=accept]")).to_be_hidden()


def test_the_capital_is_changed(wall: Wall) -> None:
    wall.api.replies["PATCH algorithms/1"] = Answer(card(1))
    open_sheet(wall)
    wall.act("capital")
    dialog = wall.find("[data-capital]")
    dialog.wait_for()
    expect(dialog).to_contain_text("up to $35,000")
    expect(dialog).to_contain_text("down to $9,073")  # 10,000 less the free 927.50
    wall.find("[data-step=max]").click()
    expect(dialog.locator("output")).to_have_text("$35,000")
    wall.find("[data-clear]").click()
    wall.act("submit")
    expect(dialog).to_contain_text("Give it some capital")
    wall.press("12000")
    wall.act("submit")
    wall.enter_pin()
    wall.find("[data-drawer]").wait_for()
    assert [each.body for each in wall.api.asked("PATCH", "algorithms/1")] == [
        {"initial_capital": 12000}
    ]


def test_a_refused_capital_keeps_what_was_typed(wall: Wall) -> None:
    wall.api.replies["PATCH algorithms/1"] = error(409, "not_enough_cash", "Too much")
    open_sheet(wall)
    wall.act("capital")
    wall.find("[data-capital]").wait_for()
    wall.page.keyboard.press("Backspace")
    wall.page.keyboard.type("5")
    wall.page.keyboard.press("Enter")
    wall.enter_pin()
    wall.find("text=Too much").wait_for()
    expect(wall.find("[data-capital] output")).to_have_text("$10,005")
