"""The PIN pad: own keys, dots, wrong tries, the lock-out, and the token that follows."""

from playwright.sync_api import Route

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import Answer, Call, FakeApi, error

TUESDAY = "2024-01-02T15:42:05Z"


def message(wall: Wall) -> str:
    return wall.find("[data-message]").text_content() or ""


def test_shows_dots_never_digits(wall: Wall) -> None:
    wall.act("add")
    wall.press("2718")
    pad = wall.find("[data-pinpad]")
    assert pad.locator("[data-dots]").text_content() == "●●●●○"
    assert "2718" not in (pad.inner_html())
    wall.find("[data-key=back]").click()
    assert pad.locator("[data-dots]").get_attribute("data-dots") == "3"


def test_asks_for_the_pin_before_the_dialog_and_once_only(wall: Wall) -> None:
    wall.act("add")
    assert wall.find("[data-add]").count() == 0
    wall.enter_pin()
    wall.find("[data-add]").wait_for()
    assert wall.find("[data-pinpad]").count() == 0
    wall.act("cancel")
    wall.act("add")
    wall.find("[data-add]").wait_for()
    assert len(wall.api.asked("POST", "validate-pin")) == 1
    assert wall.api.asked("POST", "validate-pin")[0].body == {"pin": "2020"}


def test_pin_is_asked_again_when_the_token_has_run_out(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-add]").wait_for()
    wall.act("cancel")
    wall.pass_seconds(121)
    wall.act("add")
    assert wall.find("[data-pinpad]").is_visible()


def test_a_pin_of_any_length(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.pin = "31415926"
    wall = open_wall(api)
    wall.act("add")
    wall.enter_pin("31415926")
    wall.find("[data-add]").wait_for()


def test_wrong_tries_count_down(wall: Wall) -> None:
    left = iter([4, 1])
    wall.api.replies["POST validate-pin"] = lambda _call: error(
        401, "wrong_pin", "Wrong PIN", valid=False, attempts_left=next(left)
    )
    wall.act("add")
    wall.enter_pin("1111")
    wall.find("text=Wrong PIN · 4 tries left").wait_for()
    assert wall.find("[data-dots]").get_attribute("data-dots") == "0"
    wall.enter_pin("2222")
    wall.find("text=Wrong PIN · 1 try left").wait_for()
    del wall.api.replies["POST validate-pin"]
    wall.enter_pin()
    wall.find("[data-add]").wait_for()


def locked_out(open_wall: OpenWall, seconds: int) -> Wall:
    """A wall whose pad has just been told to wait so long."""
    wall = open_wall(frozen_at=TUESDAY)
    body = {"error": "Too many wrong tries", "code": "locked_out"}
    wall.api.replies["POST validate-pin"] = Answer(body, 429, {"Retry-After": str(seconds)})
    wall.act("add")
    wall.enter_pin("1111")
    wall.settle()
    return wall


def test_lock_out_counts_down_and_outlives_the_pad(open_wall: OpenWall) -> None:
    wall = locked_out(open_wall, 25)
    assert message(wall) == "Locked · try again in 0:25"
    assert wall.find("[data-key='1']").is_disabled()
    assert wall.find("[data-action=submit]").is_disabled()
    wall.pass_seconds(10)
    assert message(wall) == "Locked · try again in 0:15"
    wall.act("cancel")
    wall.act("add")
    assert message(wall) == "Locked · try again in 0:15"
    wall.pass_seconds(15)
    assert message(wall) == ""
    assert wall.find("[data-key='1']").is_enabled()


def test_a_lock_that_a_new_pin_has_ended_is_over_at_the_wall_too(open_wall: OpenWall) -> None:
    """Who forgot it tries until it is locked for an hour, and sets another one at the keyboard."""
    wall = locked_out(open_wall, 3600)
    wall.act("cancel")
    wall.act("add")
    assert message(wall) == "Locked · try again in 60:00"
    wall.enter_pin("1111")
    wall.settle()
    assert wall.find("[data-key='1']").is_disabled()
    wall.act("cancel")
    del wall.api.replies["POST validate-pin"]
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-add]").wait_for()


def test_a_clock_set_back_makes_no_lock_longer(open_wall: OpenWall) -> None:
    wall = locked_out(open_wall, 25)
    wall.page.clock.set_system_time("2024-01-02T09:42:05Z")
    wall.pass_seconds(10)
    assert message(wall) == "Locked · try again in 0:15"


def test_cancels_itself_after_30_seconds_without_a_touch(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.act("add")
    wall.pass_seconds(20)
    wall.press("1")
    wall.pass_seconds(29)
    assert wall.find("[data-pinpad]").is_visible()
    wall.pass_seconds(1)
    assert wall.find("[data-pinpad]").count() == 0
    assert wall.find("[data-add]").count() == 0


def test_a_silent_server_is_not_a_wrong_pin(wall: Wall) -> None:
    wall.act("add")
    wall.api.offline = True
    wall.enter_pin()
    wall.find("text=The server does not answer").wait_for()


def test_physical_keyboard(wall: Wall) -> None:
    wall.act("add")
    for key in ("2", "0", "9", "Backspace", "2", "0", "Enter"):
        wall.page.keyboard.press(key)
    wall.find("[data-add]").wait_for()
    wall.page.keyboard.press("Escape")
    assert wall.find("[data-add]").count() == 0


def test_page_behind_is_out_of_reach(wall: Wall) -> None:
    wall.act("add")
    assert wall.find("[data-page]").evaluate("(node) => node.inert")
    wall.act("cancel")
    assert not wall.find("[data-page]").evaluate("(node) => node.inert")
    assert wall.page.evaluate("document.activeElement.dataset.action") == "add"


def test_token_the_server_refuses_is_asked_for_again(wall: Wall) -> None:
    refused = iter([True, False])

    def restarted(call: Call) -> Answer:
        if next(refused):
            return error(401, "pin_required", "The PIN is required")
        return Answer({"id": 1})

    wall.api.replies["DELETE algorithms/1?liquidate=false"] = restarted
    wall.card(1).click()
    wall.hold("stop")
    wall.enter_pin()
    wall.find("text=The PIN is needed once more").wait_for()
    wall.enter_pin()
    wall.find("[data-pinpad]").wait_for(state="detached")
    wall.settle()
    assert wall.find("[data-drawer]").count() == 0
    assert len(wall.api.asked("DELETE", "algorithms/1?liquidate=false")) == 2


def test_a_late_answer_to_a_cancelled_pad_leaves_the_next_one_alone(wall: Wall) -> None:
    held: list[Route] = []
    wall.page.route("**/api/validate-pin", lambda route: held.append(route))
    wall.act("add")
    wall.enter_pin()
    wall.settle()
    wall.act("cancel")
    wall.act("add")
    held[0].fulfill(json={"valid": True, "token": wall.api.token, "expires_in": 120})
    wall.page.unroute("**/api/validate-pin")
    wall.settle()
    assert wall.find("[data-pinpad]").is_visible()
    wall.enter_pin()
    wall.find("[data-add]").wait_for()


def test_nothing_keeps_the_pin_once_the_pad_is_closed(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.pin = "83619274"
    wall = open_wall(api)
    wall.act("add")
    wall.press(api.pin)
    assert api.pin in memory(wall)
    wall.act("submit")
    wall.find("[data-add]").wait_for()
    wall.settle()
    assert api.pin not in memory(wall)
    wall.act("cancel")


def memory(wall: Wall) -> str:
    """All that the page's scripts keep, strings included."""
    browser = wall.page.context.new_cdp_session(wall.page)
    pieces: list[str] = []
    browser.on("HeapProfiler.addHeapSnapshotChunk", lambda event: pieces.append(event["chunk"]))
    browser.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    browser.detach()
    return "".join(pieces)
