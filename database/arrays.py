"""Stored bars as numpy arrays: one ticker's years without a Python object for each bar."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import numpy
from numpy.typing import NDArray

from database import bars
from database.bars import Row
from database.calendar import calendar
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, Session

COLUMNS = ("open", "high", "low", "close", "volume")
FIGURES = """SELECT open, high, low, close, volume FROM bars
             WHERE ticker = ? AND timestamp >= ? AND timestamp <= ? ORDER BY timestamp"""
STAMPS = """SELECT group_concat(timestamp, '') FROM (SELECT timestamp FROM bars
            WHERE ticker = ? AND timestamp >= ? AND timestamp <= ? ORDER BY timestamp)"""
IN_ORDER = numpy.arange(24 * 60) * numpy.timedelta64(60, "s")  # no session is longer
Found = tuple[
    NDArray[numpy.datetime64], NDArray[numpy.float64]
]  # minutes; figures, a row for each column


@dataclass(frozen=True)
class BarArrays:
    """Bars in order: ``minutes`` as datetime64[s] in UTC, prices in dollars and volume as float64."""

    minutes: NDArray[numpy.datetime64]
    open: NDArray[numpy.float64]
    high: NDArray[numpy.float64]
    low: NDArray[numpy.float64]
    close: NDArray[numpy.float64]
    volume: NDArray[numpy.float64]

    def __len__(self) -> int:
        return len(self.minutes)


def between(
    connection: sqlite3.Connection, ticker: str, first: datetime, last: datetime
) -> BarArrays:
    """The bars within ``first``..``last`` that may be seen, session by session."""
    last = min(last, bars.newest_visible())
    minutes = [numpy.empty(0, "datetime64[s]")]
    figures = [numpy.empty((len(COLUMNS), 0))]
    with sqlite.snapshot(connection):
        cursor = bars.tuples(connection)
        for session in calendar().sessions_between(first.date(), last.date()):
            found = _session(cursor, ticker, session, first, last)
            if found is not None:
                minutes.append(found[0])
                figures.append(found[1])
    return BarArrays(numpy.concatenate(minutes), *numpy.concatenate(figures, axis=1))


def of_rows(rows: Sequence[Row]) -> BarArrays:
    """The same of rows of timestamp, open, high, low, close, volume, in order."""
    figures = numpy.array([row[1:] for row in rows], numpy.float64).reshape(-1, len(COLUMNS))
    return BarArrays(_minutes("".join(row[0] for row in rows)), *numpy.ascontiguousarray(figures.T))


def _session(
    cursor: sqlite3.Cursor, ticker: str, session: Session, first: datetime, last: datetime
) -> Found | None:
    """The session's bars within ``first``..``last``; None without any."""
    begin, end = max(first, session.open), min(last, session.close - MINUTE)
    if begin > end:
        return None
    bounds = (ticker, clock.stamp(begin), clock.stamp(end))
    numbers = numpy.fromiter(chain.from_iterable(cursor.execute(FIGURES, bounds)), numpy.float64)
    figures = numbers.reshape(-1, len(COLUMNS)).T
    count = figures.shape[1]
    if count == 0:
        return None
    opening = begin + (session.open - begin) % MINUTE
    if count == (end - opening) // MINUTE + 1:  # every minute: its stamp need not be read
        stamp = bounds[1] if opening == begin else clock.stamp(opening)
        return numpy.datetime64(stamp[:-1], "s") + IN_ORDER[:count], figures
    return _minutes(cursor.execute(STAMPS, bounds).fetchone()[0]), figures


def _minutes(stamps: str) -> NDArray[numpy.datetime64]:
    """The minutes of stamps strung together. As bytes without their Z, numpy parses them fastest."""
    return numpy.frombuffer(stamps.encode(), "S20").astype("S19").astype("datetime64[s]")
