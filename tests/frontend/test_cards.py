"""What a card shows, and that an update changes nothing else."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import Call, OpenWall, Wall
from tests.frontend.wire import CLOSED_MARKET, FakeApi, card, minute, spark

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"


def showing(open_wall: OpenWall, *cards: dict[str, Any], **options: Any) -> Wall:
    api = FakeApi()
    api.cards = list(cards)
    return open_wall(api, **options)


OUTCOMES = [
    (581.25, "profit", "▲", "+581", "solid"),
    (-1204.5, "loss", "▼", "−1205", "dashed"),
    (0.0, "even", "■", "0.00", "solid"),
    (0.0049, "even", "■", "0.00", "solid"),
    (-0.0049, "even", "■", "0.00", "solid"),
    (0.005, "profit", "▲", "+0.01", "solid"),
    (-0.01, "loss", "▼", "−0.01", "dashed"),
]
COLOURS = {"profit": "rgb(0, 230, 118)", "loss": "rgb(255, 82, 82)", "even": "rgb(255, 255, 255)"}
BORDER = """(node) => {
    const style = getComputedStyle(node);
    return [style.borderTopColor, style.borderTopStyle, parseFloat(style.borderTopWidth)];
}"""


def test_outcome_shows_by_colour_glyph_sign_and_line(open_wall: OpenWall) -> None:
    wall = showing(open_wall, *(card(number, case[0]) for number, case in enumerate(OUTCOMES)))
    for number, (pnl, outcome, glyph, figure, line) in enumerate(OUTCOMES):
        shown = wall.card(number)
        assert shown.get_attribute("data-outcome") == outcome, pnl
        assert shown.locator(".pnl").text_content() == glyph + figure
        assert shown.locator("[data-pnl]").text_content() == figure
        assert float(shown.locator("[data-pnl]").get_attribute("data-pnl") or "nan") == pnl
        thickness = 2 if outcome == "even" else 6
        assert shown.evaluate(BORDER) == [COLOURS[outcome], line, thickness]


@pytest.mark.parametrize(
    ("amount", "figure"),
    [
        (5.81, "+5.81"),
        (99.99, "+99.99"),
        (99.995, "+100"),
        (-9999.4, "−9999"),
        (9999.5, "+10.0k"),
        (12345.67, "+12.3k"),
        (-99949, "−99.9k"),
        (99950, "+100k"),
        (999499, "+999k"),
        (999500, "+1.00M"),
        (-12345678, "−12.3M"),
        (123456789, "+123M"),
    ],
)
def test_profit_takes_six_characters_at_most(call: Call, amount: float, figure: str) -> None:
    shown = call("format", "compact", amount)
    assert shown == figure
    assert len(shown) <= 6


def test_card_says_all_there_is_to_say(open_wall: OpenWall) -> None:
    decision = {"bar": "2024-01-02T15:41:00Z", "action": "buy", "shares": 57, "reason": "crossed"}
    wall = showing(open_wall, card(7, 581.25, trade_count=1, last_decision=decision))
    text = wall.card(7).inner_text()
    for part in (
        "NVDA",
        "sma_crossover",
        "today +12.40",
        "+5.81%",
        "125 sh · 1 trade",
        "$10,581.25",
        "of $10,000",
        "08:41 BUY 57 · crossed",
    ):
        assert part in text
    spoken = wall.card(7).get_attribute("aria-label")
    assert spoken == "NVDA, sma_crossover, profit $581.25"


def test_spark_draws_every_point_and_break_even(open_wall: OpenWall) -> None:
    wall = showing(open_wall, card(1, 100.0, last_bar_at=minute(3)), card(2, 5.0, spark=[]))
    line = wall.card(1).locator(".spark-line").get_attribute("d") or ""
    assert line.count("L") == 3
    assert wall.card(1).locator(".spark-base").get_attribute("d") != ""
    assert wall.card(2).locator(".spark-line").get_attribute("d") == ""


def test_the_spark_ends_with_what_the_card_is_worth_now(open_wall: OpenWall) -> None:
    """Its points are up to five minutes old: the line would end in profit over a loss in red."""
    line = spark([10_000.0, 10_010.0, 10_020.0])
    wall = showing(open_wall, card(1, -5.0, spark=line, last_bar_at=minute(4)))
    drawn = wall.card(1).locator(".spark-line").get_attribute("d") or ""
    assert drawn.count("L") == 3
    base = (wall.card(1).locator(".spark-base").get_attribute("d") or "")[3:].split("H")[0]
    end = drawn.split("L")[-1].split(" ")
    assert float(end[0]) == 100 and float(end[1]) > float(base)  # further down


def test_state_and_old_prices_show_on_the_card(open_wall: OpenWall) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"state": "paused"}, "PAUSED"),
        ({"state": "frozen", "price_stale": True}, "FROZEN"),
        ({"state": "stopping"}, "STOPPING"),
        ({"status": "stopped", "state": "stopping"}, "STOPPING"),
        ({"status": "stopped", "state": "stopped"}, "STOPPED"),
        ({"price_stale": True}, "OLD PRICE"),
    ]
    wall = showing(open_wall, *(card(number, **case[0]) for number, case in enumerate(cases)))
    for number, (changes, chip) in enumerate(cases):
        shown = wall.card(number)
        assert shown.locator(".chip").text_content() == chip
        old = "price_stale" in changes
        expect(shown.locator(".pnl")).to_have_css(
            "color", "rgb(153, 153, 153)" if old else "rgb(255, 255, 255)"
        )


def test_a_card_that_is_held_says_why(open_wall: OpenWall) -> None:
    reason = "It failed three times in a row: ZeroDivisionError"
    wall = showing(open_wall, card(1, state="paused", state_reason=reason))
    assert wall.card(1).locator(".decision").text_content() == reason
    assert reason in wall.find("[data-banner]").inner_text()
    wall.card(1).click()
    assert reason in wall.find("[data-drawer]").inner_text()


def test_a_card_without_a_decision_says_when_it_will_be_asked(open_wall: OpenWall) -> None:
    new = card(1, last_decision=None)
    wall = showing(open_wall, new, card(2, last_decision=None, status="stopped", state="stopped"))
    said = wall.card(1).locator(".decision")
    expect(said).to_have_text("asked at the next full minute")
    expect(wall.card(2).locator(".decision")).to_have_text("never asked")
    wall.api.market_open, wall.api.market = False, CLOSED_MARKET
    wall.poll()
    expect(said).to_have_text("asked when the market opens")
    wall.api.cards = [card(1)]
    wall.poll()
    expect(said).to_have_text("08:41 HOLD · no cross")


def test_a_decision_of_another_day_says_of_which(open_wall: OpenWall) -> None:
    """A stopped card's price goes on, and its last decision would look like one of today."""
    stopped: dict[str, Any] = {"status": "stopped", "state": "stopped"}
    wall = showing(open_wall, card(1), card(2, last_bar_at="2024-03-15T15:41:00Z", **stopped))
    expect(wall.card(1).locator(".decision")).to_have_text("08:41 HOLD · no cross")
    expect(wall.card(2).locator(".decision")).to_have_text("2 Jan, 08:41 HOLD · no cross")


def test_stopped_card_stays_while_it_holds_shares(open_wall: OpenWall) -> None:
    stopped: dict[str, Any] = {"status": "stopped", "state": "stopped"}
    wall = showing(open_wall, card(1, **stopped), card(2, current_shares=0, **stopped), card(3))
    assert wall.card(1).is_visible()
    assert wall.card(2).count() == 0
    assert wall.find("[data-card]").count() == 2


def test_update_keeps_nodes_and_scroll(open_wall: OpenWall) -> None:
    wall = showing(open_wall, *(card(number, 1.0) for number in range(1, 9)))
    wall.find("[data-strip]").evaluate("(node) => { node.scrollLeft = 740; }")
    wall.page.wait_for_timeout(50)
    before = wall.find("[data-strip]").evaluate("(node) => node.scrollLeft")
    wall.page.evaluate(
        "document.querySelectorAll('[data-card]').forEach((node) => { node.mine = node.dataset.card; })"
    )
    wall.api.cards = [card(number, -number * 1.0) for number in range(1, 9)]
    wall.poll()
    assert wall.card(3).locator("[data-pnl]").inner_text() == "−3.00"
    assert wall.page.evaluate(
        "[...document.querySelectorAll('[data-card]')].every((node) => node.mine === node.dataset.card)"
    )
    assert wall.find("[data-strip]").evaluate("(node) => node.scrollLeft") == before > 0


def test_cards_come_go_and_change_places(open_wall: OpenWall) -> None:
    wall = showing(open_wall, card(1), card(2), card(3))
    wall.api.cards = [card(3), card(4), card(1)]
    wall.poll()
    order = "[...document.querySelectorAll('[data-card]')].map((node) => node.dataset.card)"
    assert wall.page.evaluate(order) == ["3", "4", "1"]
    wall.api.cards = []
    wall.poll()
    assert "No cards yet" in wall.find("[data-strip]").inner_text()
    wall.api.cards = [card(5)]
    wall.poll()
    assert wall.page.evaluate(order) == ["5"]
    assert "No cards yet" not in wall.find("[data-strip]").inner_text()


def test_an_answer_without_news_touches_no_node(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at="2024-01-02T15:42:05Z")
    wall.page.evaluate(
        "() => { window.touched = [];"
        " new MutationObserver((records) => window.touched.push(...records.map((each) => each.type)))"
        " .observe(document, {subtree: true, childList: true, attributes: true, characterData: true}); }"
    )
    wall.poll()
    assert wall.api.polls == 2
    assert wall.page.evaluate("window.touched") == []


def test_markup_from_the_server_shows_as_text(open_wall: OpenWall) -> None:
    decision = {"bar": None, "action": MARKUP, "shares": 0, "reason": MARKUP}
    hostile = card(
        1,
        ticker=MARKUP,
        algorithm_type=MARKUP,
        state=MARKUP,
        display_name=MARKUP,
        last_decision=decision,
    )
    wall = showing(open_wall, hostile)
    wall.api.parts = {MARKUP: {"status": "down", "message": MARKUP}}
    wall.poll()
    wall.card(1).click()
    wall.find("[data-drawer]").wait_for()
    assert wall.find("img, b").count() == 0
    assert wall.card(1).locator(".ticker").text_content() == MARKUP
    assert MARKUP in (wall.card(1).locator(".decision").text_content() or "")
    assert MARKUP in (wall.find("[data-banner]").text_content() or "")


def test_status_bar_sums_up(open_wall: OpenWall) -> None:
    wall = showing(open_wall, card(1, 581.25), card(2, -200.5))
    assert wall.find("[data-total]").inner_text() == "+380.75"
    assert wall.find("[data-today]").inner_text() == "+24.80"
    wall.api.cards = [card(1, 15810.25)]
    wall.poll()
    assert wall.find("[data-total]").inner_text() == "+15,810"
    assert wall.find("[data-total]").get_attribute("data-total") == "15810.25"


def test_the_total_is_the_servers_so_that_closed_cards_count(open_wall: OpenWall) -> None:
    wall = showing(open_wall, card(1, 50.0))
    wall.api.totals = {"pnl": -120.5, "today_pnl": -3.0, "closed": 2}
    wall.poll()
    said = " ".join(wall.find(".total").inner_text().split())
    assert said == "▼−120.50 total −3.00 today"
    assert wall.find(".total").get_attribute("data-total-outcome") == "loss"
    assert wall.card(1).get_attribute("data-outcome") == "profit"


def test_mode_is_unmistakable(wall: Wall) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"mode": "simulated", "speed": 60}, "SIMULATED 60x", "Tue 2 Jan 10:42 ET"),
        ({"mode": "simulated", "speed": 1}, "SIMULATED", "Tue 2 Jan 10:42 ET"),
        ({"mode": "paper"}, "PAPER", "no real money"),
        ({"mode": "live"}, "LIVE", "real money"),
    ]
    for market, name, note in cases:
        wall.api.market.update(market)
        wall.poll()
        assert wall.find("[data-mode]").get_attribute("data-mode") == market["mode"]
        assert wall.find("[data-mode-name]").text_content() == name
        assert wall.find("[data-mode-note]").text_content() == note


FRIDAY_NIGHT = "2024-01-05T21:30:00Z"


@pytest.mark.parametrize(
    ("market_open", "turn", "text", "opens"),
    [
        (True, "2024-07-03T17:00:00Z", "OPEN to 13:00 ET", ""),
        (True, None, "OPEN", ""),
        (False, "2024-01-08T14:30:00Z", "CLOSED · opens in 2 days", "Mon 09:30 ET"),
        (False, "2024-01-06T14:30:00Z", "CLOSED · opens in 16 h 58", "Sat 09:30 ET"),
        (False, "2024-07-01T13:30:00Z", "CLOSED · opens in 177 days", "Mon 1 Jul 09:30 ET"),
        (False, None, "CLOSED for good", ""),
    ],
)
def test_market_state(
    call: Call, market_open: bool, turn: str | None, text: str, opens: str
) -> None:
    market = {"now": FRIDAY_NIGHT, "next_open": turn, "next_close": turn}
    answer = {"market_open": market_open, "market": market}
    assert call("bar", "marketText", answer, 70) == text  # 70 s after the answer
    assert call("bar", "opensText", answer) == opens


def test_the_open_comes_nearer_without_an_answer(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards, api.market_open = [], False
    api.market = {**CLOSED_MARKET, "now": "2024-01-08T14:15:00Z"}
    wall = open_wall(api, frozen_at="2024-01-08T14:15:00Z")
    market = wall.find("[data-market]")
    assert market.inner_text() == "CLOSED · opens in 15 min"
    wall.pass_seconds(181)
    assert market.inner_text() == "CLOSED · opens in 11 min"
    api.market |= {"mode": "simulated", "speed": 10, "now": "2024-01-08T14:18:00Z"}
    wall.poll()
    wall.pass_seconds(31)
    assert market.inner_text() == "CLOSED · opens in 6 min"
