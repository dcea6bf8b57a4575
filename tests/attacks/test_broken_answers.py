"""The official client against an exchange that answers with nonsense: named errors, no made-up figures."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from database.historical_pull import HistoricalFetcher
from orchestra import exchange as clients
from orchestra.account_reader import AccountReader
from orchestra.alpaca_wrapper import AlpacaWrapper, BrokerOrder
from orchestra.audit import Audit
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable, OrderUnsettled
from orchestra.broker_calendar import BrokerCalendar, broker_sessions
from orchestra.first_contact import make_first_contact
from orchestra.simulator import Exchange
from orchestra.simulator.garbling import HOWS
from orchestra.splits import Splits
from system_databse import system_db_manager
from tests.exchange_fixture import OPEN_MARKET, change, running_exchange

NOW = clock.parse(OPEN_MARKET)
TODAY = date(2024, 6, 4)
SEEDS = 4  # with more, the exchange's rate limit would answer instead of its faults
FILLED = ("filled", 2, 211.54)  # two AAPL at 10:30 New York on 2024-06-04
Call = Callable[[AlpacaWrapper], Any]


@dataclass
class Broker:
    """The broker, and the exchange behind it that can be told to answer nonsense."""

    wrapper: AlpacaWrapper
    exchange: Exchange

    def breaks(self, how: str, seed: int, path: str = "/") -> None:
        self.is_well()
        self.exchange.faults.add({"name": "garble", "how": how, "seed": seed, "path": path})

    def is_well(self) -> None:
        self.exchange.faults.clear()


def is_sane(found: object) -> bool:
    """Whether every number of an answer that was believed is one."""
    if isinstance(found, BrokerOrder):
        return found.filled_shares >= 0 and (found.filled_price or 1) > 0
    if isinstance(found, dict):
        return all(map(is_sane, found.values()))
    if isinstance(found, list):
        return all(map(is_sane, found))
    return not isinstance(found, float) or math.isfinite(found)


READS: dict[str, Call] = {
    "cash": lambda wrapper: wrapper.get_account_cash(),
    "cash for the page": lambda _: AccountReader().get_account_cash(),
    "account number": lambda wrapper: wrapper.get_account_number(),
    "time": lambda wrapper: wrapper.get_time(),
    "ticker": lambda wrapper: wrapper.validate_ticker("AAPL"),
    "tickers": lambda wrapper: wrapper.get_tradable_assets(),
    "positions": lambda wrapper: wrapper.get_positions(),
    "orders": lambda wrapper: wrapper.orders_since(NOW - timedelta(days=1)),
    "an order": lambda wrapper: wrapper.find("apac-known"),
    "calendar": lambda _: broker_sessions(TODAY, TODAY + timedelta(days=30)),
    "source": lambda _: clients.source_label(),
    "history": lambda _: HistoricalFetcher().fetch(
        "MSFT", "2024-06-03T13:30:00Z", "2024-06-03T14:30:00Z"
    ),
    "gaps": lambda _: HistoricalFetcher().close_gaps(["NVDA"], NOW - timedelta(minutes=1)),
    "splits": lambda wrapper: Splits(wrapper).follow(
        system_db_manager.get_all_algorithms("running"), TODAY
    ),
    "first contact": make_first_contact,
    "audit of orders": lambda wrapper: Audit(wrapper).orders(),
    "audit of positions": lambda wrapper: Audit(wrapper).positions(),
    "calendar's follower": lambda _: BrokerCalendar().follow(),
}


@contextmanager
def broker() -> Iterator[Broker]:
    """An exchange of its own, met once while it was well."""
    with running_exchange() as running:
        wrapper = AlpacaWrapper()
        make_first_contact(wrapper)
        yield Broker(wrapper, running)


def read_everything(broker: Broker, how: str, seeds: Iterable[int]) -> None:
    card = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    filled = broker.wrapper.follow(broker.wrapper.submit("AAPL", "buy", 3, "apac-known"))
    system_db_manager.record_buy(card, 3, filled.filled_price or 0)
    refused = 0
    for seed in seeds:
        broker.breaks(how, seed)
        for what, read in READS.items():
            try:
                assert is_sane(read(broker.wrapper)), f"{what} was believed with seed {seed}"
            except AutoTraderError:
                refused += 1
            except Exception as error:
                error.add_note(f"{what}, {how}, seed {seed}")
                raise
    assert refused > 0
    broker.is_well()
    assert broker.wrapper.get_positions() == {"AAPL": 3}
    assert broker.wrapper.get_account_cash() == 100_000 - 3 * 211.54


def order_again_and_again(broker: Broker, how: str, seeds: Iterable[int]) -> None:
    shares = 0
    for seed in seeds:
        broker.breaks(how, seed, "/v2/orders")
        name = f"apac-fuzz-{seed}"
        try:
            order = broker.wrapper.follow(broker.wrapper.submit("AAPL", "buy", 2, name))
            assert told(order) == FILLED, f"believed with seed {seed}"
        except OrderUnsettled:
            pass
        broker.is_well()
        found = broker.wrapper.find(name)
        assert found is not None
        assert told(broker.wrapper.follow(found)) == FILLED
        shares += 2
    assert broker.wrapper.get_positions() == {"AAPL": shares}


@pytest.mark.parametrize("how", ["enums", "negative"])
def test_a_position_of_nonsense_is_no_position(how: str) -> None:
    """An order's or a position's words and signs are held against each other: no card is frozen for them."""
    with broker() as found:
        found.wrapper.follow(found.wrapper.submit("AAPL", "buy", 3, "apac-known"))
        refused = 0
        for seed in range(12):
            found.breaks(how, seed)
            try:
                assert found.wrapper.get_positions() == {"AAPL": 3}
                [order] = found.wrapper.orders_since(NOW - timedelta(days=1))
                assert (order.ticker, order.side) == ("AAPL", "buy")
            except ExchangeUnavailable:
                refused += 1
        assert 0 < refused < 12


def told(order: BrokerOrder) -> tuple[str, int, float | None]:
    return order.status, order.filled_shares, order.filled_price


@pytest.mark.parametrize("how", HOWS)
def test_reading_gives_sense_or_a_named_error(how: str) -> None:
    with broker() as met:
        read_everything(met, how, range(SEEDS))


@pytest.mark.parametrize("how", HOWS)
def test_an_order_is_what_it_was_or_unsettled(how: str) -> None:
    """Whatever the broker answers to an order, asking again when it is well tells the truth."""
    with broker() as met:
        order_again_and_again(met, how, range(SEEDS))


@pytest.mark.long
@pytest.mark.parametrize("how", HOWS)
def test_much_more_nonsense(how: str, tmp_path: Path) -> None:
    for first in range(SEEDS, 7 * SEEDS, SEEDS):
        change(SYSTEM_DB=tmp_path / f"{first}.db", STOCKS_DB=tmp_path / f"{first}-stocks.db")
        change(SIMULATOR_DB=tmp_path / f"{first}-simulator.db")
        with broker() as met:
            read_everything(met, how, range(first, first + SEEDS))
        change(
            SIMULATOR_DB=tmp_path / f"{first}-simulator-2.db", SYSTEM_DB=tmp_path / f"{first}-2.db"
        )
        with broker() as met:
            order_again_and_again(met, how, range(first, first + SEEDS))
