"""The sheet of a card, and the two ways to stop it."""

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import Answer, FakeApi, card, error


def open_sheet(wall: Wall, number: int = 1) -> None:
    wall.card(number).click()
    wall.find("[data-drawer]").wait_for()
    wall.settle()


def test_stop_keeps_the_shares(wall: Wall) -> None:
    open_sheet(wall)
    assert "The 125 shares stay" in wall.find("[data-action=stop]").inner_text()
    wall.act("stop")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")
    assert wall.find("[data-drawer]").count() == 0
    sent = wall.api.asked("DELETE", "algorithms/1?liquidate=false")
    assert len(sent) == 1
    assert sent[0].headers["content-type"] == "application/json"


def test_stop_and_sell(wall: Wall) -> None:
    open_sheet(wall)
    assert "Sells the 125 shares" in wall.find("[data-action=stop-sell]").inner_text()
    wall.act("stop-sell")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")
    assert len(wall.api.asked("DELETE", "algorithms/1?liquidate=true")) == 1


def test_pin_cancelled_stops_nothing(wall: Wall) -> None:
    open_sheet(wall)
    wall.act("stop")
    wall.find("[data-pinpad]").wait_for()
    assert wall.find("[data-drawer]").count() == 0  # one in front at a time
    wall.act("cancel")
    assert wall.find("[data-drawer]").is_visible()
    assert wall.find("[data-action=stop]").is_enabled()
    assert [call for call in wall.api.calls if call.method == "DELETE"] == []


def test_a_refused_stop_says_why(wall: Wall) -> None:
    wall.api.replies["DELETE algorithms/1?liquidate=false"] = error(
        409, "nothing_to_stop", "The card has stopped already"
    )
    open_sheet(wall)
    wall.act("stop")
    wall.enter_pin()
    wall.find("text=The card has stopped already").wait_for()
    assert wall.find("[data-drawer]").is_visible()


def test_stopped_card_with_shares_can_only_be_sold(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, status="stopped", state="stopped", current_shares=40)]
    wall = open_wall(api)
    open_sheet(wall)
    assert not wall.find("[data-action=stop]").is_visible()
    assert "Sells the 40 shares" in wall.find("[data-action=stop-sell]").inner_text()
    wall.act("stop-sell")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")


def test_nothing_is_left_to_do_while_the_shares_are_being_sold(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [
        card(1, status="stopped", state="stopping", state_reason="Its shares are being sold.")
    ]
    wall = open_wall(api)
    open_sheet(wall)
    assert not wall.find("[data-action=stop]").is_visible()
    assert not wall.find("[data-action=stop-sell]").is_visible()
    assert "Its shares are being sold." in wall.find("[data-drawer]").inner_text()


def test_exact_figures_follow_the_polls(wall: Wall) -> None:
    open_sheet(wall)
    assert "+581.25" in wall.find("[data-drawer]").inner_text()
    wall.api.cards = [card(1, -1234.56)]
    wall.poll()
    assert "▼ −1,234.56" in wall.find("[data-drawer]").inner_text()
    wall.api.cards = []
    wall.poll()
    assert wall.find("[data-drawer]").count() == 0


def test_transactions_newest_first_in_local_time(wall: Wall) -> None:
    items = [
        {"id": 2, "type": "sell", "shares": 5, "price": 77.5, "timestamp": "2024-01-02T15:40:02Z"},
        {"id": 1, "type": "buy", "shares": 125, "price": 75.0, "timestamp": "2024-01-02T14:35:02Z"},
    ]
    wall.api.replies["GET algorithms/1/transactions"] = Answer({"items": items, "next": None})
    open_sheet(wall)
    rows = [" ".join(row.split()) for row in wall.find("[data-drawer] li").all_inner_texts()]
    assert rows == ["▼ SELL 5 @ 77.50 2 Jan, 08:40", "▲ BUY 125 @ 75.00 2 Jan, 07:35"]


def test_no_list_of_transactions_is_no_trouble(wall: Wall) -> None:
    open_sheet(wall)
    assert wall.find("[data-drawer] li").all_inner_texts() == ["no list of transactions here"]
    assert wall.find("[data-action=stop]").is_enabled()


def test_opens_by_keyboard_and_closes_itself_when_left_alone(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at="2024-01-02T15:42:05Z")
    wall.card(1).focus()
    wall.page.keyboard.press("Enter")
    assert wall.find("[data-drawer]").is_visible()
    wall.jump_seconds(120)
    assert wall.find("[data-drawer]").count() == 0
