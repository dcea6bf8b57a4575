"""Reading and writing the bars themselves. The one place that decides which bars may be seen."""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice
from operator import itemgetter, lt
from typing import Any

from database import checks, gaps
from database.calendar import calendar
from orchestra.base import clock
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import MINUTE, MarketCalendar, floor_minute

Bar = dict[str, Any]
Row = tuple[Any, ...]  # ticker, timestamp, open, high, low, close, volume

NEWEST = """SELECT timestamp, open, high, low, close, volume FROM bars
            WHERE ticker = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT ?"""
BETWEEN = """SELECT timestamp, open, high, low, close, volume FROM bars
             WHERE ticker = ? AND timestamp >= ? AND timestamp <= ? ORDER BY timestamp"""
COUNT = """SELECT count(*) FROM bars WHERE ticker = ? AND timestamp >= ? AND timestamp <= ?"""
REPLACED = """SELECT timestamp, open, high, low, close, volume FROM replaced_bars
              WHERE ticker = ? AND timestamp >= ? AND timestamp <= ? ORDER BY timestamp, rowid"""
PRICE = """SELECT close FROM bars WHERE ticker = ? AND timestamp <= ?
           ORDER BY timestamp DESC LIMIT 1"""
ADD = "INSERT OR IGNORE INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)"
FIGURES = itemgetter(*checks.FIELDS)
REPLACE = """INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (ticker, timestamp) DO UPDATE SET open = excluded.open,
             high = excluded.high, low = excluded.low, close = excluded.close,
             volume = excluded.volume"""
_minute = (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), "")


def newest_visible(before: object = None) -> datetime:
    """The newest minute whose bar may be seen: it has ended, and ended before ``before``.

    ``before`` (a stamp, an aware datetime, or None) later than the market clock counts as now.
    Every read of bars is bounded by this.
    """
    moment = clock.now()
    if before is not None:
        moment = min(moment, checks.moment(before, "before_timestamp"))
    return floor_minute(moment) - MINUTE


def newest(connection: sqlite3.Connection, ticker: str, n: int, until: datetime) -> list[Bar]:
    """The newest ``n`` bars up to the minute ``until``, oldest first."""
    rows = tuples(connection).execute(NEWEST, (ticker, clock.stamp(until), n)).fetchall()
    rows.reverse()
    return dicts(rows)


def between(
    connection: sqlite3.Connection, ticker: str, first: datetime, last: datetime
) -> list[Bar]:
    """The bars within ``first``..``last`` that may be seen, oldest first."""
    return dicts(between_rows(connection, ticker, first, last).fetchall())


def between_rows(
    connection: sqlite3.Connection, ticker: str, first: datetime, last: datetime
) -> sqlite3.Cursor:
    """The same as a cursor over plain rows of timestamp, open, high, low, close, volume."""
    last = min(last, newest_visible())
    bounds = (ticker, clock.stamp(first), clock.stamp(last))
    return tuples(connection).execute(BETWEEN, bounds)


def replaced(
    connection: sqlite3.Connection, ticker: str, first: datetime, last: datetime
) -> list[Bar]:
    """Former figures of bars within ``first``..``last`` that others have replaced, in that order."""
    bounds = (ticker, clock.stamp(first), clock.stamp(last))
    return dicts(tuples(connection).execute(REPLACED, bounds).fetchall())


def count(connection: sqlite3.Connection, ticker: str, first: datetime, last: datetime) -> int:
    """How many bars within ``first``..``last`` may be seen."""
    last = min(last, newest_visible())
    bounds = (ticker, clock.stamp(first), clock.stamp(last))
    return int(connection.execute(COUNT, bounds).fetchone()[0])


def latest_price(connection: sqlite3.Connection, ticker: str) -> float | None:
    """The close, in dollars, of the newest bar that may be seen."""
    until = _newest_stamp()
    row = connection.execute(PRICE, (ticker, until)).fetchone()
    return None if row is None else row[0]


def _newest_stamp() -> str:
    """The stamp of ``newest_visible()``, made once a minute."""
    global _minute
    now = clock.now()
    begins, ends, stamp = _minute
    if not begins <= now < ends:
        begins = floor_minute(now)
        stamp = clock.stamp(begins - MINUTE)
        _minute = begins, begins + MINUTE, stamp
    return stamp


def rows_of(given: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Row]:
    """Turn bars, as (ticker, dict), into rows to store; those outside a regular session are left out.

    Raises BadInput on a stamp that is no whole minute; figures are checked by ``store``.
    """
    rows = []
    day, times = "", frozenset[str]()
    usual, bar = object(), None  # the last stamp found to be in a session, the bar at hand
    try:
        for ticker, bar in given:
            stamp = bar["timestamp"]
            if stamp != usual:  # a minute's bars come one after the other
                if stamp[:10] != day:
                    day = stamp[:10]
                    times = _session_times(calendar(), day)
                if stamp[10:] not in times:
                    checks.minute(stamp)
                    continue
                usual = stamp
            rows.append((ticker, *FIGURES(bar)))
    except (KeyError, TypeError):
        raise BadInput(_first_fault([bar])) from None
    return rows


def from_exchange(raw: Mapping[str, Any], stamp: str) -> Bar:
    """Give a bar in the exchange's short keys ours."""
    return {
        "timestamp": stamp,
        "open": raw["o"],
        "high": raw["h"],
        "low": raw["l"],
        "close": raw["c"],
        "volume": raw["v"],
    }


def store(connection: sqlite3.Connection, rows: list[Row]) -> int:
    """Write rows inside the caller's transaction, for tickers already added; how many.

    A later bar for the same minute replaces the first. Raises BadInput naming the first bad bar.
    """
    if not rows:
        return 0
    try:
        # Most bars are new, and adding is a fifth faster; what is known, or bad, is left over
        if connection.executemany(ADD, rows).rowcount < len(rows):
            connection.executemany(REPLACE, rows)
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        bad = [dict(zip(checks.FIELDS, row[1:], strict=True)) for row in rows]
        raise BadInput(_first_fault(bad)) from None
    return len(rows)


def cover_rows(connection: sqlite3.Connection, ticker: str, rows: list[Row]) -> None:
    """Cover the very minutes of one ticker's rows, in the caller's transaction: a bar is an answer."""
    for found in gaps.joined(_runs([row[1] for row in rows]), slack=0):
        gaps.cover(connection, ticker, found)


def _runs(stamps: list[str]) -> Iterator[gaps.Range]:
    """The minutes of stamps as ranges. A whole session is one comparison, not 390."""
    if not all(map(lt, stamps, islice(stamps, 1, None))):
        stamps = sorted(set(stamps))
    begin = 0
    while begin < len(stamps):
        end = bisect_left(stamps, f"{stamps[begin][:10]}U", begin)  # U: after every T of the day
        low, high = gaps.number_of(stamps[begin]), gaps.number_of(stamps[end - 1])
        if high - low == end - begin - 1:
            yield low, high
        else:
            yield from ((n, n) for n in map(gaps.number_of, stamps[begin:end]))
        begin = end


def tuples(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor with plain rows: they become dicts twice as fast as named ones."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def dicts(rows: list[Row]) -> list[Bar]:
    """Rows of timestamp, open, high, low, close, volume as bars."""
    return [
        {
            "timestamp": timestamp,
            "open": opening,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
        }
        for timestamp, opening, high, low, close, volume in rows
    ]


def _first_fault(given: Iterable[Any]) -> str:
    for bar in given:
        if not isinstance(bar, Mapping):
            return f"Expected bars as dicts of {', '.join(checks.FIELDS)}, found {bar!r}."
        checks.minute(bar.get("timestamp"))
        fault = checks.fault_of(bar)
        if fault:
            return f"{fault} (bar of {bar['timestamp']})"
    return "A bar's figures were refused by the database."


@lru_cache(maxsize=64)
def _session_times(hours: MarketCalendar, day: str) -> frozenset[str]:
    """The part after the day of every stamp in that day's regular session; none on a closed day."""
    found = hours.session_on(checks.moment(f"{day}T00:00:00Z").date())
    if found is None:
        return frozenset()
    return _times(clock.stamp(found.open)[10:], found.minutes)


@cache
def _times(opening: str, minutes: int) -> frozenset[str]:
    begin = datetime.fromisoformat(f"2000-01-01{opening}")
    return frozenset(
        clock.stamp(begin + timedelta(minutes=offset))[10:] for offset in range(minutes)
    )
