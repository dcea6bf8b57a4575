"""The menu: stopping everything, another PIN, and what this is."""

from typing import Any

from playwright.sync_api import Route, expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import CLOSED_MARKET, Answer, FakeApi, card, error


def open_menu(wall: Wall, action: str) -> None:
    wall.act("menu")
    wall.find("[data-menu]").wait_for()
    wall.act(action)


def three_cards() -> FakeApi:
    api = FakeApi()
    api.cards = [card(1), card(2, current_shares=10), card(3, current_shares=0)]
    api.replies["POST stop-all"] = Answer({"algorithms": [{"id": 1}, {"id": 2}, {"id": 3}]})
    return api


def test_stop_all_sells_and_shows_how_it_goes(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    sheet = wall.find("[data-stop-all]")
    expect(sheet).to_contain_text("3 cards trading, 135 shares held.")
    expect(sheet).to_contain_text("Sells 135 shares at the market price now.")
    stopping: dict[str, Any] = {"status": "stopped", "state": "stopping"}
    wall.hold("stop-sell")
    wall.api.cards = [card(1, **stopping), card(2, current_shares=10, **stopping)]
    wall.enter_pin()
    expect(sheet).to_contain_text("2 cards and 135 shares to go.")
    assert [call.body for call in wall.api.asked("POST", "stop-all")] == [{"liquidate": True}]
    wall.api.cards = [card(2, current_shares=4, **stopping)]
    expect(sheet).to_contain_text("1 card and 4 shares to go.")
    expect(wall.find("[data-progress]")).to_have_attribute("value", "2")
    wall.api.cards = []
    wall.poll()
    expect(sheet).to_contain_text("Flat: nothing trades and nothing is held.")
    expect(wall.find("[data-progress]")).to_have_attribute("value", "3")
    wall.act("cancel")
    expect(wall.find(".hint")).to_be_visible()


def test_it_is_not_flat_while_a_buy_is_under_way(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    sheet = wall.find("[data-stop-all]")
    buying: dict[str, Any] = {"status": "stopped", "state": "stopping", "order_open": True}
    wall.api.cards = [card(3, current_shares=0, **buying)]
    wall.hold("stop-sell")
    wall.enter_pin()
    expect(sheet).to_contain_text("1 card to go: an order is under way.")
    wall.api.cards = [card(3, current_shares=7, status="stopped", state="stopping")]
    wall.poll()
    expect(sheet).to_contain_text("1 card and 7 shares to go.")
    wall.api.cards = []
    wall.poll()
    expect(sheet).to_contain_text("Flat")


def test_something_trades_while_a_buy_of_a_stopped_card_is_under_way(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    wall.api.cards = [card(3, current_shares=0, status="stopped", state="stopped", order_open=True)]
    wall.hold("stop")
    wall.enter_pin()
    expect(wall.find("[data-stop-all]")).to_contain_text("1 card still trading.")
    wall.api.cards = [card(3, current_shares=7, status="stopped", state="stopped")]
    wall.poll()
    expect(wall.find("[data-stop-all]")).to_contain_text("Nothing trades. 7 shares kept.")


def test_stop_all_keeps_the_shares(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    wall.hold("stop")
    wall.api.cards = [card(1, status="stopped", state="stopped")]
    wall.enter_pin()
    expect(wall.find("[data-stop-all]")).to_contain_text("Nothing trades. 125 shares kept.")
    assert [call.body for call in wall.api.asked("POST", "stop-all")] == [{"liquidate": False}]


def test_stop_all_after_the_close_waits_for_the_open(open_wall: OpenWall) -> None:
    api = three_cards()
    api.market_open, api.market = False, CLOSED_MARKET
    wall = open_wall(api)
    open_menu(wall, "stop-all")
    wall.hold("stop-sell")
    wall.api.cards = [card(1, status="stopped", state="stopping")]
    wall.enter_pin()
    expect(wall.find("[data-stop-all]")).to_contain_text("sold when the market opens.")


def test_a_tap_or_a_refusal_stops_nothing(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    wall.act("stop-sell")
    expect(wall.find("[data-message]")).to_have_text("Hold the button for a second")
    wall.api.replies["POST stop-all"] = error(500, "internal_error", "Oh dear")
    wall.hold("stop-sell")
    wall.enter_pin()
    wall.find("text=Oh dear").wait_for()
    wall.hold("stop-sell")
    expect(wall.find("[data-stop-all]")).to_be_visible()


def test_without_cards_there_is_nothing_to_stop(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = []
    wall = open_wall(api)
    open_menu(wall, "stop-all")
    expect(wall.find("[data-stop-all]")).to_contain_text("There is no card to stop.")
    assert not wall.find("[data-action=stop]").is_visible()
    assert not wall.find("[data-action=stop-sell]").is_visible()


def type_pin(wall: Wall, pin: str, title: str) -> None:
    expect(wall.find("[data-pinpad] h2")).to_have_text(title)
    wall.press(pin)
    wall.act("submit")


def test_the_pin_is_changed(wall: Wall) -> None:
    wall.api.replies["PUT pin"] = Answer({"changed": True})
    open_menu(wall, "pin")
    type_pin(wall, "2020", "Change the PIN")
    type_pin(wall, "123", "New PIN")
    expect(wall.find("[data-pinpad] [data-message]")).to_have_text("A PIN has 4 to 12 digits")
    type_pin(wall, "48151", "New PIN")
    type_pin(wall, "48152", "The new PIN again")
    expect(wall.find("[data-pinpad] [data-message]")).to_contain_text("another PIN than before")
    type_pin(wall, "48151", "The new PIN again")
    expect(wall.find("[data-note]")).to_contain_text("The new PIN is in force.")
    sent = wall.api.asked("PUT", "pin")
    assert [(call.body, call.headers["authorization"]) for call in sent] == [
        ({"pin": "48151"}, "Bearer secret-token")
    ]
    wall.act("submit")
    assert wall.find("[data-note]").count() == 0


def test_a_pin_not_typed_again_changes_nothing(wall: Wall) -> None:
    open_menu(wall, "pin")
    type_pin(wall, "2020", "Change the PIN")
    type_pin(wall, "4815", "New PIN")
    expect(wall.find("[data-pinpad] h2")).to_have_text("The new PIN again")
    wall.act("cancel")
    assert wall.find("[data-pinpad], [data-note]").count() == 0
    assert wall.api.asked("PUT", "pin") == []


def test_a_refused_pin_says_why(wall: Wall) -> None:
    wall.api.replies["PUT pin"] = error(400, "bad_input", "Expected a PIN of 4 to 12 digits.")
    open_menu(wall, "pin")
    type_pin(wall, "2020", "Change the PIN")
    type_pin(wall, "4815", "New PIN")
    type_pin(wall, "4815", "The new PIN again")
    expect(wall.find("[data-note]")).to_contain_text("Expected a PIN")


def test_about_names_version_and_licences(wall: Wall) -> None:
    open_menu(wall, "about")
    about = wall.find("[data-about]")
    expect(about).to_contain_text("1.0 · paper")
    expect(about).to_contain_text(
        "TradingView Lightweight Charts\u2122, Copyright (c) 2025 TradingView, Inc."
        " https://www.tradingview.com/"
    )
    assert about.locator("a").count() == 0


def test_the_menu_lists_every_problem(wall: Wall) -> None:
    wall.act("menu")
    expect(wall.find("[data-menu] li")).to_have_text(["✓ Nothing is wrong."])
    wall.api.parts = {
        "disk": {"status": "degraded", "message": "nearly full"},
        "orchestrator": {"status": "down", "message": "no heartbeat"},
    }
    wall.poll()
    expect(wall.find("[data-menu] li")).to_have_text(
        ["⚠ TRADER STOPPED no heartbeat", "⚠ DISK nearly full"]
    )


def test_a_silent_server_is_said_by_the_banner(wall: Wall) -> None:
    wall.page.route("**/menu.js", lambda route: route.abort())
    wall.api.offline = True
    wall.act("menu")
    wall.find("[data-banner=offline]").wait_for()


def test_two_taps_open_one_menu(wall: Wall) -> None:
    held: list[Route] = []
    wall.page.route("**/menu.js", lambda route: held.append(route))
    wall.act("menu")
    wall.act("menu")
    wall.settle()
    held[0].continue_()
    wall.find("[data-menu]").wait_for()
    wall.settle()
    wall.act("cancel")
    assert wall.find("[data-menu]").count() == 0


def test_a_pin_change_that_is_given_up_says_nothing(wall: Wall) -> None:
    wall.api.replies["PUT pin"] = error(401, "pin_required", "Enter the PIN first.")
    open_menu(wall, "pin")
    type_pin(wall, "2020", "Change the PIN")
    type_pin(wall, "4815", "New PIN")
    type_pin(wall, "4815", "The new PIN again")
    expect(wall.find("[data-pinpad] [data-message]")).to_have_text("The PIN is needed once more")
    wall.act("cancel")
    wall.settle()
    assert wall.find("[data-pinpad], [data-note]").count() == 0


def test_a_pin_change_without_an_answer_says_what_may_be(wall: Wall) -> None:
    open_menu(wall, "pin")
    type_pin(wall, "2020", "Change the PIN")
    type_pin(wall, "4815", "New PIN")
    wall.page.route("**/api/pin", lambda route: route.abort())
    type_pin(wall, "4815", "The new PIN again")
    expect(wall.find("[data-note]")).to_contain_text("the new PIN may be in force")


def test_before_the_first_answer_nothing_is_called_fine(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.silent = True
    wall = open_wall(api)
    wall.act("menu")
    expect(wall.find("[data-menu] li")).to_have_text(["Waiting for the terminal …"])
    wall.act("stop-all")
    expect(wall.find("[data-stop-all]")).to_contain_text("Waiting for the terminal …")


def test_stopping_all_says_when_its_figures_are_old(open_wall: OpenWall) -> None:
    wall = open_wall(three_cards())
    open_menu(wall, "stop-all")
    wall.api.offline = True
    wall.poll()
    expect(wall.find("[data-stop-all]")).to_contain_text("Old figures: 3 cards trading")
