"""Splits over a night: carried out where all agree, frozen and explained where not."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from database import db_manager
from database.realtime_pull import RealtimeStreamer
from orchestra import corrections
from orchestra import splits as splits_module
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import BadInput, ExchangeUnavailable
from orchestra.base.market_calendar import floor_minute
from orchestra.cycle import Cycle
from orchestra.execution import Execution
from orchestra.runner import AlgorithmRunner
from orchestra.simulator import Exchange
from orchestra.splits import Splits
from orchestra.trading_loop import run_all_algorithms
from orchestra.valuation import value_cards
from orchestra.websocket_manager import WebSocketManager
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
)
from system_databse.corporate_actions import CorporateAction
from tests.exchange_fixture import change, running_exchange, set_clock
from tests.ledger_rows import labelled
from tests.processes import until

FRIDAY, AFTER_THE_CLOSE = "2024-06-07T19:58:00Z", "2024-06-07T20:01:00Z"
MONDAY = "2024-06-10T13:30:02Z"
SPLIT_DAY = date(2024, 6, 10)


class NoStream(RealtimeStreamer):
    """A stream that brings nothing."""

    def subscribe(self, ticker: str) -> None: ...

    def resubscribe(self) -> None: ...


@pytest.fixture
def market() -> Iterator[Exchange]:
    """An exchange standing still two minutes before Friday's close."""
    with running_exchange(MARKET_CLOCK_START=FRIDAY) as started:
        yield started


@pytest.fixture
def wrapper(market: Exchange) -> AlpacaWrapper:
    return AlpacaWrapper()


def new_card(algorithm: str = "sma_crossover") -> int:
    return system_db_manager.create_algorithm("NVDA", algorithm, 50_000)


def bought(wrapper: AlpacaWrapper, shares: int, algorithm: str = "sma_crossover") -> int:
    card = new_card(algorithm)
    trade(wrapper, card, shares)
    return card


def trade(wrapper: AlpacaWrapper, card: int, shares: int) -> None:
    """Buy for a card, or sell where ``shares`` is below zero."""
    side, shares = "buy" if shares > 0 else "sell", abs(shares)
    minute = floor_minute(clock.now())
    order_journal.adopt(
        identity := order_journal.client_order_id(card, minute, side),
        card,
        "NVDA",
        side,
        shares,
        minute,
    )
    filled = wrapper.follow(wrapper.submit("NVDA", side, shares, identity))
    assert filled.filled_price is not None and filled.filled_at is not None
    order_journal.close_filled(
        identity, filled.filled_shares, filled.filled_price, filled.filled_at
    )


def cash(card: int) -> float:
    return card_calculations.calculate_cash(card)


def split(market: Exchange, ratio: float) -> None:
    """Fetch history after Friday's close, then let the weekend pass with a split in it."""
    set_clock(AFTER_THE_CLOSE)
    db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
    market.faults.add(
        {"name": "split", "symbol": "NVDA", "day": SPLIT_DAY.isoformat(), "ratio": ratio}
    )
    set_clock(MONDAY)


def follow(splits: Splits) -> None:
    splits.follow(system_db_manager.get_all_algorithms("running"), SPLIT_DAY)


def worth(card: int) -> float:
    price = db_manager.get_latest_price("NVDA")
    if price is None:
        db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
        price = db_manager.get_latest_price("NVDA")
    assert price is not None
    shown = card_calculations.get_algorithm_with_calculations(card, price)
    assert shown is not None
    return float(shown["pnl"])


def test_ten_for_one_multiplies_the_shares_and_leaves_the_profit(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    split(market, 10)
    before = worth(card)
    splits = Splits(wrapper)
    follow(splits)
    assert card_calculations.calculate_position(card) == 70
    assert int(wrapper.get_positions()["NVDA"]) == 70
    assert worth(card) == pytest.approx(before, abs=0.005)
    assert card_states.all_states() == {}
    notes = [note for _, note in labelled(labels.SPLIT)]
    assert notes == ["NVDA: 10:1 split of 2024-06-10"] * 2
    assert card_calculations.calculate_trade_count(card) == 1
    follow(splits)
    follow(Splits(wrapper))  # another process
    assert card_calculations.calculate_position(card) == 70


def test_a_split_is_no_gain_of_the_day(market: Exchange, wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, 7)
    split(market, 10)
    follow(Splits(wrapper))
    db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
    rows = system_db_manager.get_all_algorithms()
    valued = value_cards(rows, card_calculations.all_card_sums())[card]
    assert valued.today_pnl == 0.0  # the newest bar is Friday's last
    assert valued.marks() == []


def test_todays_profit_is_todays_though_nobody_asks_for_yesterday(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """What was earned before is no gain of the day, nor a loss that a brake acts on."""
    card = bought(wrapper, 7)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute("UPDATE transactions SET price = price + 50")  # $350 were lost since
    cards = system_db_manager.get_all_algorithms("running")
    runner = AlgorithmRunner()
    execution = Execution(wrapper)
    stream = WebSocketManager(NoStream())
    cycle = Cycle(execution, Audit(wrapper), Splits(wrapper), runner, stream)
    cycle.follow_cards(cards)
    split(market, 10)
    follow(Splits(wrapper))
    set_clock("2024-06-10T13:32:02Z")
    cycle.follow_cards(cards)
    db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=1)  # the minute's own bar
    valued = value_cards(cards, card_calculations.all_card_sums())[card]
    execution.close()
    runner.close()
    assert abs(valued.today_pnl) < 20


def test_the_history_has_no_step_where_the_split_was(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    bought(wrapper, 7)
    split(market, 10)
    raw = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
    follow(Splits(wrapper))
    adjusted = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
    assert [bar["timestamp"] for bar in adjusted] == [bar["timestamp"] for bar in raw]
    for new, old in zip(adjusted, raw, strict=True):
        assert new["close"] == pytest.approx(old["close"] / 10, abs=0.01)


def closes() -> list[float]:
    return [bar["close"] for bar in db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)]


def test_a_card_that_is_added_after_a_split_sees_no_step_in_what_was_stored_before(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """Its ticker had no card over the weekend: one was stopped on Friday, or only looked at in the page."""
    system_db_manager.stop_algorithm(
        system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    )
    split(market, 10)
    runner, execution = AlgorithmRunner(workers=1), Execution(wrapper)
    stream = WebSocketManager(NoStream())
    cycle = Cycle(execution, Audit(wrapper), Splits(wrapper), runner, stream)
    set_clock("2024-06-10T13:31:04Z")
    cycle.run(floor_minute(clock.now()))
    execution.close()
    runner.close()
    set_clock("2024-06-10T13:41:04Z")
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    found = closes()
    assert len(found) == 60 and max(found) < 2 * min(found)


def test_nor_does_one_that_was_added_before_the_trader_knew_of_the_split(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """The trader starts late on the day; what is known once is not fetched again with each start."""
    split(market, 10)
    set_clock("2024-06-10T13:40:02Z")
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    follow(Splits(wrapper))
    found = closes()
    assert len(found) == 60 and max(found) < 2 * min(found)
    newest = db_manager.newest_bar("NVDA")
    follow(Splits(wrapper))
    assert newest is not None and db_manager.newest_bar("NVDA") == newest
    assert corporate_actions.unsettled() == [] and card_states.all_states() == {}


def test_a_card_without_shares_gets_the_adjusted_history_too(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    split(market, 10)
    raw = db_manager.get_latest_price("NVDA")
    follow(Splits(wrapper))
    bars = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=1)
    assert raw is not None
    assert bars[0]["close"] == pytest.approx(raw / 10, abs=0.01)
    assert labelled(labels.SPLIT) == []


def test_no_crash_leaves_a_split_in_the_ledger_and_not_in_the_history(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """As far as the ledger's own transaction, in which the crash comes here."""
    card = bought(wrapper, 7)
    split(market, 10)
    waiting = order_journal.intend(card, "NVDA", "sell", 1, floor_minute(clock.now()))
    splits = Splits(wrapper)
    follow(splits)  # it is known, and waits for the order
    assert waiting is not None
    order_journal.close_unfilled(waiting.client_order_id, "lost", "never sent")
    system_db_manager.ledger().execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        follow(splits)
    system_db_manager.ledger().execute("PRAGMA query_only = OFF")
    assert card_calculations.calculate_position(card) == 7
    assert db_manager.get_latest_price("NVDA") is None
    follow(splits)
    assert card_calculations.calculate_position(card) == 70


SELLER = """
import card_calculations


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        return ("sell", card_calculations.calculate_position(algo_id))
"""


def test_while_the_record_cannot_be_read_nothing_is_sold_in_shares_of_before(
    market: Exchange, wrapper: AlpacaWrapper, tmp_path: Path
) -> None:
    (tmp_path / "seller.py").write_text(SELLER)
    change(ALGORITHMS_DIR=tmp_path, BRAKE_CARD_DAILY_LOSS=100)
    asked, stopped = bought(wrapper, 7, "seller"), bought(wrapper, 3, "seller")
    split(market, 10)
    card_states.stop_and_sell(stopped)
    market.faults.add({"name": "500", "path": "/v1/corporate-actions"})
    for moment in (MONDAY, "2024-06-10T13:31:02Z"):
        set_clock(moment)
        run_all_algorithms()
    rows = system_db_manager.ledger().execute("SELECT action, reason FROM decisions")
    assert [tuple(row) for row in rows] == [
        ("skipped", "not asked: whether NVDA was split is not known yet")
    ] * 2
    assert wrapper.get_positions()["NVDA"] == 100
    broker = heartbeats.heartbeats()["broker"]
    assert broker.status == "degraded"
    assert broker.message.startswith("Splits could not be looked up: The exchange answered 500")
    (state,) = card_states.all_states().values()
    assert state.reason == "Its sale waits: whether NVDA was split is not known yet."
    market.faults.clear("500")
    set_clock("2024-06-10T13:32:02Z")
    run_all_algorithms()
    for card, shares in ((asked, 70), (stopped, 30)):
        sale = system_db_manager.get_transactions(card)[0]
        assert (sale["type"], sale["shares"]) == ("sell", shares)
    assert "NVDA" not in wrapper.get_positions()


@pytest.mark.parametrize("how", ["nan", "negative", "huge", "null", "missing"])
def test_a_record_of_nonsense_is_no_record(
    market: Exchange, wrapper: AlpacaWrapper, how: str
) -> None:
    """Remembered, such a split would end every cycle from then on, or freeze its ticker for good."""
    card = bought(wrapper, 7)
    split(market, 10)
    refused = 0
    for seed in range(8):
        broken = {"name": "garble", "how": how, "seed": seed, "times": 1}
        market.faults.add({**broken, "path": "/v1/corporate-actions"})
        try:
            follow(Splits(wrapper))
        except ExchangeUnavailable:
            refused += 1
        assert corporate_actions.unsettled() == []
    assert refused > 0
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(card) == 70
    assert card_states.all_states() == {}


def test_a_split_is_none_of_a_card_that_was_added_after_it(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    system_db_manager.create_algorithm("AAPL", "sma_crossover", 50_000)
    split(market, 10)
    follow(Splits(wrapper))
    set_clock("2024-06-10T13:40:02Z")
    card = bought(wrapper, 7)
    set_clock("2024-06-11T13:30:02Z")
    Splits(wrapper).follow(system_db_manager.get_all_algorithms("running"), date(2024, 6, 11))
    assert card_states.all_states() == {}
    assert card_calculations.calculate_position(card) == 7


@pytest.mark.parametrize("first", ["trader", "owner"])
def test_a_split_that_trader_and_owner_settle_at_the_same_time_is_followed_once(
    market: Exchange, wrapper: AlpacaWrapper, first: str
) -> None:
    """One of them has decided, and waits for the ledger that the other is writing."""
    card = bought(wrapper, 7)
    wrapper.place_market_buy("NVDA", 1)
    split(market, 10)
    splits = Splits(wrapper)
    follow(splits)  # 80 at the broker: it is the owner's to say
    before = worth(card)
    if first == "owner":  # the one share is sold by hand, so the trader could follow now
        wrapper.place_market_sell("NVDA", 10)
    ledger = system_db_manager.writable_ledger()
    with sqlite.transaction(ledger) as connection, ThreadPoolExecutor(1) as other:
        if first == "owner":
            late = other.submit(follow, splits)
        else:
            late = other.submit(corrections.accept_broker_figure, "NVDA", Decimal(70))
        until(lambda: db_manager.get_latest_price("NVDA") is None, 30, what="it has begun")
        note = "NVDA: 10:1 split of 2024-06-10"
        labels.correct(connection, card, "sell", 7, 1000.0, labels.SPLIT, note)
        labels.correct(connection, card, "buy", 70, 100.0, labels.SPLIT, note)
        corporate_actions.settle(connection, "NVDA")
        connection.execute("DELETE FROM card_state")
        connection.execute("COMMIT")
        if first == "owner":
            late.result(timeout=30)
        else:
            with pytest.raises(BadInput, match="settled by itself meanwhile"):
                late.result(timeout=30)
        connection.execute("BEGIN")
    assert card_calculations.calculate_position(card) == 70
    assert worth(card) == pytest.approx(before, abs=0.005)


def test_fractions_freeze_and_explain(market: Exchange, wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, 7)
    split(market, 1.5)
    splits, audit = Splits(wrapper), Audit(wrapper)
    follow(splits)
    state = card_states.all_states()[card]
    assert state.state == "frozen"
    assert state.reason.startswith(
        "NVDA: 1.5:1 split of 2024-06-10: 7 shares become 10.5, the broker holds 10.5."
    )
    assert card_calculations.calculate_position(card) == 7
    audit.positions()
    audit.positions()  # more shares than the ledger has are no reason to thaw
    assert card_states.all_states()[card] == state


def test_kept_shares_of_a_stopped_card_are_frozen_and_accepted_too(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    system_db_manager.stop_algorithm(card)
    split(market, 1.5)
    splits = Splits(wrapper)
    for _ in range(2):
        follow(splits)
    state = card_states.all_states()[card]
    assert state.state == "frozen" and "7 shares become 10.5" in state.reason
    told = "SELECT COUNT(*) FROM events WHERE kind = 'frozen'"
    assert system_db_manager.ledger().execute(told).fetchone()[0] == 1
    before = worth(card)
    corrections.accept_broker_figure("NVDA", Decimal(10))
    assert card_calculations.calculate_position(card) == 10
    assert worth(card) == pytest.approx(before, abs=0.01)
    assert card_states.all_states() == {}


def test_a_split_does_not_settle_what_else_was_done_on_its_day(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    split(market, 10)
    corporate_actions.note(CorporateAction("NVDA", SPLIT_DAY, "cash_mergers", "0", "0"))
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(card) == 70
    assert card_states.all_states()[card].reason.startswith("NVDA: cash mergers of 2024-06-10")
    corrections.accept_broker_figure("NVDA", Decimal(70))
    assert card_calculations.calculate_position(card) == 70
    assert card_states.all_states() == {} and corporate_actions.unsettled() == []


def test_what_a_reverse_split_takes_from_kept_shares_was_not_sold_by_hand(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """The trader starts, or hears the broker again, before it has read the day's record."""
    card = bought(wrapper, 8)
    system_db_manager.stop_algorithm(card)
    split(market, 0.25)
    before = worth(card)
    audit = Audit(wrapper)
    for _ in range(2):
        audit.positions()
    assert card_calculations.calculate_position(card) == 8
    assert card_states.all_states()[card].state == "frozen"
    with pytest.raises(BadInput, match="accept the broker's figure then"):
        corrections.accept_broker_figure("NVDA", Decimal(2))
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(card) == 2
    assert worth(card) == pytest.approx(before, abs=0.01)
    assert card_states.all_states() == {}
    assert labelled(labels.SOLD_BY_HAND) == []


def test_the_owners_own_shares_freeze_no_card_without_any(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    wrapper.place_market_buy("NVDA", 1)
    split(market, 10)
    follow(Splits(wrapper))
    assert card_states.all_states() == {}
    assert db_manager.get_latest_price("NVDA") is None  # fetched again, adjusted


def test_a_sale_in_shares_of_before_a_split_is_called_off(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """A card that was stopped with its shares to be sold, before the weekend of a split with fractions."""
    card = bought(wrapper, 7)
    split(market, 1.5)
    card_states.stop_and_sell(card)
    run_all_algorithms()
    assert wrapper.get_positions()["NVDA"] == Decimal("10.5")
    assert card_calculations.calculate_position(card) == 7
    state = card_states.all_states()[card]
    assert state.state == "frozen"
    assert state.reason == (
        "NVDA: 1.5:1 split of 2024-06-10: 7 shares become 10.5, the broker holds 10.5. Accept the"
        " broker's figure when it is final."
        " Its sale was called off: sell its shares again afterwards."
    )
    card_states.stop_and_sell(card)  # too early: nothing is accepted yet
    set_clock("2024-06-10T13:31:02Z")
    run_all_algorithms()
    assert wrapper.get_positions()["NVDA"] == Decimal("10.5")
    assert card_states.all_states()[card].state == "frozen"
    corrections.accept_broker_figure("NVDA", Decimal(10))
    card_states.stop_and_sell(card)
    set_clock("2024-06-10T13:32:02Z")
    run_all_algorithms()
    assert wrapper.get_positions()["NVDA"] == Decimal("0.5")
    assert card_calculations.calculate_position(card) == 0
    assert card_states.all_states() == {}


def test_after_cash_in_lieu_the_owner_accepts_the_figure(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    split(market, 1.5)
    splits = Splits(wrapper)
    follow(splits)
    before = worth(card)
    corrections.accept_broker_figure("NVDA", Decimal(10))
    assert card_calculations.calculate_position(card) == 10
    assert db_manager.get_latest_price("NVDA") is None  # nothing of before the split is left
    assert worth(card) == pytest.approx(before, abs=0.01)  # half a share is cash
    follow(splits)
    follow(Splits(wrapper))
    assert card_states.all_states() == {}


@pytest.mark.parametrize("held", [[10], [7, 3], [3, 5, 2]])
@pytest.mark.parametrize("left", [2, 0])
def test_a_reverse_split_that_the_owner_accepts_makes_no_money(
    market: Exchange, wrapper: AlpacaWrapper, held: list[int], left: int
) -> None:
    """Ten shares become two and a half, and the half is paid out; or all of it."""
    cards = [bought(wrapper, shares) for shares in held]
    split(market, 0.25)
    follow(Splits(wrapper))
    before = sum(worth(card) for card in cards)
    corrections.accept_broker_figure("NVDA", Decimal(left))
    assert sum(card_calculations.calculate_position(card) for card in cards) == left
    assert sum(worth(card) for card in cards) == pytest.approx(before, abs=0.05)
    set_clock("2024-06-10T13:35:02Z")
    (bar,) = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=1)
    assert bar["timestamp"] == "2024-06-10T13:34:00Z"  # in new shares; they have hardly moved
    assert sum(worth(card) for card in cards) == pytest.approx(
        before, abs=0.01 * left * bar["close"] + 0.05
    )
    set_clock(MONDAY)
    assert card_states.all_states() == {}
    rows = system_db_manager.get_all_algorithms()
    today = value_cards(rows, card_calculations.all_card_sums())
    assert sum(worth.today_pnl for worth in today.values()) == pytest.approx(0, abs=0.05)


def test_nor_does_one_whose_history_was_fetched_after_it(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """The terminal was off over the split: the price of the day before is in new shares already."""
    card = bought(wrapper, 10)
    market.faults.add(
        {"name": "split", "symbol": "NVDA", "day": SPLIT_DAY.isoformat(), "ratio": 0.25}
    )
    set_clock("2024-06-10T13:35:02Z")
    bars = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=60)
    follow(Splits(wrapper))
    assert card_states.all_states()[card].state == "frozen"
    spent = card_calculations.calculate_invested_amount(card)
    corrections.accept_broker_figure("NVDA", Decimal(2))
    first = next(bar["close"] for bar in bars if bar["timestamp"] >= "2024-06-10")
    # Ten shares were two and a half, and the half is paid out
    in_lieu = spent - card_calculations.calculate_invested_amount(card)
    assert in_lieu == pytest.approx(0.5 * first, abs=0.01)
    assert card_calculations.calculate_position(card) == 2


def test_accepting_a_split_gives_no_card_the_owners_own_shares(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    wrapper.place_market_buy("NVDA", 9)
    split(market, 10)
    follow(Splits(wrapper))
    before = worth(card)
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert card_calculations.calculate_position(card) == 70
    assert worth(card) == pytest.approx(before, abs=0.005)
    assert wrapper.get_positions()["NVDA"] == 160
    assert card_states.all_states() == {} and corporate_actions.unsettled() == []


@pytest.mark.parametrize(("held", "traded"), [(7, 5), (7, -3), (0, 5)])
def test_a_split_whose_record_comes_late_leaves_new_shares_as_they_are(
    market: Exchange, wrapper: AlpacaWrapper, held: int, traded: int
) -> None:
    """The card traded in new shares before anybody knew: only those of before become ten."""
    card = bought(wrapper, held) if held else new_card()
    split(market, 10)
    set_clock("2024-06-10T13:31:02Z")
    trade(wrapper, card, traded)
    paid = cash(card)
    follow(Splits(wrapper))
    assert card_states.all_states() == {}
    assert card_calculations.calculate_position(card) == held * 10 + traded
    assert wrapper.get_positions()["NVDA"] == held * 10 + traded
    assert cash(card) == pytest.approx(paid, abs=0.005)


def test_a_split_whose_day_is_corrected_afterwards_is_followed_once(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    split(market, 10)
    follow(Splits(wrapper))
    market.faults.clear()
    market.faults.add({"name": "split", "symbol": "NVDA", "day": "2024-06-11", "ratio": 10})
    with closing(sqlite3.connect(settings.current().simulator_db)) as account, account:
        account.execute("UPDATE splits SET day = '2024-06-11'")  # the one that was carried out
    set_clock("2024-06-11T13:30:02Z")
    cards = system_db_manager.get_all_algorithms("running")
    Splits(wrapper).follow(cards, date(2024, 6, 11))
    assert wrapper.get_positions()["NVDA"] == 70
    assert card_calculations.calculate_position(card) == 70
    assert card_states.all_states() == {}


def test_a_record_that_comes_days_late_is_found(market: Exchange, wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, 7)
    cards = system_db_manager.get_all_algorithms("running")
    for day in (10, 11, 12):
        set_clock(f"2024-06-{day}T13:30:02Z")
        Splits(wrapper).follow(cards, date(2024, 6, day))
    market.faults.add({"name": "split", "symbol": "NVDA", "day": "2024-06-10", "ratio": 10})
    set_clock("2024-06-13T13:30:02Z")
    for _ in range(2):
        Splits(wrapper).follow(cards, date(2024, 6, 13))
    assert card_calculations.calculate_position(card) == 70
    assert card_states.all_states() == {}


@pytest.mark.parametrize("traded", [5, -3])
def test_nor_does_accepting_its_figure_value_them_as_old_ones(
    market: Exchange, wrapper: AlpacaWrapper, traded: int
) -> None:
    card = bought(wrapper, 7)
    wrapper.place_market_buy("NVDA", 3)  # the owner's own: the figure fits no sum of the ledger
    split(market, 10)
    set_clock("2024-06-10T13:31:02Z")
    trade(wrapper, card, traded)
    paid = cash(card)
    follow(Splits(wrapper))
    assert card_states.all_states()[card].state == "frozen"
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert card_calculations.calculate_position(card) == 70 + traded
    assert cash(card) == pytest.approx(paid, abs=0.01)  # no money was made


def test_what_a_card_did_not_know_it_had_is_told_where_it_sold_all(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    split(market, 10)
    set_clock("2024-06-10T13:31:02Z")
    trade(wrapper, card, -7)
    follow(Splits(wrapper))
    follow(Splits(wrapper))
    told = system_db_manager.ledger().execute(
        "SELECT algorithm_id, message FROM events WHERE kind = 'split-late'"
    )
    [(told_of, message)] = told.fetchall()
    assert told_of == card and "had sold 7 shares of after it: 63 more were its own" in message
    assert wrapper.get_positions()["NVDA"] == 63


def test_nor_one_that_the_owner_accepted_before_the_record_came(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 8)
    split(market, 0.25)
    corporate_actions.note_read(SPLIT_DAY)  # and the split was not in it
    audit = Audit(wrapper)
    for _ in range(2):
        audit.positions()
    corrections.accept_broker_figure("NVDA", Decimal(2))
    paid = cash(card)
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(card) == 2
    assert cash(card) == pytest.approx(paid, abs=0.005)
    assert card_states.all_states() == {} and corporate_actions.unsettled() == []


def test_an_order_of_before_the_split_that_is_settled_after_it_was_in_old_shares(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    """Filled in part on Friday, while the terminal was off; its record says no more than when it ended."""
    card = new_card()
    market.faults.add({"name": "partial_fill", "fraction": 0.4, "then": "canceled", "times": 1})
    order = order_journal.intend(card, "NVDA", "buy", 10, floor_minute(clock.now()))
    assert order is not None
    wrapper.submit("NVDA", "buy", 10, order.client_order_id)
    until(lambda: wrapper.find(order.client_order_id).is_terminal, what="it ended")
    split(market, 10)
    Execution(wrapper).reconcile()
    [row] = system_db_manager.get_transactions(card)
    assert (row["shares"], row["timestamp"]) == (4, FRIDAY)
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(card) == 40


@pytest.mark.parametrize(("kind", "shares"), [("spin_offs", 10), ("stock_dividends", 15)])
def test_nor_does_accepting_anything_else_but_what_makes_shares_more(
    market: Exchange, wrapper: AlpacaWrapper, kind: str, shares: int
) -> None:
    card = bought(wrapper, 10)
    wrapper.place_market_buy("NVDA", 5)
    set_clock(MONDAY)
    corporate_actions.note(CorporateAction("NVDA", SPLIT_DAY, kind, "0", "0"))
    follow(Splits(wrapper))
    corrections.accept_broker_figure("NVDA", Decimal(15))
    assert card_calculations.calculate_position(card) == shares
    assert card_states.all_states() == {}


def test_accepting_a_stock_dividend_gives_a_card_what_was_paid_on_its_own_shares(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 30)
    wrapper.place_market_buy("NVDA", 5)  # the owner's own
    set_clock(MONDAY)
    row = {"symbol": "NVDA", "ex_date": SPLIT_DAY.isoformat(), "rate": 0.05}
    [dividend] = splits_module._actions("stock_dividends", row)
    corporate_actions.note(dividend)
    follow(Splits(wrapper))
    assert card_states.all_states()[card].reason.startswith("NVDA: stock dividends of 2024-06-10")
    corrections.accept_broker_figure("NVDA", Decimal(36))  # 35 and 1.75, of which 0.75 was paid out
    assert card_calculations.calculate_position(card) == 31
    assert card_states.all_states() == {} and corporate_actions.unsettled() == []


def test_two_cards_each_get_their_own_shares(market: Exchange, wrapper: AlpacaWrapper) -> None:
    first, second = bought(wrapper, 4), bought(wrapper, 6)
    split(market, 0.5)
    follow(Splits(wrapper))
    assert card_calculations.calculate_position(first) == 2
    assert card_calculations.calculate_position(second) == 3
    assert card_states.all_states() == {}


def test_where_one_card_would_get_half_a_share_all_freeze(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    first, second = bought(wrapper, 3), bought(wrapper, 5)
    split(market, 0.5)  # 8 become 4, but 3 would be 1.5
    follow(Splits(wrapper))
    assert set(card_states.all_states()) == {first, second}


@pytest.mark.parametrize("shares", [0, 7])
def test_any_other_action_freezes_whether_a_card_holds_or_not(
    market: Exchange, wrapper: AlpacaWrapper, shares: int
) -> None:
    if shares:
        card = bought(wrapper, shares)
    else:
        card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    set_clock(MONDAY)
    merger = CorporateAction("NVDA", SPLIT_DAY, "cash_mergers", "0", "0")
    corporate_actions.note(merger)
    follow(Splits(wrapper))
    reason = card_states.all_states()[card].reason
    assert reason.startswith("NVDA: cash mergers of 2024-06-10: this cannot be carried out")
    corrections.accept_broker_figure("NVDA", Decimal(shares))
    follow(Splits(wrapper))
    assert card_states.all_states() == {}


def test_shares_bought_by_hand_make_it_a_matter_for_the_owner(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, 7)
    wrapper.place_market_buy("NVDA", 1)
    split(market, 10)
    follow(Splits(wrapper))
    assert "the broker holds 80" in card_states.all_states()[card].reason
