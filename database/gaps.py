"""What the exchange has answered for: closed ranges of minutes per ticker, and the gaps between them.

A minute inside a range without a bar had no trade. Ranges that no open minute separates are one range,
so nights, weekends and holidays cost nothing. Inside this file a minute is its number in the calendar.
"""

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from database.calendar import calendar
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import floor_minute

Range = tuple[int, int]  # minute numbers, both included
Stamps = tuple[str, str]  # the same as stamps

ANY_TICKER = "*"  # in ``asked``: nothing is answered, whatever is asked for
EXTEND = """UPDATE coverage SET last = ?1 WHERE last = ?2 AND ticker IN ({}) AND NOT EXISTS
            (SELECT 1 FROM coverage AS later WHERE later.ticker = coverage.ticker
             AND later.first > ?2)"""
SETTLING = timedelta(seconds=30)  # so long after its end a minute's bar may still be on its way


def within(first: datetime, last: datetime) -> Range | None:
    """The open minutes that start within ``first``..``last``; None when there is none."""
    low = calendar().minute_number(first)
    high = calendar().minute_number(last + timedelta(microseconds=1)) - 1
    return (low, high) if low <= high else None


def stamps(found: Range) -> Stamps:
    return stamp_of(found[0]), stamp_of(found[1])


def stamp_of(number: int) -> str:
    return clock.stamp(calendar().minute_at(number))


def number_of(stamp: str) -> int:
    return calendar().minute_number(datetime.fromisoformat(stamp))


def cover(connection: sqlite3.Connection, ticker: str, found: Range) -> None:
    """Enter one answered range, merged with its neighbours, inside the caller's transaction."""
    low, high = found
    beyond = stamp_of(min(high + 1, calendar().open_minutes_in_all - 1))
    before = stamp_of(max(low - 1, 0))
    merged = []
    rows = connection.execute(
        "SELECT first, last FROM coverage WHERE ticker = ? AND first <= ? ORDER BY first DESC",
        (ticker, beyond),
    )
    for first, last in rows:
        if last < before:
            break
        merged.append((first, last))
    rows.close()
    if any(number_of(first) <= low and high <= number_of(last) for first, last in merged[:1]):
        return
    connection.executemany(
        "DELETE FROM coverage WHERE ticker = ? AND first = ?",
        [(ticker, first) for first, _ in merged],
    )
    first = min([stamp_of(low), *(first for first, _ in merged)])
    last = max([stamp_of(high), *(last for _, last in merged)])
    connection.execute("INSERT INTO coverage VALUES (?, ?, ?)", (ticker, first, last))


def cover_minute(connection: sqlite3.Connection, tickers: list[str], minute: str) -> None:
    """Enter one minute for several tickers, inside the caller's transaction.

    For tickers whose last range ends one minute earlier, as in a running session, it is one statement.
    """
    number = number_of(minute)
    previous = stamp_of(max(number - 1, 0))
    statement = EXTEND.format(", ".join("?" * len(tickers)))
    extended = connection.execute(statement, (minute, previous, *tickers)).rowcount
    if extended < len(tickers):
        for ticker in tickers:
            cover(connection, ticker, (number, number))


def missing(connection: sqlite3.Connection, ticker: str, wanted: Range) -> list[Range]:
    """The parts of ``wanted`` that the exchange has not answered for, in order."""
    low, high = wanted
    rows = connection.execute(
        """SELECT first, last FROM coverage WHERE ticker = ?1 AND first <= ?3 AND last >= ?2
           AND first >= coalesce(
               (SELECT max(first) FROM coverage WHERE ticker = ?1 AND first <= ?2), '')
           ORDER BY first""",
        (ticker, stamp_of(low), stamp_of(high)),
    )
    found, position = [], low
    for first, last in rows:
        if number_of(first) > position:
            found.append((position, number_of(first) - 1))
        position = max(position, number_of(last) + 1)
    if position <= high:
        found.append((position, high))
    return found


def joined(ranges: Iterable[Range], slack: int) -> list[Range]:
    """Join ranges with at most ``slack`` minutes between them: one request instead of many."""
    found: list[Range] = []
    for low, high in ranges:
        if found and low - found[-1][1] - 1 <= slack:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def known_from(connection: sqlite3.Connection, ticker: str, default: int) -> int:
    """The oldest minute that was ever answered for, or ``default``."""
    row = connection.execute(
        "SELECT min(first) FROM coverage WHERE ticker = ?", (ticker,)
    ).fetchone()
    return default if row[0] is None else number_of(row[0])


def known_since(connection: sqlite3.Connection, ticker: str, last: str) -> str | None:
    """The first minute of the unbroken answered range that holds the open minute ``last``."""
    row = connection.execute(
        """SELECT first, last FROM coverage WHERE ticker = ? AND first <= ?
           ORDER BY first DESC LIMIT 1""",
        (ticker, last),
    ).fetchone()
    return row[0] if row is not None and row[1] >= last else None


def settled(asked: Range, newest_bar: str | None) -> Range | None:
    """The part of a just answered range in which a missing bar means that there was no trade.

    The newest minutes' bars may not be out yet: without one, only minutes that ended ``SETTLING`` ago.
    """
    latest = calendar().last_minute(clock.now() - SETTLING - timedelta(minutes=1))
    high = -1 if latest is None else calendar().minute_number(latest)
    if newest_bar is not None:
        high = max(high, number_of(newest_bar))
    high = min(high, asked[1])
    return (asked[0], high) if high >= asked[0] else None


def note_asked(connection: sqlite3.Connection, ticker: str, tail: Range) -> None:
    """Remember that ``tail`` was asked for in this minute and is not settled, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?)", (ticker, *stamps(tail), _this_minute())
    )


def asked_this_minute(connection: sqlite3.Connection, ticker: str) -> Range | None:
    """The unsettled minutes that were asked for within the running minute, if any."""
    row = connection.execute(
        "SELECT first, last FROM asked WHERE ticker = ? AND at = ?", (ticker, _this_minute())
    ).fetchone()
    return (number_of(row[0]), number_of(row[1])) if row else None


def note_hung(connection: sqlite3.Connection) -> None:
    """Remember for this minute, for every process, that the exchange answers nothing and slowly."""
    with sqlite.transaction(connection):
        connection.execute(
            "INSERT OR REPLACE INTO asked VALUES (?, '', '', ?)", (ANY_TICKER, _this_minute())
        )


def hung_this_minute(connection: sqlite3.Connection) -> bool:
    """Whether asking now would only cost an algorithm its deadline."""
    row = connection.execute("SELECT at FROM asked WHERE ticker = ?", (ANY_TICKER,)).fetchone()
    return row is not None and row[0] == _this_minute()


def without(ranges: list[Range], taken: Range | None) -> list[Range]:
    """Take the minutes of one range out of others."""
    if taken is None:
        return ranges
    found = []
    for low, high in ranges:
        found += [(low, min(high, taken[0] - 1)), (max(low, taken[1] + 1), high)]
    return [(low, high) for low, high in dict.fromkeys(found) if low <= high]


def _this_minute() -> str:
    return clock.stamp(floor_minute(clock.now()))
