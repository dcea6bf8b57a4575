"""Geometry at every size the wall may have: nothing clipped, overlapping or too small to tap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ViewportSize

from tests.frontend.axe import serious
from tests.frontend.conftest import CONTENT_POLICY, FRONTEND, OpenWall, Wall
from tests.frontend.states import WALKS, Walk, crowded
from tests.frontend.wire import CLOSED_MARKET, LISTED, Answer, FakeApi, card

SIZES = [(800, 480), (800, 450), (1280, 720), (1920, 1080), (390, 844)]
ARTEFACTS = Path(__file__).resolve().parents[2] / "test-artefacts" / "wall"
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
    for (const parent of root.querySelectorAll(".page, .facts, .facts > div, .row, .bar, .card, .layer, .columns, .form, .pad, .money, .keys, footer, header, .side, .panes, .tabs, .choices, .trouble, .choice, .choice .name, .preview, .preview .found")) {
        if (!shown(parent) || getComputedStyle(parent).display === "contents") continue;
        // What is laid over the rest on purpose says so by its position
        const children = [...parent.children].filter((node) => shown(node) && getComputedStyle(node).position !== "absolute");
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


def keep(wall: Wall, name: str, size: tuple[int, int]) -> None:
    """Keep a picture to be looked at."""
    width, height = size
    path = ARTEFACTS / f"{name}-{width}x{height}.png"
    wall.page.screenshot(path=path, animations="disabled")


def resize(wall: Wall, width: int, height: int) -> None:
    wall.page.set_viewport_size(ViewportSize(width=width, height=height))
    wall.settle()


@pytest.mark.parametrize(("walk", "api"), WALKS)
def test_every_state_fits_every_size_and_has_nothing_serious(
    open_wall: OpenWall, walk: Callable[[Wall], Walk], api: Callable[[], FakeApi]
) -> None:
    wall = open_wall(api())
    found: dict[str, Any] = {}
    for state in walk(wall):
        for size in SIZES:
            resize(wall, *size)
            keep(wall, state, size)
            found[f"{state} {size}"] = faults(wall)
            if size == (1920, 1080):  # where most of it is in view
                found[f"axe {state}"] = serious(wall)
        resize(wall, 800, 480)
    assert {state: faults for state, faults in found.items() if faults} == {}


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


# Of 844 and 740: what its browser's own bars leave of a phone
@pytest.mark.parametrize(("width", "height"), [(390, 664), (360, 612)])
def test_no_key_covers_what_is_typed_on_a_phone(
    open_wall: OpenWall, width: int, height: int
) -> None:
    api = FakeApi()
    bounds: dict[str, Any] = {"min": 2, "max": 200, "title": "average in minutes"}
    tuned = {"short": {"default": 20, **bounds}, "long": {"default": 50, **bounds}}
    known = [{**LISTED["algorithms"][0], "parameters": tuned}]
    api.replies["GET available-algorithms"] = Answer({"algorithms": known})
    wall = open_wall(api, width, height)
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-add]").wait_for()
    wall.find("[data-field=ticker]").click()
    wall.press("KO")
    assert seen(wall, "ticker") == "KO"
    wall.find("[data-field=capital]").click()
    wall.press("500")
    assert seen(wall, "capital") == "$500"
    assert seen(wall, "ticker") == "KO"
    wall.find("[data-field=parameters]").click()
    assert seen(wall, "parameters") == "short 20 · long 50"


def seen(wall: Wall, field: str) -> str:
    """What is read in the middle of a field's value: nothing where something else lies over it."""
    text: str = wall.find(f"[data-field={field}] output").evaluate(
        "(value) => { const { x, y, width, height } = value.getBoundingClientRect();"
        " const top = document.elementFromPoint(x + width / 2, y + height / 2);"
        " return value.contains(top) ? value.textContent : ''; }"
    )
    return text


def test_the_reports_figures_end_on_a_narrow_phone(open_wall: OpenWall) -> None:
    wall = open_wall(width=360, height=740)
    wall.find("[data-action=report]").click()
    figures = wall.find("[data-outcome].money-of")
    figures.first.wait_for()
    for figure in figures.all():
        box = figure.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 360 - 12  # the dialog's own edge


def test_nothing_lies_under_a_phones_notch() -> None:
    page = (FRONTEND / "index.html").read_text()
    assert "viewport-fit=cover" not in page  # it would need room for the notch on each side


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
