"""What the owner can do, each to its end: by finger, by mouse, and by the keyboard alone."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall
from tests.frontend.hands import Finger, Hand, Keyboard, Mouse
from tests.frontend.wire import LISTED, Answer, FakeApi, card, decision, error

HANDS = [Finger, Mouse, Keyboard]
AVERAGES = {
    name: {"default": usual, "min": 2, "max": 200, "title": f"{name} average"}
    for name, usual in (("short", 20), ("long", 50))
}


def take(open_wall: OpenWall, hand: type[Hand], api: FakeApi) -> Hand:
    return hand(open_wall(api, has_touch=hand is Finger))


@pytest.mark.parametrize("hand", HANDS)
def test_a_card_from_its_first_dollar_to_its_last(open_wall: OpenWall, hand: type[Hand]) -> None:
    api = FakeApi()
    algorithm = LISTED["algorithms"][0]
    tuned = {**algorithm, "name": "momentum", "parameters": AVERAGES}
    api.replies["GET available-algorithms"] = Answer({"algorithms": [algorithm, tuned]})
    api.replies["PATCH algorithms/99"] = Answer(card(99))
    api.replies["POST algorithms"] = error(409, "not_enough_cash", "Too much")
    api.decisions = [decision(number) for number in (2, 1)]
    owner = take(open_wall, hand, api)
    find = owner.wall.find

    owner.press("[data-action=add]")
    owner.enter("2020")
    owner.press("[data-option=momentum]")
    owner.type("NV")
    owner.press("[data-suggestion=NVDA]")
    owner.press("[data-step='5000']")
    owner.press("[data-field=parameters]")
    owner.press("[data-parameter=long]")
    owner.type("44")
    owner.press("[data-action=submit]")
    expect(find("[data-add] [data-message]")).to_have_text("Too much")
    del api.replies["POST algorithms"]
    owner.press("[data-field=capital]")
    owner.press("[data-key=back]")
    owner.press("[data-action=submit]")
    owner.wall.card(99).wait_for()
    wanted: dict[str, Any] = {"ticker": "NVDA", "algorithm_type": "momentum"}
    assert api.asked("POST", "algorithms")[1].body == {
        **wanted,
        "initial_capital": 500,
        "parameters": {"short": 20, "long": 44},
    }

    owner.press("[data-card='99']")
    owner.press("[data-tab=decisions]")
    expect(find("[data-drawer] li")).to_have_count(2)
    owner.press("[data-action=capital]")
    owner.press("[data-step='1000']")
    owner.press("[data-action=submit]")
    owner.hold("[data-action=stop-sell]")
    owner.wall.card(99).wait_for(state="detached")
    assert [call.body for call in api.asked("PATCH", "algorithms/99")] == [
        {"initial_capital": 1500}
    ]
    assert len(api.asked("DELETE", "algorithms/99?liquidate=true")) == 1


@pytest.mark.parametrize("hand", HANDS)
def test_a_card_is_stopped_and_keeps_its_shares(open_wall: OpenWall, hand: type[Hand]) -> None:
    owner = take(open_wall, hand, FakeApi())
    owner.press("[data-card='1']")
    owner.hold("[data-drawer] [data-action=stop]")
    owner.enter("2020")
    owner.wall.card(1).wait_for(state="detached")
    assert len(owner.wall.api.asked("DELETE", "algorithms/1?liquidate=false")) == 1


@pytest.mark.parametrize("hand", HANDS)
def test_every_card_is_stopped_and_keeps_its_shares(open_wall: OpenWall, hand: type[Hand]) -> None:
    api = FakeApi()
    api.replies["POST stop-all"] = Answer({"algorithms": [{"id": 1}]})
    owner = take(open_wall, hand, api)
    owner.press("[data-action=menu]")
    owner.press("[data-action=stop-all]")
    owner.hold("[data-action=stop]")
    api.cards = [card(1, status="stopped", state="stopped")]
    owner.enter("2020")
    expect(owner.wall.find("[data-stop-all]")).to_contain_text("Nothing trades. 125 shares kept.")
    owner.press("[data-action=cancel]")
    expect(owner.wall.card(1)).to_contain_text("STOPPED")
    assert [call.body for call in api.asked("POST", "stop-all")] == [{"liquidate": False}]


@pytest.mark.parametrize("hand", HANDS)
def test_everything_in_the_menu(open_wall: OpenWall, hand: type[Hand]) -> None:
    api = FakeApi()
    api.replies["PUT pin"] = Answer({"changed": True})
    api.replies["POST stop-all"] = Answer({"algorithms": [{"id": 1}]})
    owner = take(open_wall, hand, api)
    find = owner.wall.find
    for choice, shown in (("report", "Tue 2 Jan"), ("about", "MIT License")):
        owner.press("[data-action=menu]")
        owner.press(f"[data-menu] [data-action={choice}]")
        find(f"text={shown}").first.wait_for()
        owner.press("[data-action=cancel]")
    owner.press("[data-action=menu]")
    owner.press("[data-action=pin]")
    for pin, asked in (
        ("2020", "Change the PIN"),
        ("4815", "New PIN"),
        ("4815", "The new PIN again"),
    ):
        expect(find("[data-pinpad] h2")).to_have_text(asked)
        owner.enter(pin)
    expect(find("[data-note]")).to_contain_text("The new PIN is in force.")
    owner.press("[data-note] [data-action=submit]")
    assert [call.body for call in api.asked("PUT", "pin")] == [{"pin": "4815"}]

    owner.press("[data-action=menu]")
    owner.press("[data-action=stop-all]")
    api.cards = [card(1, status="stopped", state="stopping")]
    owner.hold("[data-action=stop-sell]")
    expect(find("[data-stop-all]")).to_contain_text("1 card and 125 shares to go.")
    api.cards = []
    owner.wall.poll()
    expect(find("[data-stop-all]")).to_contain_text("Flat")
    owner.press("[data-action=cancel]")
    assert [call.body for call in api.asked("POST", "stop-all")] == [{"liquidate": True}]


@pytest.mark.parametrize("hand", HANDS)
def test_a_held_card_goes_on_after_a_wrong_pin(open_wall: OpenWall, hand: type[Hand]) -> None:
    api = FakeApi()
    held: dict[str, Any] = {"state_reason": "three failures in a row"}
    api.cards = [card(1, state="paused", **held), card(2, state="frozen", ticker="KO", **held)]
    api.replies["POST algorithms/1/resume"] = Answer(card(1))
    api.replies["POST positions/KO/accept"] = Answer({"algorithms": []})
    owner = take(open_wall, hand, api)
    owner.press("[data-card='1']")
    owner.press("[data-action=resume]")
    owner.enter("1111")
    owner.wall.find("text=4 tries left").wait_for()
    owner.enter("2020")
    owner.wall.find("[data-drawer]").wait_for()
    owner.press("[data-drawer] [data-action=cancel]")
    owner.press("[data-card='2']")
    with owner.wall.page.expect_response("**/accept"):
        owner.press("[data-action=accept]")
    assert len(api.asked("POST", "algorithms/1/resume")) == 1
    assert len(api.asked("POST", "positions/KO/accept")) == 1
