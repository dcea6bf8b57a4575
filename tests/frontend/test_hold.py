"""What cannot be taken back needs a second under a finger, a mouse or a key."""

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall

NOON = "2024-01-02T15:42:05Z"


@pytest.fixture
def still(open_wall: OpenWall) -> Wall:
    """A drawer on a page whose own clock only moves when told."""
    wall = open_wall(frozen_at=NOON)
    wall.card(1).click()
    wall.find("[data-drawer]").wait_for()
    return wall


def press_mouse(wall: Wall) -> None:
    box = wall.find("[data-action=stop]").bounding_box()
    assert box is not None
    wall.page.mouse.move(box["x"] + 20, box["y"] + 20)
    wall.page.mouse.down()


def assert_let_go_too_early(wall: Wall) -> None:
    expect(wall.find("[data-drawer] [role=alert]")).to_have_text("Hold the button for a second")
    wall.pass_seconds(2)
    assert wall.find("[data-holding], [data-pinpad]").count() == 0


def test_a_tap_stops_nothing(still: Wall) -> None:
    still.act("stop")
    assert_let_go_too_early(still)


def test_a_mouse_held_for_a_second(still: Wall) -> None:
    press_mouse(still)
    still.pass_seconds(0.99)
    assert still.find("[data-pinpad]").count() == 0
    still.pass_seconds(0.01)
    still.find("[data-pinpad]").wait_for()
    still.page.mouse.up()
    assert still.find("[data-dots]").get_attribute("data-dots") == "0"  # nor is a key pressed by it


def test_a_mouse_that_slides_off(still: Wall) -> None:
    press_mouse(still)
    still.pass_seconds(0.5)
    still.page.mouse.move(5, 5)
    assert_let_go_too_early(still)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_key_held_for_a_second(still: Wall, key: str) -> None:
    still.find("[data-action=stop]").focus()
    still.page.keyboard.down(key)
    still.pass_seconds(0.5)
    still.page.keyboard.down(key)  # as a held key repeats
    still.pass_seconds(0.5)
    still.find("[data-pinpad]").wait_for()
    still.page.keyboard.up(key)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_key_let_go_early(still: Wall, key: str) -> None:
    still.find("[data-action=stop]").focus()
    still.page.keyboard.press(key)
    assert_let_go_too_early(still)


def test_a_finger_held_for_a_second(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=NOON, has_touch=True)
    wall.card(1).tap()
    box = wall.find("[data-action=stop-sell]").bounding_box()
    assert box is not None
    fingers = wall.page.context.new_cdp_session(wall.page)
    at = {"x": box["x"] + 30, "y": box["y"] + 30}
    fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    wall.find("[data-holding]").wait_for()
    wall.pass_seconds(1)
    wall.find("[data-pinpad]").wait_for()
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert "sell its shares" in wall.find("[data-pinpad]").inner_text()


def test_a_card_that_goes_under_the_finger_is_not_stopped(still: Wall) -> None:
    press_mouse(still)
    still.api.cards = []
    still.poll()
    assert still.find("[data-drawer]").count() == 0
    still.pass_seconds(1)
    assert still.find("[data-pinpad]").count() == 0


@pytest.mark.parametrize("size", [(800, 480), (390, 844)])
def test_what_a_tap_is_told_covers_nothing_and_moves_no_button(
    open_wall: OpenWall, size: tuple[int, int]
) -> None:
    wall = open_wall(width=size[0], height=size[1])
    wall.card(1).click()
    wall.find("[data-tab]").first.wait_for()
    before = wall.find("[data-action=stop]").bounding_box()
    wall.act("stop")
    told = wall.find("[data-drawer] [role=alert]").bounding_box()
    assert told is not None
    assert wall.find("[data-action=stop]").bounding_box() == before
    for selector in (".exact", ".panes"):
        box = wall.find(f"[data-drawer] {selector}").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= told["y"]
