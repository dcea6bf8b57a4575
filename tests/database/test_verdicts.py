"""Each open minute of a ticker has one verdict, and gaps are closed in few requests."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from database import arrivals, db_manager, gaps, schema, verdicts
from database.historical_pull import HistoricalFetcher
from database.session_data import SessionData, session_data
from database.verdicts import Verdict
from orchestra.base import settings
from orchestra.base import sqlite as house_sqlite
from orchestra.base.market_calendar import nyse
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
    for minute in ("2024-06-04T13:31:00Z", "2024-06-04T13:32:00Z"):
        arrivals.note_asked(utc(minute), ["NVDA"])
    assert words("NVDA", OPEN, "2024-06-04T20:00:00Z") == ["bar", "missing", "missing", "missing"]
    assert verdicts.late_since(utc(OPEN)) == 0
    late, on_time = "2024-06-04T13:31:00Z", "2024-06-04T13:33:00Z"
    db_manager.insert_minute_bars([("NVDA", bar(late))], {late: {"NVDA": 170_000}})
    assert verdicts.late_since(utc(OPEN)) == 1
    db_manager.insert_minute_bars([("NVDA", bar(on_time))], {on_time: {"NVDA": 250}})
    arrivals.note_asked(utc(on_time), [])
    assert words("NVDA", OPEN, on_time) == ["bar", "late", "missing", "bar"]
    found = verdicts.verdicts("NVDA", OPEN, on_time)
    assert found[0] == Verdict(OPEN, "bar")  # history: nobody waited for it
    assert found[1].delay == 170.0 and found[1].arrived_at == "2024-06-04T13:34:50Z"
    assert found[1].asked_at == "2024-06-04T13:34:03Z" and found[1].way == "streamed"
    assert found[3] == Verdict(
        on_time, "bar", "2024-06-04T13:34:03Z", "2024-06-04T13:34:00Z", 0.25, "streamed"
    )
    assert verdicts.late_since(utc(OPEN)) == 1
    db_manager.insert_minute_bars([("NVDA", bar(late, 11.0)), ("NVDA", bar(on_time, 11.0))])
    assert arrivals.prune(utc("2024-06-04T13:32:00Z")) == 1
    assert words("NVDA", OPEN, late) == ["bar", "bar"]
    assert [each["timestamp"] for each in db_manager.replaced_bars("NVDA", OPEN, on_time)] == [
        on_time
    ]


def test_a_bars_first_arrival_and_a_minutes_first_asking_count(at: At) -> None:
    at("2024-06-04T13:31:02Z")
    arrivals.note_asked(utc(OPEN), ["NVDA"])
    for ms in (40, 30_000):  # the bar, and half a minute later its correction
        db_manager.insert_minute_bars([("NVDA", bar(OPEN))], {OPEN: {"NVDA": ms}})
    db_manager.insert_minute_bars([("BRK.B", bar(OPEN))], {OPEN: {"BRK.B": 5000}})
    at("2024-06-04T13:40:00Z")
    arrivals.note_asked(utc(OPEN), [])
    known = arrivals.between(OPEN, OPEN)[OPEN]
    assert {ticker: each.milliseconds for ticker, each in known.came.items()} == {
        "NVDA": 40,
        "BRK.B": 5000,
    }
    assert known.asked is not None and 2000 <= known.asked < 60_000
    assert known.lacking == {"NVDA"}
    assert words("BRK.B", OPEN, OPEN) == ["late"]


def test_a_session_in_figures(at: At) -> None:
    at("2024-06-04T13:36:03Z")  # six minutes have ended
    minutes = [f"2024-06-04T13:3{n}:00Z" for n in range(6)]
    for ticker, delays in {"NVDA": (100, 200, 300, 9000, 400), "BRK.B": (50,)}.items():
        for minute, ms in zip(minutes, delays, strict=False):
            db_manager.insert_minute_bars([(ticker, bar(minute))], {minute: {ticker: ms}})
            at("2024-06-04T13:36:03Z")
    for close in (10.5, 10.5, 10.25):  # two corrections and a repetition, of one bar
        db_manager.insert_minute_bars([("BRK.B", bar(minutes[0], close))])
    assert [each["close"] for each in db_manager.replaced_bars("BRK.B", OPEN, OPEN)] == [10, 10.5]
    with house_sqlite.transaction(schema.stocks()) as connection:
        number = gaps.number_of(minutes[1])
        gaps.cover(connection, "BRK.B", (number, number + 2))
        arrivals.note(connection, "fetched", {minutes[4]: {"NVDA": 350}})
        connection.execute("UPDATE arrivals SET asked = 3000")
    session = nyse().session_at(utc(OPEN))
    assert session is not None
    assert session_data(["NVDA", "BRK.B"], session) == SessionData(
        minutes=12,
        on_time=5,
        late=1,
        no_trade=3,
        missing=3,
        gaps_closed=1,  # REST was faster than the stream
        corrected=1,
        delay_median=0.2,  # of 0.05 0.1 0.2 0.3 0.35 9.0
        delay_p99=9.0,
        delay_longest=9.0,
    )
    at("2024-06-04T13:00:00Z")
    empty = session_data(["NVDA"], session)
    assert (empty.minutes, empty.delay_median) == (0, None)


def test_the_exchange_says_that_there_was_no_trade(exchange: Exchange) -> None:
    exchange.faults.add({"name": "missing_bars", "where": "both", "symbols": ["NVDA"]})
    minute = "2024-06-04T14:20:00Z"
    arrivals.note_asked(utc(minute), ["NVDA"])
    assert words("NVDA", minute, minute) == ["missing"]
    HistoricalFetcher().fetch("NVDA", minute, minute)
    assert words("NVDA", minute, minute) == ["no trade"]
    assert verdicts.late_since(utc(OPEN)) == 0


def test_a_late_answer_over_rest_counts_as_late(exchange: Exchange) -> None:
    minute = "2024-06-04T14:20:00Z"
    arrivals.note_asked(utc(minute), ["SPY"])
    HistoricalFetcher().fetch("SPY", minute, minute)
    assert words("SPY", minute, minute) == ["late"]
    assert verdicts.late_since(utc(OPEN)) == 1
    HistoricalFetcher().fetch("QQQ", minute, minute)  # for which no cycle has waited
    assert verdicts.verdicts("QQQ", minute, minute) == [
        Verdict(minute, "bar", "2024-06-04T14:30:00Z")
    ]


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
    found = verdicts.verdicts("QQQ", "2024-06-03T14:29:00Z", "2024-06-03T14:30:00Z")
    assert found[0] == Verdict("2024-06-03T14:29:00Z", "bar")
    assert found[1].way == "fetched" and found[1].delay == 3 * 86_400 - 30


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
    for later in ("TRIGGER bars_replaced", "TABLE replaced_bars", "TABLE arrivals"):
        old.execute(f"DROP {later}")
    old.execute("CREATE TABLE awaited (ticker TEXT, minute TEXT)")
    old.execute("DELETE FROM sessions WHERE day = '2024-06-05'")
    old.execute("UPDATE contents SET value = '2' WHERE key = 'schema_version'")
    old.commit()
    old.close()
    change(ALPACA_DATA_URL=f"http://127.0.0.1:{free_port()}")
    arrivals.note_asked(utc("2024-06-04T13:31:00Z"), ["NVDA"])
    assert words("NVDA", OPEN, "2024-06-04T13:31:00Z") == ["bar", "missing"]
    kept = house_sqlite.kept(path, synchronous="NORMAL")
    assert kept.execute("SELECT count(*) FROM sessions").fetchone()[0] == 3_265
