"""What is done once after each close, and at a start for the closes that were missed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import pytest
import requests

from database.historical_pull import HistoricalFetcher
from orchestra import housekeeping
from orchestra.base import clock, settings, sqlite
from orchestra.simulator import Exchange
from system_databse import create_system_db, daily_reports, system_db_manager
from tests.exchange_fixture import running_exchange, set_clock
from tests.processes import BROKER_KEYS

THE_CUT, THE_LAST_MINUTE = "2024-06-04T19:00:10Z", "2024-06-04T19:59:00Z"
CAPITAL, SHARES, PRICE = 10_000, 10, 100.0


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """One that goes on by itself; the power is cut an hour before the close, at 18:59's bar."""
    with running_exchange(MARKET_CLOCK_START=THE_CUT) as running:
        create_system_db.create_database()
        yield running


def bought(ticker: str, at: str) -> int:
    card = system_db_manager.create_algorithm(ticker, "buy_and_hold", CAPITAL)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        system_db_manager.insert_transaction(connection, card, "buy", SHARES, PRICE, at)
    HistoricalFetcher().fetch(ticker, "2024-06-03T13:30:00Z", THE_CUT)
    return card


def close_at(exchange: Exchange, ticker: str, minute: str) -> float:
    """What the exchange itself says of a minute."""
    answer = requests.get(
        f"{exchange.url}/v2/stocks/bars",
        params={"symbols": ticker, "timeframe": "1Min", "start": minute, "end": minute},
        headers=BROKER_KEYS,
        timeout=10,
    )
    return float(answer.json()["bars"][ticker][0]["c"])


@pytest.mark.parametrize("back_at", ["2024-06-05T12:00:00Z", "2024-06-05T15:00:00Z"])
def test_a_day_that_the_power_ended_is_reported_at_its_close(
    exchange: Exchange, back_at: str
) -> None:
    bought("NVDA", "2024-06-04T15:00:00Z")
    kept = bought("AAPL", "2024-06-03T15:00:00Z")
    system_db_manager.stop_algorithm(kept)
    set_clock(back_at)
    housekeeping.make_reports(clock.now())
    found = daily_reports.find(date(2024, 6, 4))
    assert found is not None
    assert found["bars"]["missing"] == 0
    totals = {card["ticker"]: card["total"] for card in found["pnl"]["cards"]}
    assert totals == {
        ticker: pytest.approx(
            SHARES * (close_at(exchange, ticker, THE_LAST_MINUTE) - PRICE), abs=0.01
        )
        for ticker in ("AAPL", "NVDA")
    }


def test_shares_of_before_a_split_are_reported_at_a_price_of_before_it(exchange: Exchange) -> None:
    bought("NVDA", "2024-06-04T15:00:00Z")
    before = close_at(exchange, "NVDA", "2024-06-04T18:59:00Z")
    exchange.faults.add({"name": "split", "symbol": "NVDA", "day": "2024-06-05", "ratio": 10})
    set_clock("2024-06-05T12:00:00Z")
    housekeeping.make_reports(clock.now())
    found = daily_reports.find(date(2024, 6, 4))
    assert found is not None
    assert found["pnl"]["total"] == pytest.approx(SHARES * (before - PRICE), abs=0.01)


def test_a_report_is_made_without_the_bars_that_cannot_be_had(exchange: Exchange) -> None:
    bought("NVDA", "2024-06-04T15:00:00Z")
    exchange.stop()
    set_clock("2024-06-05T12:00:00Z")
    housekeeping.make_reports(clock.now())
    found = daily_reports.find(date(2024, 6, 4))
    assert found is not None
    assert found["bars"]["missing"] == 60


def test_nor_does_it_wait_for_bars_that_cannot_be_stored(exchange: Exchange) -> None:
    bought("NVDA", "2024-06-04T15:00:00Z")
    set_clock("2024-06-05T12:00:00Z")
    with closing(sqlite.connect(settings.current().stocks_db_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        housekeeping.make_reports(clock.now())
        other.execute("ROLLBACK")
    found = daily_reports.find(date(2024, 6, 4))
    assert found is not None
    assert found["bars"]["missing"] == 60
