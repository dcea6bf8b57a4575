"""What the owner decides about cards that run: capital, stop all, resume, accept."""

from datetime import date

import pytest
from werkzeug.test import TestResponse

from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock, settings, sqlite
from orchestra.base.market_calendar import floor_minute
from orchestra.simulator import Exchange
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    labels,
    order_journal,
    system_db_manager,
)
from tests.ledger_rows import labelled
from tests.web.conftest import Api, assert_error

PATHS = (
    ("PATCH", "/api/algorithms/1"),
    ("POST", "/api/stop-all"),
    ("POST", "/api/algorithms/1/resume"),
    ("POST", "/api/positions/AAPL/accept"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_each_change_needs_the_pin(locked: Api, method: str, path: str) -> None:
    assert_error(locked.call(method, path, json={}), 401, "pin_required")


@pytest.fixture
def owner(exchange: Exchange, api: Api) -> Api:
    """The page of an owner who has entered the PIN, at an exchange with $100,000."""
    return api


def change(api: Api, number: int, capital: object) -> TestResponse:
    return api.call("PATCH", f"/api/algorithms/{number}", json={"initial_capital": capital})


def test_capital_goes_up_by_what_is_available_and_the_profit_stays(owner: Api) -> None:
    card = owner.added(initial_capital=10_000)
    system_db_manager.record_buy(card["id"], 10, 100.0)
    before = owner.card(card["id"])["pnl"]
    response = change(owner, card["id"], 60_000)
    assert response.status_code == 200, response.text
    shown = owner.card(card["id"])
    assert (shown["initial_capital"], shown["cash"]) == (60_000, 59_000)
    assert shown["pnl"] == pytest.approx(before, abs=0.005)
    assert labelled(labels.CAPITAL) == [(card["id"], "10000.00 -> 60000.00")]
    assert_error(change(owner, card["id"], 100_001), 409, "not_enough_cash")
    assert owner.card(card["id"])["initial_capital"] == 60_000


def test_capital_goes_down_by_at_most_the_free_cash(owner: Api) -> None:
    card = owner.added(initial_capital=10_000)
    system_db_manager.record_buy(card["id"], 30, 100.0)
    assert_error(change(owner, card["id"], 2_999), 409, "not_enough_free_cash")
    assert change(owner, card["id"], 3_000).status_code == 200
    assert owner.card(card["id"])["cash"] == 0


def test_capital_waits_for_an_order_under_way(owner: Api) -> None:
    card = owner.added(initial_capital=10_000)["id"]
    minute = floor_minute(clock.now())
    order = order_journal.intend(card, "AAPL", "buy", 40, minute)
    assert order is not None
    assert_error(change(owner, card, 100), 409, "order_open")
    owner.stop(card)  # its allocation stays taken until the order is done
    assert owner.read("/api/account/cash")["allocated"] == 10_000
    order_journal.close_unfilled(order.client_order_id, "cancelled", "")
    assert owner.read("/api/account/cash")["allocated"] == 0


def test_capital_of_another_shape_or_card_is_refused(owner: Api) -> None:
    card = owner.added()
    for wrong in (0, -1, "5", None, True, 1e13):
        assert_error(change(owner, card["id"], wrong), 400, "bad_input")
    assert_error(change(owner, 99, 5), 404, "not_found")
    owner.stop(card["id"])
    assert_error(change(owner, card["id"], 5), 409, "not_running")


def test_stop_all_keeping_the_shares(owner: Api) -> None:
    first, second = owner.added(), owner.added(ticker="MSFT")
    system_db_manager.record_buy(second["id"], 3, 10.0)
    answer = owner.post("/api/stop-all", {"liquidate": False}).json
    assert answer is not None
    assert [card["id"] for card in answer["algorithms"]] == [first["id"], second["id"]]
    assert system_db_manager.get_all_algorithms("running") == []
    assert card_states.all_states() == {}
    assert [card["id"] for card in owner.cards()] == [second["id"]]  # it still holds shares
    again = owner.post("/api/stop-all", {"liquidate": False}).json
    assert again == {"algorithms": []}


def test_stop_all_selling_everything_kept_shares_too(owner: Api) -> None:
    first, second = owner.added(), owner.added(ticker="MSFT")
    for card in (first, second):
        system_db_manager.record_buy(card["id"], 3, 10.0)
    owner.stop(first["id"])
    answer = owner.post("/api/stop-all", {"liquidate": True}).json
    assert answer is not None
    assert {card["id"]: card["state"] for card in answer["algorithms"]} == {
        first["id"]: "stopping",
        second["id"]: "stopping",
    }


def test_stop_all_sells_what_a_stopped_card_is_still_getting(owner: Api) -> None:
    card = owner.added()
    order_journal.intend(card["id"], "NVDA", "buy", 3, clock.parse("2024-06-04T14:30:00Z"))
    owner.stop(card["id"])
    answer = owner.post("/api/stop-all", {"liquidate": True}).json
    assert answer is not None
    assert [(each["id"], each["state"]) for each in answer["algorithms"]] == [
        (card["id"], "stopping")
    ]


def test_stop_all_stops_all_where_no_price_can_be_read(owner: Api) -> None:
    first, second = owner.added(), owner.added(ticker="MSFT")
    system_db_manager.record_buy(second["id"], 3, 10.0)
    sqlite.close_kept()
    settings.current().stocks_db_path.write_bytes(b"no database at all" * 1000)
    answer = owner.post("/api/stop-all", {"liquidate": True})
    body = assert_error(answer, 503, "database_damaged")
    assert body["error"] == "2 cards are stopped, but cannot be shown now."
    assert system_db_manager.get_all_algorithms("running") == []
    assert set(card_states.all_states()) == {first["id"], second["id"]}


@pytest.mark.parametrize("query", ["", "?liquidate=true"])
def test_a_card_is_stopped_where_no_price_can_be_read(owner: Api, query: str) -> None:
    card, other = owner.added(), owner.added(ticker="MSFT")
    system_db_manager.record_buy(card["id"], 3, 10.0)
    sqlite.close_kept()
    settings.current().stocks_db_path.write_bytes(b"no database at all" * 1000)
    body = assert_error(owner.stop(card["id"], query), 503, "database_damaged")
    assert body["error"] == "1 card is stopped, but cannot be shown now."
    assert [row["id"] for row in system_db_manager.get_all_algorithms("running")] == [other["id"]]
    assert set(card_states.all_states()) == ({card["id"]} if query else set())
    assert_error(owner.stop(card["id"], query), 409, "nothing_to_do")
    assert_error(owner.stop(99, query), 404, "not_found")


def test_stop_all_stops_all_or_none(owner: Api) -> None:
    """Not one card of two, with an answer that nothing was changed."""
    cards = [owner.added()["id"], owner.added(ticker="MSFT")["id"]]
    ledger = system_db_manager.ledger()
    ledger.execute(
        "CREATE TRIGGER no_room BEFORE UPDATE ON algorithm_instances"
        f" WHEN NEW.id = {cards[1]} BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    assert owner.post("/api/stop-all", {"liquidate": True}).status_code == 500
    assert len(system_db_manager.get_all_algorithms("running")) == 2
    assert card_states.all_states() == {}
    ledger.execute("DROP TRIGGER no_room")
    assert owner.post("/api/stop-all", {"liquidate": True}).status_code == 200


def test_stop_all_needs_to_be_told_about_the_shares(owner: Api) -> None:
    for wrong in ({}, {"liquidate": "true"}, {"liquidate": None}):
        assert_error(owner.post("/api/stop-all", wrong), 400, "bad_input")


def test_a_paused_card_is_resumed_once(owner: Api) -> None:
    card = owner.added()
    path = f"/api/algorithms/{card['id']}/resume"
    assert_error(owner.post(path, {}), 409, "not_paused")
    card_states.set_state(card["id"], "paused", "Brake: too much.")
    shown = owner.card(card["id"])
    assert (shown["state"], shown["state_reason"]) == ("paused", "Brake: too much.")
    resumed = owner.post(path, {}).json
    assert resumed is not None and resumed["state"] == "running"
    assert_error(owner.post(path, {}), 409, "not_paused")
    assert_error(owner.post("/api/algorithms/99/resume", {}), 404, "not_found")


def test_a_card_that_is_stopped_is_paused_no_more(owner: Api) -> None:
    card = owner.added()
    card_states.set_state(card["id"], "paused", "Failed 3 times in a row.", file="1-2")
    owner.stop(card["id"])
    shown = owner.card(card["id"])
    assert (shown["status"], shown["state"], shown["state_reason"]) == ("stopped", "stopped", "")


def test_the_brokers_figure_is_accepted(owner: Api) -> None:
    card = owner.added()
    wrapper = AlpacaWrapper()
    price = wrapper.place_market_buy("AAPL", 7)
    system_db_manager.record_buy(card["id"], 10, price)  # three more than there are
    assert_error(owner.post("/api/positions/AAPL/accept", {}), 409, "not_frozen")
    corporate_actions.note_read(date(2024, 6, 4))
    audit = Audit(wrapper)
    audit.positions()
    audit.positions()
    assert owner.card(card["id"])["state"] == "frozen"
    order = order_journal.intend(card["id"], "AAPL", "buy", 1, floor_minute(clock.now()))
    assert order is not None
    assert_error(owner.post("/api/positions/AAPL/accept", {}), 409, "order_open")
    order_journal.close_unfilled(order.client_order_id, "lost", "")
    answer = owner.post("/api/positions/AAPL/accept", {}).json
    assert answer is not None
    assert [(c["id"], c["state"], c["current_shares"]) for c in answer["algorithms"]] == [
        (card["id"], "running", 7)
    ]
    assert card_calculations.calculate_position(card["id"]) == 7
    assert_error(owner.post("/api/positions/aapl/accept", {}), 404, "not_found")
