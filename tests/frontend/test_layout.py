"""Geometry at every size the wall may have: nothing clipped, overlapping or too small to tap."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import ViewportSize

from tests.frontend.conftest import CONTENT_POLICY, FRONTEND, OpenWall, Wall
from tests.frontend.wire import (
    CASH,
    CLOSED_MARKET,
    LISTED,
    Answer,
    FakeApi,
    bars,
    card,
    decision,
    error,
    spark,
)

SIZES = [(800, 480), (800, 450), (1280, 720), (1920, 1080), (390, 844)]
WHOLE_CARDS = {800: 2, 1280: 4, 1920: 4, 390: 1}

# What must be readable to its last character. A long algorithm name or reason may end in "…".
MEASURE = """(root) => {
    const faults = [];
    const { innerWidth: width, innerHeight: height } = window;
    const name = (node) => `${node.tagName}.${node.className.baseVal ?? node.className} ${node.textContent.slice(0, 30)}`;
    const page = document.documentElement;
    if (page.scrollWidth > width || page.scrollHeight > height) faults.push("the page scrolls");
    const shown = (node) => node.checkVisibility() && node.getClientRects().length > 0;
    for (const node of root.querySelectorAll(
        ".figure, .ticker, .value, .result strong, .worth span, .bar strong, .bar small, h2, output,"
        + " .key, .choice, .message, [data-message], dt, dd, .history span")) {
        if (!shown(node) || node.closest("[data-peek]")) continue;
        if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== "inline")
            faults.push("clipped: " + name(node));
    }
    for (const node of root.querySelectorAll("button")) {
        if (!shown(node)) continue;
        const box = node.getBoundingClientRect();
        if (box.width < 47.9 || box.height < 47.9) faults.push("too small: " + name(node));
    }
    for (const parent of root.querySelectorAll(".page, .facts, .facts > div, .row, .bar, .card, .layer, .columns, .form, .pad, .money, .keys, footer, header, .side, .panes, .tabs, .choices, .trouble, .choice, .choice .name")) {
        if (!shown(parent) || getComputedStyle(parent).display === "contents") continue;
        const children = [...parent.children].filter(shown);
        const frame = parent.getBoundingClientRect();
        children.forEach((child, index) => {
            const box = child.getBoundingClientRect();
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
                faults.push(`sticks out of ${name(parent)}: ` + name(child));
            for (const other of children.slice(index + 1)) {
                const b = other.getBoundingClientRect();
                if (box.left < b.right - 1 && b.left < box.right - 1 && box.top < b.bottom - 1 && b.top < box.bottom - 1)
                    faults.push(`overlap: ${name(child)} and ${name(other)}`);
            }
        });
    }
    return faults;
}"""  # noqa: E501


def faults(wall: Wall) -> list[str]:
    wall.page.evaluate(
        "document.querySelectorAll('[data-card]').forEach((node) =>"
        " node.toggleAttribute('data-peek', node.getBoundingClientRect().right > innerWidth))"
    )
    found: list[str] = wall.find("body").evaluate(MEASURE)
    return found


def crowded() -> FakeApi:
    """Long names, large figures, every state, the longest bar."""
    api = FakeApi()
    line = spark([10000 + (minute * 37) % 91 for minute in range(78)])
    long_name = "momentum_breakout_with_volume"
    reason = {
        "bar": "2024-01-02T15:41:00Z",
        "action": "buy",
        "shares": 57,
        "reason": "asked 58, " * 9,
    }
    api.cards = [
        card(
            1, 12345.67, ticker="BRK.B", algorithm_type=long_name, spark=line, last_decision=reason
        ),
        card(2, -99999.0, ticker="GOOGL", current_value=112345.67, initial_capital=1e6, spark=line),
        card(3, 0.0, ticker="F", state="paused", last_decision=None, spark=[]),
        card(
            4, -12.34, algorithm_type=long_name, state="frozen", price_stale=True, trade_count=1234
        ),
        card(5, 1.0, status="stopped", state="stopped"),
        card(6, 2.0),
    ]
    api.market.update(mode="simulated", speed=60)
    api.parts = {"orchestrator": {"status": "down", "message": "no heartbeat for 3 min; " * 3}}
    api.replies["GET algorithms/1/transactions"] = Answer(
        {
            "items": [
                {
                    "type": "sell",
                    "shares": 1210,
                    "price": 1150.25,
                    "timestamp": "2024-01-02T15:40:02Z",
                }
            ]
            * 30
        }
    )
    api.replies["POST algorithms"] = error(
        409, "not_enough", "12,000 is more than is available " * 2
    )
    return api


def with_pin_pad(wall: Wall) -> None:
    wall.act("add")
    wall.press("99999999")
    wall.act("submit")
    wall.find("text=tries left").wait_for()


def with_letters(wall: Wall) -> None:
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-option]").wait_for()
    wall.press("BRKBRKBRKB")


def with_refusal(wall: Wall) -> None:
    with_letters(wall)
    wall.find("[data-field=capital]").click()
    wall.press("999999999")
    wall.act("submit")
    wall.find("text=more than is available").wait_for()


def with_parameters(wall: Wall) -> None:
    parameters = {
        name: {"default": 20, "min": 2, "max": 200000, "title": f"{name} average in minutes"}
        for name in ("short", "long", "factor")
    }
    algorithm = {**LISTED["algorithms"][0], "parameters": parameters}
    wall.api.replies["GET available-algorithms"] = Answer({"algorithms": [algorithm]})
    wall.api.replies["GET account/cash"] = Answer({**CASH, "rule": "strict"})
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-parameter=long]").click()
    wall.press("123456789")


def with_chart(wall: Wall) -> None:
    wall.api.bars = bars(200)
    wall.card(1).click()
    wall.find("[data-chart] canvas").first.wait_for()


def with_trades(wall: Wall) -> None:
    with_chart(wall)
    wall.find("[data-tab=transactions]").click()
    wall.find("[data-drawer] li[data-type]").first.wait_for()


def with_decisions(wall: Wall) -> None:
    wall.api.decisions = [decision(n, "buy", 1210, "crossed above " * 9) for n in range(50, 0, -1)]
    with_chart(wall)
    wall.find("[data-tab=decisions]").click()
    wall.find("[data-drawer] li[data-type]").first.wait_for()


def with_trouble(wall: Wall) -> None:
    reason = "ZeroDivisionError: division by zero in line 31 of momentum_breakout_with_volume.py"
    wall.api.cards[3]["state_reason"] = reason
    wall.poll()
    wall.card(4).click()
    wall.find("[data-action=accept]").wait_for()
    wall.find("[data-tab]").first.wait_for()


def with_capital(wall: Wall) -> None:
    wall.card(1).click()
    wall.act("capital")
    wall.find("[data-capital] >> text=available").wait_for()
    wall.press("99999")


def with_menu(wall: Wall) -> None:
    wall.act("menu")
    wall.find("[data-menu]").wait_for()


def with_about(wall: Wall) -> None:
    with_menu(wall)
    wall.act("about")


def with_stop_all(wall: Wall) -> None:
    with_menu(wall)
    wall.act("stop-all")
    wall.act("stop-sell")
    wall.find("text=Hold the button").wait_for()


def with_cards(wall: Wall) -> None:
    """The page as it opens."""


STATES = [
    with_cards,
    with_pin_pad,
    with_letters,
    with_refusal,
    with_parameters,
    with_chart,
    with_trades,
    with_decisions,
    with_trouble,
    with_capital,
    with_menu,
    with_about,
    with_stop_all,
]


def resize(wall: Wall, width: int, height: int) -> None:
    wall.page.set_viewport_size(ViewportSize(width=width, height=height))
    wall.settle()


@pytest.mark.parametrize("state", STATES)
def test_every_state_fits_every_size(open_wall: OpenWall, state: Callable[[Wall], None]) -> None:
    wall = open_wall(crowded())
    state(wall)
    for size in SIZES:
        resize(wall, *size)
        assert faults(wall) == [], size


def test_whole_cards_and_a_peek_of_the_next(open_wall: OpenWall) -> None:
    wall = open_wall(crowded())
    for width, height in SIZES:
        resize(wall, width, height)
        edges: list[list[float]] = wall.page.evaluate(
            "[...document.querySelectorAll('[data-card]')].map((node) => {"
            " const box = node.getBoundingClientRect(); return [box.left, box.right]; })"
        )
        whole = [right for _, right in edges if right <= width]
        peeking = [left for left, right in edges if left < width - 8 and right > width]
        assert len(whole) == WHOLE_CARDS[width]
        assert len(peeking) == 1
        assert width - peeking[0] < 90


def test_profit_can_be_read_across_the_room(open_wall: OpenWall) -> None:
    """Pixels for capitals of 16 minutes of arc at 2 m on the display of that size."""
    api = FakeApi()
    api.cards = [card(number, -12345.0) for number in range(1, 9)]
    wall = open_wall(api)
    size_of = "(node) => parseFloat(getComputedStyle(node).fontSize)"
    for size, pixels in zip(SIZES, (66, 66, 60, 71, 60), strict=True):
        resize(wall, *size)
        assert wall.card(1).locator("[data-pnl]").evaluate(size_of) >= pixels, size
        assert faults(wall) == []


def test_any_number_of_cards(open_wall: OpenWall) -> None:
    wall = open_wall()
    for count in (0, 1, 2, 3, 60):
        wall.api.cards = [card(number, number * 100.0) for number in range(1, count + 1)]
        wall.poll()
        for size in SIZES:
            resize(wall, *size)
            assert faults(wall) == [], (count, size)


def test_the_longest_market_line_fits(wall: Wall) -> None:
    wall.api.market_open = False
    wall.api.cards = [card(number, -1111.11) for number in range(1, 10)]
    for mode in ("simulated", "paper", "live"):
        wall.api.market = {**CLOSED_MARKET, "mode": mode, "speed": 60}
        wall.poll()
        assert faults(wall) == []


def test_first_load_is_small_and_our_own(open_wall: OpenWall, address: str) -> None:
    weights: list[dict[str, Any]] = open_wall().page.evaluate(
        "performance.getEntriesByType('resource')"
        ".map((each) => ({url: each.name, size: each.encodedBodySize}))"
    )
    files = [each for each in weights if "/api/" not in each["url"]]
    assert all(each["url"].startswith(address) for each in files)
    page = (FRONTEND / "index.html").stat().st_size
    assert sum(each["size"] for each in files) + page < 100_000
    assert len(weights) + 1 <= 25


def test_pages_hold_under_the_strict_policy() -> None:
    """The policy is the server's; a page that needs less could hide a breach, so it is spelled out."""
    assert "unsafe" not in CONTENT_POLICY
    page = (FRONTEND / "index.html").read_text()
    assert "style=" not in page
    assert " on" not in page.replace(" one", "")
    assert "://" not in page
    for script in FRONTEND.glob("*.js"):
        text = script.read_text()
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text


def test_reduced_motion_moves_at_once(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(number) for number in range(1, 7)]
    wall = open_wall(api, reduced_motion="reduce")
    wall.act("next")
    assert wall.find("[data-strip]").evaluate("(node) => node.scrollLeft") > 0
    wall.api.cards = [card(number, 5.0) for number in range(1, 7)]
    wall.poll()
    assert wall.page.evaluate("document.getAnimations().length") == 0
