"""The page on another machine than the wall: the server lets it read only with the PIN."""

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import FakeApi

TUESDAY = "2024-01-02T15:42:05Z"


def locked_wall(open_wall: OpenWall, frozen_at: str | None = None) -> Wall:
    """A page whose first answer is that reading needs the PIN."""
    api = FakeApi()
    api.reads_need_pin = True
    api.silent = True  # the pad comes instead of what a wall shows first
    wall = open_wall(api, frozen_at=frozen_at)
    api.silent = False
    wall.poll()
    wall.find("[data-pinpad]").wait_for()
    return wall


def test_the_pin_pad_comes_first_and_then_the_cards(open_wall: OpenWall) -> None:
    wall = locked_wall(open_wall)
    assert wall.find("[data-card]").count() == 0
    assert wall.find("[data-pinpad] h2").text_content() == "See the cards"
    wall.enter_pin()
    wall.card(1).wait_for()
    assert wall.find("[data-pinpad], [data-banner]").count() == 0


def test_one_pin_is_enough_for_all_that_is_read_and_changed(open_wall: OpenWall) -> None:
    wall = locked_wall(open_wall)
    wall.enter_pin()
    wall.card(1).click()
    wall.find("[data-drawer]").wait_for()
    wall.settle()
    wall.act("cancel")
    wall.act("add")
    wall.find("[data-add]").wait_for()
    wall.settle()
    assert len(wall.api.asked("POST", "validate-pin")) == 1
    late = [call for call in wall.api.calls if call.path == "available-algorithms"]
    assert [call.headers["authorization"] for call in late] == ["Bearer secret-token"]


def test_a_closed_pad_leaves_a_banner_and_is_offered_again(open_wall: OpenWall) -> None:
    wall = locked_wall(open_wall, frozen_at=TUESDAY)
    wall.act("cancel")
    wall.settle()
    assert wall.find("[data-banner=locked]").text_content() == "⚠LOCKEDEnter the PIN first."
    wall.pass_seconds(5)
    wall.find("[data-pinpad]").wait_for()


def test_a_token_that_ran_out_is_asked_for_anew_over_the_old_cards(open_wall: OpenWall) -> None:
    wall = locked_wall(open_wall, frozen_at=TUESDAY)
    wall.enter_pin()
    wall.card(1).wait_for()
    wall.api.token = "another-token"
    wall.poll()
    wall.find("[data-pinpad]").wait_for()
    assert wall.card(1).count() == 1
    wall.act("cancel")
    wall.settle()
    assert "last data" in (wall.find("[data-banner=locked]").text_content() or "")
    wall.pass_seconds(5)
    wall.enter_pin()
    wall.find("[data-banner]").wait_for(state="detached")


def test_two_reads_at_once_ask_for_one_pin(open_wall: OpenWall) -> None:
    wall = locked_wall(open_wall)
    wall.poll()
    wall.poll()
    assert wall.find("[data-pinpad]").count() == 1
    wall.enter_pin()
    wall.card(1).wait_for()
    wall.settle()
    assert wall.find("[data-pinpad]").count() == 0
    assert len(wall.api.asked("POST", "validate-pin")) == 1


def test_on_the_wall_itself_nothing_is_asked(wall: Wall) -> None:
    assert wall.find("[data-pinpad]").count() == 0
    assert all("authorization" not in call.headers for call in wall.api.calls)
