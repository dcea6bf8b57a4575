"""The sheet of a card, and the two ways to stop it."""

from playwright.sync_api import Route, expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import CLOSED_MARKET, Answer, FakeApi, card, error


def open_sheet(wall: Wall, number: int = 1) -> None:
    wall.card(number).click()
    wall.find("[data-drawer]").wait_for()
    wall.settle()


def test_stop_keeps_the_shares(wall: Wall) -> None:
    open_sheet(wall)
    assert "The 125 shares stay" in wall.find("[data-action=stop]").inner_text()
    wall.hold("stop")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")
    assert wall.find("[data-drawer]").count() == 0
    sent = wall.api.asked("DELETE", "algorithms/1?liquidate=false")
    assert len(sent) == 1
    assert sent[0].headers["content-type"] == "application/json"


def test_stop_and_sell(wall: Wall) -> None:
    open_sheet(wall)
    assert "Sells the 125 shares" in wall.find("[data-action=stop-sell]").inner_text()
    wall.hold("stop-sell")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")
    assert len(wall.api.asked("DELETE", "algorithms/1?liquidate=true")) == 1


def test_pin_cancelled_stops_nothing(wall: Wall) -> None:
    open_sheet(wall)
    wall.hold("stop")
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
    wall.hold("stop")
    wall.enter_pin()
    wall.find("text=The card has stopped already").wait_for()
    assert wall.find("[data-drawer]").is_visible()


def test_the_wall_shows_at_once_what_a_lost_answer_did(open_wall: OpenWall) -> None:
    """By night the next poll is an hour away, and until then the card would stand there as running."""
    wall = open_wall()
    wall.api.market_open, wall.api.market = False, CLOSED_MARKET
    wall.poll()

    def lose(route: Route) -> None:
        wall.api.cards = [card(2, 5.0)]
        route.abort()

    wall.page.route("**/api/algorithms/1?*", lose)
    open_sheet(wall)
    wall.hold("stop")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")
    assert wall.card(2).is_visible()
    assert wall.find("[data-drawer]").count() == 0


def test_a_lost_answer_is_told_as_what_it_is(wall: Wall) -> None:
    wall.page.route("**/api/algorithms/1?*", lambda route: route.abort())
    open_sheet(wall)
    wall.hold("stop")
    wall.enter_pin()
    expect(wall.find("[data-drawer] [data-message]")).to_have_text(
        "The server does not answer: see whether it was done before trying again"
    )


def test_a_refusal_brings_the_wall_up_to_date(wall: Wall) -> None:
    """Somebody has stopped it with a phone."""

    def refuse(_call: object) -> Answer:
        wall.api.cards = [card(1, 581.25, status="stopped", state="stopped")]
        return error(409, "nothing_to_do", "NVDA is stopped already.")

    wall.api.replies["DELETE algorithms/1?liquidate=false"] = refuse
    open_sheet(wall)
    wall.hold("stop")
    wall.enter_pin()
    wall.find("text=NVDA is stopped already.").wait_for()
    expect(wall.find("[data-drawer] .subtitle")).to_have_text("stopped · sma_crossover")
    expect(wall.find("[data-action=stop]")).to_be_hidden()


def test_stopped_card_with_shares_can_only_be_sold(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [card(1, status="stopped", state="stopped", current_shares=40)]
    wall = open_wall(api)
    open_sheet(wall)
    assert not wall.find("[data-action=stop]").is_visible()
    assert "Sells the 40 shares" in wall.find("[data-action=stop-sell]").inner_text()
    wall.hold("stop-sell")
    wall.enter_pin()
    wall.card(1).wait_for(state="detached")


def test_nothing_is_left_to_do_while_the_shares_are_being_sold(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.cards = [
        card(
            1,
            status="stopped",
            state="stopping",
            state_reason="Its shares are sold: at once, or when the market opens.",
        )
    ]
    wall = open_wall(api)
    open_sheet(wall)
    assert not wall.find("[data-action=stop]").is_visible()
    assert not wall.find("[data-action=stop-sell]").is_visible()
    assert "or when the market opens." in wall.find("[data-drawer]").inner_text()


def test_exact_figures_follow_the_polls(wall: Wall) -> None:
    open_sheet(wall)
    assert "+581.25" in wall.find("[data-drawer]").inner_text()
    wall.api.cards = [card(1, -1234.56)]
    wall.poll()
    assert "▼ −1,234.56" in wall.find("[data-drawer]").inner_text()
    wall.api.cards = []
    wall.poll()
    assert wall.find("[data-drawer]").count() == 0


def test_opens_by_keyboard_and_closes_itself_when_left_alone(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at="2024-01-02T15:42:05Z")
    wall.card(1).focus()
    wall.page.keyboard.press("Enter")
    assert wall.find("[data-drawer]").is_visible()
    wall.jump_seconds(120)
    assert wall.find("[data-drawer]").count() == 0
