"""Orders, decisions, states, heartbeats and PIN tries in system.db."""

import threading
from datetime import UTC, datetime

import pytest

from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput, NotFound, OrderRefused
from system_databse import (
    access,
    card_calculations,
    card_states,
    create_system_db,
    decision_journal,
    heartbeats,
    order_journal,
    system_db_manager,
)

MINUTE = datetime(2024, 6, 4, 14, 30, tzinfo=UTC)
FILLED_AT = datetime(2024, 6, 4, 14, 30, 3, 987654, tzinfo=UTC)


@pytest.fixture
def card() -> int:
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)


def test_an_order_is_intended_once_per_card_and_minute(card: int) -> None:
    ledger = system_db_manager.get_config("ledger")
    order = order_journal.intend(card, "NVDA", "buy", 5, MINUTE)
    assert order is not None
    assert order.client_order_id == f"apac-{ledger}-1-20240604T1430Z-buy"
    assert order_journal.intend(card, "NVDA", "buy", 5, MINUTE) is None
    system_db_manager.record_buy(card, 5, 10.0)
    assert order_journal.intend(card, "NVDA", "sell", 5, MINUTE, exit=True) is not None


def test_what_was_decided_is_held_against_the_card_as_it_is_now(card: int) -> None:
    system_db_manager.record_buy(card, 90, 100.0)
    with pytest.raises(OrderRefused, match="holds 90 shares by now, not 91"):
        order_journal.intend(card, "NVDA", "sell", 91, MINUTE)
    with pytest.raises(OrderRefused, match=r"cash is 1000\.00 by now, 1100\.00 are needed"):
        order_journal.intend(card, "NVDA", "buy", 11, MINUTE, price=100.0)
    assert order_journal.intend(card, "NVDA", "buy", 10, MINUTE, price=100.0) is not None
    system_db_manager.stop_algorithm(card)
    with pytest.raises(OrderRefused, match="stopped meanwhile"):
        order_journal.intend(card, "NVDA", "sell", 1, MINUTE)
    assert order_journal.intend(card, "NVDA", "sell", 90, MINUTE, exit=True) is not None
    with pytest.raises(NotFound):
        order_journal.intend(99, "NVDA", "buy", 1, MINUTE)


def test_closing_writes_the_transaction_once_with_what_was_filled(card: int) -> None:
    order = order_journal.intend(card, "NVDA", "buy", 5, MINUTE)
    assert order is not None
    order_journal.mark_submitted(order.client_order_id)
    assert [o.state for o in order_journal.open_orders()] == ["submitted"]
    assert order_journal.close_filled(order.client_order_id, 3, 101.25, FILLED_AT) == 1
    assert order_journal.close_filled(order.client_order_id, 3, 101.25, FILLED_AT) is None
    assert [
        (row["type"], row["shares"], row["price"], row["timestamp"])
        for row in system_db_manager.get_transactions(card)
    ] == [("buy", 3, 101.25, "2024-06-04T14:30:03Z")]
    closed = order_journal.find(order.client_order_id)
    assert closed is not None and closed.state == "partly_filled"
    assert order_journal.open_orders() == []


def test_a_fill_that_cannot_be_recorded_leaves_the_order_open(card: int) -> None:
    order = order_journal.intend(card, "NVDA", "buy", 5, MINUTE)
    assert order is not None
    with pytest.raises(BadInput):
        order_journal.close_filled(order.client_order_id, 5, -1.0, FILLED_AT)
    assert [o.state for o in order_journal.open_orders()] == ["intended"]
    assert card_calculations.calculate_trade_count(card) == 0


def test_a_filled_order_is_never_closed_as_unfilled(card: int) -> None:
    order = order_journal.intend(card, "NVDA", "buy", 5, MINUTE)
    assert order is not None
    order_journal.close_filled(order.client_order_id, 5, 10.0, FILLED_AT)
    order_journal.close_unfilled(order.client_order_id, "lost", "no answer")
    found = order_journal.find(order.client_order_id)
    assert found is not None and (found.state, found.reason) == ("filled", "")
    with pytest.raises(BadInput, match="filled"):
        order_journal.close_unfilled(order.client_order_id, "filled", "")


def test_a_minutes_first_decision_stands(card: int) -> None:
    first = decision_journal.JournalledDecision(
        card, "2024-06-04T14:31:00Z", "2024-06-04T14:30:00Z", "buy", 5, "", "bar", 1.5
    )
    decision_journal.record([first])
    decision_journal.record(
        [decision_journal.JournalledDecision(card, first.minute, None, "hold", 0, "", "missing", 1)]
    )
    assert decision_journal.asked_in("2024-06-04T14:31:00Z") == {card}
    decision_journal.note_outcome(card, first.minute, "bought 5 at 10.00")
    assert decision_journal.last_decisions([card, 99]) == {
        card: {
            "bar": "2024-06-04T14:30:00Z",
            "action": "buy",
            "shares": 5,
            "reason": "bought 5 at 10.00",
            "verdict": "bar",
        }
    }


def test_stop_and_sell_is_one_row_until_it_is_done(card: int) -> None:
    assert card_states.stop_and_sell(card) is True
    assert card_states.stop_and_sell(card) is False
    assert card_states.all_states()[card].state == "stopping"
    found = system_db_manager.get_algorithm(card)
    assert found is not None and found["status"] == "stopped"
    card_states.clear_state(card)
    assert card_states.all_states() == {}


def test_heartbeats_keep_the_last_word(configure) -> None:
    configure(MARKET_CLOCK_START="2024-06-04T14:30:00Z", MARKET_CLOCK_SPEED="0.001")
    assert heartbeats.newest_market_time() is None
    heartbeats.beat({"orchestrator": ("ok", "running"), "stream": ("down", "no answer")})
    heartbeats.beat({"stream": ("ok", "")})
    found = heartbeats.heartbeats()
    assert (found["orchestrator"].status, found["stream"].status) == ("ok", "ok")
    assert found["stream"].age >= 0
    assert heartbeats.newest_market_time() == "2024-06-04T14:30:00Z"


def test_five_wrong_pins_lock_even_the_right_one_out() -> None:
    assert access.try_pin("2020").valid
    assert [access.try_pin("1111").tries_left for _ in range(5)] == [4, 3, 2, 1, 0]
    locked = access.try_pin("2020")
    assert not locked.valid
    assert 25 < locked.locked_seconds <= 30


def test_each_further_wrong_pin_doubles_the_lock_up_to_an_hour() -> None:
    connection = system_db_manager.ledger()
    for failures, seconds in ((5, 60), (6, 120), (11, 3600), (500, 3600)):
        connection.execute("UPDATE access SET failures = ?, locked_until = 0", (failures,))
        assert access.try_pin("1111").locked_seconds == seconds


def locked_until(failures: int, seconds: float) -> None:
    """As a lock left behind that ends in so many seconds by the clock as it is now."""
    until = clock.machine_now().timestamp() + seconds
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute("UPDATE access SET failures = ?, locked_until = ?", (failures, until))


@pytest.mark.parametrize(("failures", "earned"), [(5, 30), (7, 120), (100, 3600)])
def test_a_clock_that_was_set_back_locks_for_what_was_earned_and_no_longer(
    failures: int, earned: int
) -> None:
    locked_until(failures, 400 * 86_400)
    assert access.try_pin("2020").locked_seconds == earned
    assert 0 < access.try_pin("2020").locked_seconds < earned  # it runs out
    locked_until(failures, -0.001)
    assert access.try_pin("2020").valid


def test_each_lock_is_an_event_and_a_try_while_locked_is_none() -> None:
    for _ in range(20):
        access.try_pin("1111")
    locked_until(5, -0.001)
    access.try_pin("1111")
    rows = system_db_manager.ledger().execute("SELECT message FROM events WHERE kind = 'access'")
    assert [row["message"] for row in rows] == [
        "5 wrong PINs in a row at the wall: locked there for 30 s.",
        "6 wrong PINs in a row at the wall: locked there for 60 s.",
    ]


def test_an_older_ledger_keeps_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(create_system_db, "MIGRATIONS", create_system_db.MIGRATIONS[:6])
        create_system_db.create_database()
        locked_until(7, 100)
    create_system_db.create_database()
    for place in ("wall", "network"):
        assert 95 < access.try_pin("2020", place).locked_seconds <= 100


def test_parallel_wrong_pins_get_no_more_tries_than_one_by_one() -> None:
    system_db_manager.get_pin()

    def guess() -> None:
        for _ in range(10):
            access.try_pin("1111")
        sqlite.close_kept()

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = system_db_manager.ledger().execute("SELECT failures FROM access").fetchone()[0]
    assert failures == 5
