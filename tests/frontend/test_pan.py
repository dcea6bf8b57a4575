"""A list in a dialog follows the mouse that drags it, as it follows a finger."""

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import LISTED, Answer, FakeApi, decision

SCROLLED = "(node) => Math.round(node.scrollTop)"


@pytest.fixture
def picking(open_wall: OpenWall) -> Wall:
    """The add dialog with more algorithms than it has room for."""
    api = FakeApi()
    listed = [{**LISTED["algorithms"][0], "name": f"idea_{number}"} for number in range(20)]
    api.replies["GET available-algorithms"] = Answer({"algorithms": listed})
    wall = open_wall(api)
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-option]").first.wait_for()
    wall.page.wait_for_function("performance.getEntriesByName(location.href + 'pan.js').length")
    wall.settle()
    return wall


def drag(wall: Wall, selector: str, distance: int) -> None:
    """Press the mouse on a place, move it down by `distance` pixels in steps, and let go."""
    box = wall.find(selector).first.bounding_box()
    assert box is not None
    x, y = box["x"] + 20, box["y"] + box["height"] / 2
    wall.page.mouse.move(x, y)
    wall.page.mouse.down()
    wall.page.mouse.move(x, y + distance, steps=8)
    wall.page.mouse.up()


def test_a_dragged_list_scrolls_and_picks_nothing(picking: Wall) -> None:
    options = picking.find(".options")
    drag(picking, "[data-option=idea_2]", -100)
    assert options.evaluate(SCROLLED) == 100
    drag(picking, "[data-option=idea_3]", 60)
    assert options.evaluate(SCROLLED) == 40
    assert picking.find("[aria-checked=true]").count() == 0


def test_a_mouse_that_hardly_moves_picks(picking: Wall) -> None:
    drag(picking, "[data-option=idea_1]", -5)
    expect(picking.find("[data-field=algorithm] output")).to_have_text("idea_1")


def test_the_hand_is_off_once_it_has_let_go(picking: Wall) -> None:
    drag(picking, "[data-option=idea_2]", -100)
    picking.page.mouse.move(500, 300)
    picking.page.mouse.move(500, 100)
    assert picking.find(".options").evaluate(SCROLLED) == 100


def test_the_decisions_of_a_card_are_dragged(wall: Wall) -> None:
    wall.api.decisions = [decision(number) for number in range(60, 0, -1)]
    wall.card(1).click()
    wall.find("[data-tab=decisions]").click()
    wall.find("[data-drawer] li").nth(50).wait_for(state="attached")
    wall.page.wait_for_function("performance.getEntriesByName(location.href + 'pan.js').length")
    wall.settle()
    drag(wall, "[data-drawer] li >> nth=4", -80)
    assert wall.find(".list").evaluate(SCROLLED) == 80
