"""Each open minute of a ticker has one verdict, and gaps are closed in few requests."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from database import db_manager, verdicts
from database.historical_pull import HistoricalFetcher
from orchestra.base import settings
from orchestra.base import sqlite as house_sqlite
from orchestra.simulator import Exchange
from tests.conftest import Configure
from tests.database.conftest import At, bar
from tests.exchange_fixture import change, free_port, running_exchange, set_clock

OPEN = "2024-06-04T13:30:00Z"


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


def words(ticker: str, start: str, end: str) -> list[str]:
    return [found.verdict for found in verdicts.verdicts(ticker, start, end)]


def utc(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone(UTC)


def test_the_four_verdicts(at: At) -> None:
    at("2024-06-04T13:34:03Z")
    db_manager.insert_historical_data("NVDA", [bar("2024-06-04T13:30:00Z")])
    verdicts.note_awaited(["NVDA"], "2024-06-04T13:31:00Z")
    verdicts.note_awaited(["NVDA"], "2024-06-04T13:32:00Z")
    assert words("NVDA", OPEN, "2024-06-04T20:00:00Z") == ["bar", "missing", "missing", "missing"]
    assert verdicts.late_since(utc(OPEN)) == 0
    db_manager.insert_minute_bars([("NVDA", bar("2024-06-04T13:31:00Z"))])
    assert verdicts.late_since(utc(OPEN)) == 1
    db_manager.insert_minute_bars([("NVDA", bar("2024-06-04T13:33:00Z"))])
    assert words("NVDA", OPEN, "2024-06-04T13:33:00Z") == ["bar", "late", "missing", "bar"]
    late = verdicts.verdicts("NVDA", OPEN, "2024-06-04T13:33:00Z")[1]
    assert late.asked_at is not None and late.arrived_at is not None
    assert "2024-06-04T13:34:03Z" <= late.asked_at <= late.arrived_at
    assert verdicts.prune(utc("2024-06-04T13:32:00Z")) == 1
    assert words("NVDA", OPEN, "2024-06-04T13:31:00Z") == ["bar", "bar"]


def test_the_exchange_says_that_there_was_no_trade(exchange: Exchange) -> None:
    exchange.faults.add({"name": "missing_bars", "where": "both", "symbols": ["NVDA"]})
    minute = "2024-06-04T14:20:00Z"
    verdicts.note_awaited(["NVDA"], minute)
    assert words("NVDA", minute, minute) == ["missing"]
    HistoricalFetcher().fetch("NVDA", minute, minute)
    assert words("NVDA", minute, minute) == ["no trade"]
    verdicts.note_awaited([], "2024-06-04T14:21:00Z")
    left = house_sqlite.kept(settings.current().stocks_db_path, synchronous="NORMAL")
    assert left.execute("SELECT count(*) FROM awaited").fetchone()[0] == 0


def test_a_late_answer_over_rest_counts_as_late(exchange: Exchange) -> None:
    minute = "2024-06-04T14:20:00Z"
    verdicts.note_awaited(["SPY"], minute)
    HistoricalFetcher().fetch("SPY", minute, minute)
    assert words("SPY", minute, minute) == ["late"]


def asked_of(exchange: Exchange) -> int:
    """How many bar requests have been answered, by the rate limit's own count."""
    headers = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}
    answer = requests.get(
        f"{exchange.url}/v2/stocks/bars/latest?symbols=SPY", headers=headers, timeout=5
    )
    return int(answer.headers["X-RateLimit-Limit"]) - int(answer.headers["X-RateLimit-Remaining"])


def test_holes_close_together_however_they_came_about(exchange: Exchange) -> None:
    set_clock("2024-06-03T14:30:30Z")
    fetcher = HistoricalFetcher()
    for ticker in ("SPY", "QQQ"):
        fetcher.fetch(ticker, "2024-05-31T13:30:00Z", "2024-06-03T14:29:00Z")
    set_clock("2024-06-06T14:30:30Z")  # three days without power
    # The stream is back already: its bar must not hide the hole behind it
    db_manager.insert_minute_bars([("SPY", bar("2024-06-06T14:29:00Z"))])
    last = utc("2024-06-06T14:29:00Z")
    before = asked_of(exchange)
    stored = fetcher.close_gaps(["QQQ", "SPY"], last)
    assert asked_of(exchange) - before == 2  # one for both tickers, and the question itself
    assert stored > 1_500
    for ticker in ("SPY", "QQQ"):
        missing = db_manager.check_data_exists(
            ticker, "2024-05-31T13:30:00Z", "2024-06-06T14:29:00Z"
        )
        assert missing == []
    assert fetcher.close_gaps(["QQQ", "SPY"], last) == 0
    assert asked_of(exchange) - before == 3


def test_history_that_was_never_followed_is_no_gap(exchange: Exchange) -> None:
    last = utc("2024-06-04T14:29:00Z")
    HistoricalFetcher().close_gaps(["SPY"], last)
    oldest = db_manager.get_historical_data("SPY", "2024-01-01T00:00:00Z", "2024-06-04T20:00:00Z")
    assert [each["timestamp"] for each in oldest] == ["2024-06-04T14:29:00Z"]


def test_an_older_file_gets_the_table_it_lacks_and_keeps_its_corrections(
    at: At, configure: Configure
) -> None:
    at("2024-06-04T14:30:00Z")
    db_manager.insert_historical_data("NVDA", [bar("2024-06-04T13:30:00Z")])
    house_sqlite.close_kept()
    path = settings.current().stocks_db_path
    old = sqlite3.connect(path)
    old.execute("DROP TABLE awaited")
    old.execute("DELETE FROM sessions WHERE day = '2024-06-05'")
    old.execute("UPDATE contents SET value = '1' WHERE key = 'schema_version'")
    old.commit()
    old.close()
    change(ALPACA_DATA_URL=f"http://127.0.0.1:{free_port()}")
    verdicts.note_awaited(["NVDA"], "2024-06-04T13:31:00Z")
    assert words("NVDA", OPEN, "2024-06-04T13:31:00Z") == ["bar", "missing"]
    kept = house_sqlite.kept(path, synchronous="NORMAL")
    assert kept.execute("SELECT count(*) FROM sessions").fetchone()[0] == 3_265
