"""History is at hand before it is asked for: of what was split as well, unless its shares are of before."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from database import db_manager
from orchestra.base import settings, sqlite
from orchestra.prefetch import Prefetch
from orchestra.simulator import Exchange
from system_databse import create_system_db, system_db_manager
from tests.exchange_fixture import running_exchange, set_clock

THURSDAY, SPLIT_DAY, SATURDAY = "2024-06-06T15:00:00Z", "2024-06-07", "2024-06-08T15:00:00Z"
TICKERS = {"AAPL", "MSFT", "NVDA"}


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """The market is closed, for it is Saturday."""
    with running_exchange(MARKET_CLOCK_START=SATURDAY) as running:
        create_system_db.create_database()
        yield running


def at_hand() -> set[str]:
    return {ticker for ticker in TICKERS if db_manager.newest_bar(ticker) is not None}


def test_a_card_that_is_added_after_a_split_has_its_history_before_the_next_open(
    exchange: Exchange,
) -> None:
    set_clock(THURSDAY)
    system_db_manager.create_algorithm("AAPL", "buy_and_hold", 10_000)
    set_clock(SATURDAY)
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    for ticker in ("AAPL", "NVDA"):
        exchange.faults.add({"name": "split", "symbol": ticker, "day": SPLIT_DAY, "ratio": 10})
    Prefetch().have({"AAPL", "NVDA"})
    assert at_hand() == {"NVDA"}  # AAPL's shares would be of before its split


def test_a_record_of_splits_that_cannot_be_read_is_asked_again_after_minutes(
    exchange: Exchange,
) -> None:
    exchange.faults.add({"name": "500", "path": "/v1/corporate-actions", "times": 1})
    history = Prefetch()
    history.have({"NVDA"})
    history.have({"NVDA"})  # half a minute later, say
    assert at_hand() == set()
    history.have({"AAPL", "NVDA"})
    assert at_hand() == {"AAPL"}  # one that is new waits for nobody
    history._left_until = 0.0
    history.have({"AAPL", "NVDA"})
    assert at_hand() == {"AAPL", "NVDA"}


def test_a_stocks_db_that_is_locked_is_waited_for_once_and_no_ticker_counts_as_seen(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    history = Prefetch()
    assert at_hand() == set()
    with closing(sqlite.connect(settings.current().stocks_db_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.have(TICKERS)
        other.execute("ROLLBACK")
    told = [each.getMessage() for each in caplog.records if "cannot be fetched" in each.message]
    assert len(told) == 1 and "locked" in told[0]
    history.have(TICKERS)
    assert at_hand() == TICKERS
