"""Orders against the simulated exchange, well-behaved and not: journal, ledger and broker agree."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestra import exchange as clients
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock
from orchestra.base.errors import (
    ExchangeUnavailable,
    OrderRefused,
    OrderUnsettled,
    PartlyFilled,
)
from orchestra.base.market_calendar import floor_minute
from orchestra.cycle import wait_for_orders
from orchestra.decision import Decision, Means, check
from orchestra.execution import Execution, Intent
from orchestra.simulator import Exchange
from system_databse import (
    card_calculations,
    card_states,
    decision_journal,
    order_journal,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import OPEN_MARKET, change, running_exchange, set_clock
from tests.processes import until


@pytest.fixture
def market() -> Iterator[Exchange]:
    """An exchange standing still at 10:30 New York, an hour after the open."""
    with running_exchange(ORDER_OPEN_SECONDS=0.5) as started:
        yield started


@pytest.fixture
def execution(market: Exchange) -> Iterator[Execution]:
    started = Execution(AlpacaWrapper())
    yield started
    started.close()


@pytest.fixture
def card(market: Exchange) -> int:
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 100_000)


def carry_out(execution: Execution, *intents: Intent) -> None:
    futures = execution.carry_out(intents)
    for future in futures:
        future.result(timeout=30)
    wait_for_orders(futures, floor_minute(clock.now()))


def intent(
    card: int, side: str, shares: int, *, ticker: str = "NVDA", exit: bool = False
) -> Intent:
    return Intent(card, ticker, side, shares, floor_minute(clock.now()), exit=exit)


def settle(execution: Execution) -> None:
    """Reconcile until nothing is open, as cycle after cycle would."""
    give_up_at = clock.elapsed() + 30
    while order_journal.open_orders() and clock.elapsed() < give_up_at:
        execution.reconcile()
        clock.pause(0.02)
    assert order_journal.open_orders() == []


def decided(card: int, side: str, shares: int) -> str:
    """Put on record that a card wants an order in this minute."""
    minute = clock.stamp(floor_minute(clock.now()))
    decision_journal.record(
        [JournalledDecision(card, minute, None, side, shares, "why", "bar", 1.0, awaits=True)]
    )
    return minute


def reasons(card: int) -> list[str]:
    rows = system_db_manager.ledger().execute(
        "SELECT reason FROM decisions WHERE algorithm_id = ? ORDER BY minute", (card,)
    )
    return [row["reason"] for row in rows]


def broker_orders() -> list[dict[str, Any]]:
    return list(clients.trading_client().get("/orders", {"status": "all", "limit": 500}))


def broker_shares(ticker: str = "NVDA") -> int:
    held = {p["symbol"]: int(p["qty"]) for p in clients.trading_client().get("/positions")}
    return held.get(ticker, 0)


def states() -> list[tuple[str, str]]:
    rows = system_db_manager.ledger().execute("SELECT side, state FROM orders ORDER BY id")
    return [tuple(row) for row in rows]


def test_the_wrapper_trades_and_says_in_which_mode(
    market: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    wrapper = AlpacaWrapper()
    assert (
        capsys.readouterr().out == "✅ Alpaca client initialized in SIMULATED mode with iex feed\n"
    )
    assert wrapper.get_account_cash() == 100_000.0
    price = wrapper.place_market_buy("NVDA", 10)
    assert price > 0
    assert broker_shares() == 10
    assert wrapper.get_account_cash() == pytest.approx(100_000 - 10 * price, abs=0.01)
    wrapper.place_market_sell("NVDA", 10)
    assert broker_shares() == 0


def test_tickers_are_validated(market: Exchange) -> None:
    wrapper = AlpacaWrapper()
    assert wrapper.validate_ticker("AAPL") is True
    assert wrapper.validate_ticker("BRK.B") is True
    for wrong in ("ZZZZZ", "", "aapl", "../orders", "A B?c=1", "AAPL/", "TOOLONGTICKER"):
        assert wrapper.validate_ticker(wrong) is False


def test_an_unreachable_broker_is_not_a_no(market: Exchange) -> None:
    wrapper = AlpacaWrapper()
    market.faults.add({"name": "500"})
    with pytest.raises(ExchangeUnavailable):
        wrapper.validate_ticker("AAPL")
    with pytest.raises(ExchangeUnavailable):
        wrapper.get_account_cash()


def test_a_refusal_is_told_with_the_brokers_reason(market: Exchange) -> None:
    wrapper = AlpacaWrapper()
    with pytest.raises(OrderRefused, match="insufficient buying power"):
        wrapper.place_market_buy("NVDA", 1_000_000)
    with pytest.raises(OrderRefused, match="ended rejected"):
        market.faults.add({"name": "reject", "times": 1})
        wrapper.place_market_buy("NVDA", 1)
    market.faults.add({"name": "partial_fill", "fraction": 0.4, "times": 1})
    with pytest.raises(PartlyFilled) as partly:
        wrapper.place_market_buy("NVDA", 10)
    assert (partly.value.shares, partly.value.asked) == (4, 10)
    market.faults.add({"name": "504_after_accept", "times": 1})
    with pytest.raises(OrderUnsettled):
        wrapper.place_market_buy("NVDA", 1)


def test_a_buy_and_a_sell_are_recorded_as_they_were_filled(execution: Execution, card: int) -> None:
    carry_out(execution, intent(card, "buy", 10))
    carry_out(execution, intent(card, "sell", 4))
    filled = {order["side"]: order for order in broker_orders()}
    rows = {row["type"]: row for row in system_db_manager.get_transactions(card)}
    for side, shares in (("buy", 10), ("sell", 4)):
        assert rows[side]["shares"] == shares == int(filled[side]["filled_qty"])
        assert rows[side]["price"] == float(filled[side]["filled_avg_price"])
        assert rows[side]["timestamp"] == filled[side]["filled_at"][:19] + "Z"
    assert card_calculations.calculate_position(card) == broker_shares() == 6
    assert states() == [("buy", "filled"), ("sell", "filled")]


def test_a_card_has_one_order_of_a_kind_in_a_minute(execution: Execution, card: int) -> None:
    for _ in range(3):
        carry_out(execution, intent(card, "buy", 10))
    assert broker_shares() == 10
    assert len(system_db_manager.get_transactions(card)) == 1


def test_opposite_sides_on_one_ticker_are_carried_out_in_turn(
    execution: Execution, card: int
) -> None:
    carry_out(execution, intent(card, "buy", 10))
    other = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    carry_out(execution, intent(other, "buy", 5), intent(card, "sell", 10))
    assert states() == [("buy", "filled"), ("sell", "filled"), ("buy", "filled")]
    assert card_calculations.calculate_position(card) == 0
    assert card_calculations.calculate_position(other) == broker_shares() == 5


def test_an_opposite_order_waits_for_one_that_a_restart_has_taken_up(
    market: Exchange, execution: Execution, card: int
) -> None:
    change(ORDER_OPEN_SECONDS=600)
    other = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    carry_out(execution, intent(other, "buy", 5))
    market.faults.add({"name": "stuck"})
    order = order_journal.intend(card, "NVDA", "buy", 10, floor_minute(clock.now()))
    assert order is not None
    AlpacaWrapper().submit("NVDA", "buy", 10, order.client_order_id)  # and then the power went
    restarted = Execution(AlpacaWrapper())
    restarted.reconcile()
    futures = restarted.carry_out([intent(other, "sell", 5)])
    assert wait(futures, timeout=0.5).done == set()
    market.faults.clear()
    futures[0].result(timeout=30)
    restarted.close()
    assert states() == [("buy", "filled"), ("buy", "filled"), ("sell", "filled")]


def test_an_opposite_order_is_dropped_while_one_is_not_settled(
    market: Exchange, execution: Execution, card: int
) -> None:
    other = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    carry_out(execution, intent(card, "buy", 10))
    decided(other, "buy", 5)
    market.faults.add({"name": "stuck"})
    market.faults.add({"name": "504_after_accept", "times": 1})
    carry_out(execution, intent(card, "sell", 10), intent(other, "buy", 5))
    assert states()[1:] == [("sell", "intended"), ("buy", "cancelled")]
    assert reasons(other) == [
        "why; cancelled: dropped: an order of the other side is not settled yet"
    ]
    market.faults.clear()
    settle(execution)
    assert states()[1:] == [("sell", "filled"), ("buy", "cancelled")]
    assert broker_shares() == 0


def test_an_answer_of_no_use_for_one_order_holds_up_no_other(
    market: Exchange, execution: Execution, card: int
) -> None:
    other = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    for algo_id, ticker in ((card, "NVDA"), (other, "AAPL")):
        order = order_journal.intend(algo_id, ticker, "buy", 5, floor_minute(clock.now()))
        assert order is not None
        AlpacaWrapper().submit(ticker, "buy", 5, order.client_order_id)
    market.faults.add({"name": "500", "method": "GET", "path": "/v2/orders", "times": 1})
    with pytest.raises(ExchangeUnavailable, match="500"):
        execution.reconcile()
    until(lambda: execution.unsettled_cards() == {card}, 30, what="the other is settled")
    assert card_calculations.calculate_position(other) == broker_shares("AAPL") == 5
    settle(execution)
    assert card_calculations.calculate_position(card) == broker_shares() == 5


def test_an_order_whose_minute_is_over_is_dropped_with_the_reason(
    execution: Execution, card: int
) -> None:
    late = Intent(card, "NVDA", "buy", 5, floor_minute(clock.now()) - timedelta(minutes=1))
    carry_out(execution, late)
    assert broker_orders() == []
    assert states() == [("buy", "cancelled")]


@pytest.mark.parametrize(
    ("fault", "shares", "state"),
    [
        ({"name": "504_after_accept", "times": 1}, 10, "filled"),
        ({"name": "cut", "when": "after", "times": 1}, 10, "filled"),
        ({"name": "500", "method": "POST", "times": 1}, 0, "lost"),
        ({"name": "429", "method": "POST", "times": 2, "reset": 0}, 10, "filled"),
        ({"name": "cut", "when": "before", "times": 1}, 0, "lost"),
        ({"name": "reject", "times": 1}, 0, "refused"),
        ({"name": "stuck"}, 0, "cancelled"),
        ({"name": "partial_fill", "fraction": 0.5, "then": "open", "times": 1}, 5, "partly_filled"),
        (
            {"name": "partial_fill", "fraction": 0.5, "then": "canceled", "times": 1},
            5,
            "partly_filled",
        ),
        ({"name": "500", "method": "GET", "path": "/v2/orders/", "times": 2}, 10, "filled"),
    ],
    ids=lambda value: (
        f"{value['name']}-{value.get('when', value.get('then', ''))}"
        if isinstance(value, dict)
        else None
    ),
)
def test_whatever_the_exchange_does_the_ledger_holds_what_the_broker_holds(
    market: Exchange,
    execution: Execution,
    card: int,
    fault: dict[str, Any],
    shares: int,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestra.execution.LOST_AFTER_SECONDS", 0.1)
    market.faults.add(fault)
    carry_out(execution, intent(card, "buy", 10))
    settle(execution)
    assert states() == [("buy", state)]
    assert card_calculations.calculate_position(card) == broker_shares() == shares
    assert len(broker_orders()) <= 1


def test_a_rate_limit_is_waited_for_within_the_minute(market: Exchange, card: int) -> None:
    market.faults.add({"name": "429", "method": "POST", "times": 1, "reset": 0})
    order = AlpacaWrapper().submit("NVDA", "buy", 3, "own-1", until=clock.elapsed() + 90)
    assert AlpacaWrapper().follow(order).filled_shares == 3
    market.faults.add({"name": "429", "method": "POST", "times": 1})
    with pytest.raises(OrderRefused, match="rate limit"):
        AlpacaWrapper().submit("NVDA", "buy", 3, "own-2", until=clock.elapsed())


def test_while_the_broker_cannot_be_asked_nothing_is_decided(
    market: Exchange, execution: Execution, card: int
) -> None:
    market.faults.add({"name": "504_after_accept", "times": 1})
    carry_out(execution, intent(card, "buy", 10))
    market.faults.add({"name": "500"})
    with pytest.raises(ExchangeUnavailable):
        execution.reconcile()
    assert execution.unsettled_cards() == {card}
    market.faults.clear()
    settle(execution)
    assert card_calculations.calculate_position(card) == broker_shares() == 10


def test_a_404_that_is_not_the_brokers_does_not_say_that_an_order_never_arrived(
    market: Exchange, execution: Execution, card: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway has no such path; the broker's own word has a code."""
    monkeypatch.setattr("orchestra.execution.LOST_AFTER_SECONDS", 0.0)
    assert order_journal.intend(card, "NVDA", "buy", 10, floor_minute(clock.now())) is not None
    change(ALPACA_TRADING_URL=f"{market.url}/elsewhere")
    for _ in range(2):
        with pytest.raises(ExchangeUnavailable, match="404: not found"):
            execution.reconcile()
    assert states() == [("buy", "intended")]
    change(ALPACA_TRADING_URL=market.url)
    execution.reconcile()
    assert states() == [("buy", "lost")]


def test_what_a_crash_left_open_is_settled_by_the_next_process(market: Exchange, card: int) -> None:
    wrapper = AlpacaWrapper()
    order = order_journal.intend(card, "NVDA", "buy", 10, floor_minute(clock.now()))
    assert order is not None
    wrapper.submit("NVDA", "buy", 10, order.client_order_id)  # and then the power went
    restarted = Execution(wrapper)
    settle(restarted)
    restarted.close()
    assert card_calculations.calculate_position(card) == broker_shares() == 10
    assert len(broker_orders()) == 1


def test_a_decision_that_never_became_an_order_says_so_after_the_next_start(
    market: Exchange, card: int
) -> None:
    decided(card, "buy", 5)
    set_clock("2024-06-04T14:30:20Z")
    later = Execution(AlpacaWrapper())
    later.note_outcomes()
    later.close()
    assert reasons(card) == ["why; no order was sent: the trader was stopped"]
    assert (
        order_journal.find(
            order_journal.client_order_id(card, intent(card, "buy", 5).minute, "buy")
        )
        is None
    )
    assert decision_journal.awaiting() == []


def test_an_outcome_that_a_crash_kept_from_being_noted_is_read_from_the_journal(
    market: Exchange, card: int, execution: Execution
) -> None:
    """The process ended after the order was closed, and before the decision was told."""
    other = system_db_manager.create_algorithm("AAPL", "sma_crossover", 100_000)
    moment = floor_minute(clock.now())
    for algo_id, ticker in ((card, "NVDA"), (other, "AAPL")):
        decided(algo_id, "buy", 7)
        assert order_journal.intend(algo_id, ticker, "buy", 7, moment) is not None
    execution.note_outcomes()
    assert reasons(card) == reasons(other) == ["why"]  # nothing is known yet
    order_journal.close_filled(order_journal.client_order_id(card, moment, "buy"), 5, 10.25, moment)
    identity = order_journal.client_order_id(other, moment, "buy")
    order_journal.close_unfilled(identity, "refused", "403: no such luck")
    execution.note_outcomes()
    execution.note_outcomes()
    assert reasons(card) == ["why; bought 5 at 10.25 of 7 asked"]
    assert reasons(other) == ["why; refused: 403: no such luck"]


def test_an_outcome_that_was_told_too_early_is_told_again_also_after_a_crash(
    market: Exchange, card: int, execution: Execution
) -> None:
    """The broker said no, then it had filled after all; the process ended before that could be told."""
    moment = floor_minute(clock.now())
    decided(card, "buy", 7)
    assert order_journal.intend(card, "NVDA", "buy", 7, moment) is not None
    identity = order_journal.client_order_id(card, moment, "buy")
    order_journal.close_unfilled(identity, "lost", "the broker never had it")
    execution.note_outcomes()
    order_journal.reopen(identity)
    execution.note_outcomes()
    assert reasons(card) == ["why; lost: the broker never had it"]
    order_journal.close_filled(identity, 7, 10.25, moment)
    for _ in range(2):
        execution.note_outcomes()
    assert reasons(card) == ["why; lost: the broker never had it; bought 7 at 10.25"]


def test_an_order_that_waits_for_its_turn_is_not_taken_for_lost(
    market: Exchange, card: int, execution: Execution
) -> None:
    decided(card, "buy", 5)
    with execution._tickers.setdefault("NVDA", threading.Lock()):  # another batch is at work
        futures = execution.carry_out([intent(card, "buy", 5)])
        execution.note_outcomes()
        assert reasons(card) == ["why"]
    wait_for_orders(futures, floor_minute(clock.now()))
    assert reasons(card)[0].startswith("why; bought 5 at ")


def test_a_fill_that_is_worse_than_checked_is_kept_as_it_was_and_the_card_says_so(
    card: int, execution: Execution, market: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's price is 1 % above the one that was checked, and the card has cash for that one only."""
    price = float(market.market.newest("NVDA", clock.now()).close)
    monkeypatch.setattr(market.matching, "_slippage", Decimal("0.01"))
    small = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10 * price)
    decided(small, "buy", 10)
    carry_out(execution, replace(intent(small, "buy", 10), price=price))
    cash = card_calculations.calculate_cash(small)
    [bought] = system_db_manager.get_transactions(small)
    assert cash == pytest.approx(10 * price - 10 * bought["price"], abs=1e-6) and cash < 0
    assert reasons(small) == [
        f"why; bought 10 at {bought['price']:.2f}, worse than checked: cash is {cash:.2f}: nothing is"
        " bought until it is whole again"
    ]
    means = Means(cash, 10, price)
    assert check(Decision("buy", 1), means).shares == 0
    assert check(Decision("buy", 1), means).reason == (
        f"refused: cash is {cash:.2f}: nothing is bought until it is whole again"
    )
    assert check(Decision("sell", 1), means).shares == 1


def test_a_program_that_ends_waits_for_no_order_and_sends_none(market: Exchange, card: int) -> None:
    """What is under way stays open in the journal; the next start settles it."""
    change(ORDER_OPEN_SECONDS=600)
    market.faults.add({"name": "stuck"})
    ending = Execution(AlpacaWrapper())
    [followed] = ending.carry_out([intent(card, "buy", 5)])
    until(broker_orders, 30, what="the order is at the broker")
    other = system_db_manager.create_algorithm("NVDA", "sma_crossover", 100_000)
    [waiting] = ending.carry_out([intent(other, "buy", 5)])  # behind the first
    ending.close()
    followed.result(timeout=60)
    with suppress(CancelledError):
        waiting.result(timeout=60)
    assert len(broker_orders()) == 1
    assert states()[0] == ("buy", "submitted")
    assert states()[1:] in ([], [("buy", "cancelled")])
    market.faults.clear()
    starting = Execution(AlpacaWrapper())
    settle(starting)
    assert states()[0] == ("buy", "filled") and broker_shares() == 5
    starting.close()


def test_a_refusal_that_cannot_be_written_down_is_settled_later(
    market: Exchange, execution: Execution, card: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is asked again, without a restart."""
    monkeypatch.setattr("orchestra.execution.LOST_AFTER_SECONDS", 0.1)
    ledger = system_db_manager.ledger()
    ledger.execute(
        "CREATE TRIGGER no_room BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    [future] = execution.carry_out([intent(card, "buy", 1_000_000)])
    with pytest.raises(sqlite3.IntegrityError, match="no room"):
        future.result(timeout=30)
    assert execution.unsettled_cards() == {card}
    ledger.execute("DROP TRIGGER no_room")
    settle(execution)
    assert states() == [("buy", "lost")]


def test_a_sale_of_a_stopped_card_that_is_refused_is_told_on_the_card(
    execution: Execution, card: int
) -> None:
    system_db_manager.record_buy(card, 10, 100.0)  # the broker has none of them
    card_states.stop_and_sell(card)
    carry_out(execution, intent(card, "sell", 10, exit=True))
    state = card_states.all_states()[card]
    assert state.state == "stopping"
    assert state.reason == (
        "Its sale was refused: nothing of it is held at the broker (422: position intent mismatch,"
        " inferred: sell_to_open, specified: sell_to_close)."
        " It is tried again in the next open minute."
    )


def test_no_sale_opens_a_short_position(execution: Execution, card: int) -> None:
    """What the owner sold by hand a moment ago a running card's sale does not sell once more."""
    carry_out(execution, intent(card, "buy", 10))
    AlpacaWrapper().place_market_sell("NVDA", 10)
    decided(card, "sell", 10)
    carry_out(execution, intent(card, "sell", 10))
    assert states() == [("buy", "filled"), ("sell", "refused")]
    assert reasons(card) == [
        "why; refused: nothing of it is held at the broker (422: position intent mismatch,"
        " inferred: sell_to_open, specified: sell_to_close)"
    ]


def test_several_stuck_orders_on_one_ticker_stay_open_no_longer_than_one(
    market: Exchange, execution: Execution
) -> None:
    """Their time counts from when each was sent, not from when the one before it was given up."""
    change(ORDER_OPEN_SECONDS=1)
    set_clock(OPEN_MARKET, speed=1)
    market.faults.add({"name": "stuck"})
    cards = [system_db_manager.create_algorithm("NVDA", "sma_crossover", 100_000) for _ in range(5)]
    carry_out(execution, *(intent(card, "buy", 1) for card in cards))
    assert states() == [("buy", "cancelled")] * 5
    opened = [
        (
            datetime.fromisoformat(order["canceled_at"])
            - datetime.fromisoformat(order["submitted_at"])
        ).total_seconds()
        for order in broker_orders()
    ]
    assert max(opened) < 3 * min(opened)


def test_many_slow_orders_leave_requests_to_cancel_and_to_send_others(
    market: Exchange, execution: Execution
) -> None:
    """Eight are followed at once; asked for each second they used up the 200 requests of a minute."""
    change(ORDER_OPEN_SECONDS=10)
    set_clock(OPEN_MARKET, speed=1)
    market.faults.add({"name": "stuck"})
    tickers = [
        "AAPL",
        "AMD",
        "BAC",
        "CSCO",
        "DIS",
        "F",
        "GLD",
        "INTC",
        "KO",
        "NVDA",
        "PFE",
        "T",
        "V",
        "XOM",
    ]
    cards = {ticker: system_db_manager.create_algorithm(ticker, "any", 5_000) for ticker in tickers}
    carry_out(execution, *(intent(cards[each], "buy", 1, ticker=each) for each in tickers))
    assert states() == [("buy", "cancelled")] * len(tickers)
