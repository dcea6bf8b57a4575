"""Moving along the strip by finger, mouse, button and key."""

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import FakeApi, card


def many(open_wall: OpenWall, count: int = 12, **options: object) -> Wall:
    api = FakeApi()
    api.cards = [card(number, number * 1.0) for number in range(1, count + 1)]
    return open_wall(api, **options)


def first_shown(wall: Wall) -> int:
    """The card at the strip's left edge once the strip has come to rest."""
    return int(
        wall.find("[data-strip]").evaluate(
            """async (strip) => {
                let before = -1;
                while (before !== strip.scrollLeft || strip.hasAttribute("data-dragging")) {
                    before = strip.scrollLeft;
                    await new Promise((done) => setTimeout(done, 80));
                }
                const left = strip.getBoundingClientRect().left;
                const shown = [...strip.children].find(
                    (card) => card.getBoundingClientRect().left >= left);
                return shown.dataset.card;
            }"""
        )
    )


def drag(wall: Wall, distance: int) -> None:
    mouse = wall.page.mouse
    mouse.move(400, 300)
    mouse.down()
    for step in range(1, 11):
        mouse.move(400 + distance * step // 10, 300)
    wall.page.wait_for_timeout(60)
    mouse.move(400 + distance, 301)  # at rest before it is let go: no flick
    mouse.up()


def test_mouse_drag_moves_the_strip_and_opens_nothing(open_wall: OpenWall) -> None:
    wall = many(open_wall)
    drag(wall, -370)
    assert first_shown(wall) == 2
    assert wall.find("[data-drawer]").count() == 0
    drag(wall, 370)
    assert first_shown(wall) == 1
    wall.card(1).click()
    assert wall.find("[data-drawer]").is_visible()


def test_finger_swipe_scrolls_and_snaps(open_wall: OpenWall) -> None:
    wall = many(open_wall, has_touch=True)
    touch = wall.page.context.new_cdp_session(wall.page)

    def send(kind: str, *points: int) -> None:
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": 300} for x in points]},
        )

    send("touchStart", 700)
    for x in range(680, 300, -20):
        send("touchMove", x)
        wall.page.wait_for_timeout(16)
    send("touchEnd")
    shown = first_shown(wall)
    assert shown > 1
    left = wall.card(shown).bounding_box()
    assert left is not None
    assert left["x"] - hours_shift(wall) == pytest.approx(12, abs=1)
    wall.card(shown).tap()
    assert wall.find("[data-drawer]").is_visible()


def test_buttons_turn_a_page_and_end_at_the_ends(open_wall: OpenWall) -> None:
    wall = many(open_wall, count=5)
    assert wall.find("[data-action=prev]").is_disabled()
    wall.act("next")
    assert first_shown(wall) == 3
    wall.act("next")
    assert first_shown(wall) == 4
    assert wall.find("[data-action=next]").is_disabled()
    wall.act("prev")
    assert first_shown(wall) == 2


def test_no_buttons_where_all_cards_fit(wall: Wall) -> None:
    assert not wall.find("[data-action=prev]").is_visible()
    assert not wall.find("[data-action=next]").is_visible()


def test_the_line_says_which_part_of_the_strip_is_in_view(open_wall: OpenWall) -> None:
    wall = many(open_wall, count=8)
    line = "(node) => [node, node.firstChild].map((each) => each.getBoundingClientRect())"

    def part() -> tuple[float, float]:
        whole, lit = wall.find("[data-position]").evaluate(line)
        return (lit["x"] - whole["x"]) / whole["width"], lit["width"] / whole["width"]

    window, room, before = wall.find("[data-strip]").evaluate(
        "(strip) => [strip.clientWidth, strip.scrollWidth, strip.scrollLeft]"
    )
    assert before == 0
    assert part() == pytest.approx((0, window / room), abs=0.01)
    wall.find("[data-strip]").evaluate("(strip) => strip.scrollTo({ left: strip.scrollWidth })")
    wall.find("[data-action=next][disabled]").wait_for()
    assert part() == pytest.approx((1 - window / room, window / room), abs=0.01)
    wall.api.cards = wall.api.cards[:2]
    wall.poll()
    expect(wall.find("[data-position]")).to_be_hidden()


def test_arrow_keys(open_wall: OpenWall) -> None:
    wall = many(open_wall)
    wall.page.keyboard.press("ArrowRight")
    assert first_shown(wall) == 2
    wall.page.keyboard.press("ArrowLeft")
    assert first_shown(wall) == 1
    wall.card(1).focus()
    for _ in range(4):
        wall.page.keyboard.press("ArrowRight")
    assert wall.page.evaluate("document.activeElement.dataset.card") == "5"
    first_shown(wall)
    box = wall.card(5).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 801


def test_first_card_keeps_its_gap_on_the_left(open_wall: OpenWall) -> None:
    wall = many(open_wall)
    box = wall.card(1).bounding_box()
    assert box is not None
    assert box["x"] - hours_shift(wall) == 12


def hours_shift(wall: Wall) -> int:
    """How far right the page stands in this hour: it moves against burn-in."""
    shift = wall.find("[data-page]").get_attribute("data-shift")
    assert shift is not None
    return int(shift.split("px")[0])
