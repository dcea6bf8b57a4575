"""What the exchange has answered for: closed ranges of minutes per ticker, and the gaps between them.

A minute inside a range without a bar had no trade. Ranges that no open minute separates are one range,
so nights, weekends and holidays cost nothing. A stored bar answers for its minute by itself: a range
takes in the streamed bars before it when it is next entered, not with each of them.
Inside this file a minute is its number in the calendar.
"""

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from database.calendar import calendar
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, MarketCalendar, floor_minute

Range = tuple[int, int]  # minute numbers, both included
Stamps = tuple[str, str]  # the same as stamps

ANY_TICKER = "*"  # in ``asked``: nothing is answered, whatever is asked for
COVERED_AT = ("29", "59")  # minutes of an hour
SETTLING = timedelta(seconds=30)  # so long after its end a minute's bar may still be on its way


def within(first: datetime, last: datetime) -> Range | None:
    """The open minutes that start within ``first``..``last``; None when there is none."""
    low = calendar().minute_number(first)
    high = calendar().minute_number(last + timedelta(microseconds=1)) - 1
    return (low, high) if low <= high else None


def stamps(found: Range) -> Stamps:
    return stamp_of(found[0]), stamp_of(found[1])


def stamp_of(number: int) -> str:
    return _stamp(calendar(), number)


@lru_cache(maxsize=1024)  # a minute asks for the same few, ticker after ticker
def _stamp(hours: MarketCalendar, number: int) -> str:
    return clock.stamp(hours.minute_at(number))


def number_of(stamp: str) -> int:
    return calendar().minute_number(datetime.fromisoformat(stamp))


def minutes_apart(first: str, last: str) -> int:
    """How many minutes ``last`` is after ``first`` on the same day; -1 where it is another day."""
    if first[:10] != last[:10]:
        return -1
    hours, minutes = int(last[11:13]) - int(first[11:13]), int(last[14:16]) - int(first[14:16])
    return 60 * hours + minutes


def _end_of(stamp: str) -> int:
    """The open minute that a range ends with; its stamp may have been taken out of the calendar since."""
    return calendar().minute_number(datetime.fromisoformat(stamp) + MINUTE) - 1


def cover(connection: sqlite3.Connection, ticker: str, found: Range) -> None:
    """Enter one answered range, merged with its neighbours, inside the caller's transaction.

    A range before it that only bars separate from it is a neighbour.
    """
    low, high = found
    beyond = stamp_of(min(high + 1, calendar().open_minutes_in_all - 1))
    merged = []
    rows = connection.execute(
        "SELECT first, last FROM coverage WHERE ticker = ? AND first <= ? ORDER BY first DESC",
        (ticker, beyond),
    )
    for first, last in rows:
        begin, end = number_of(first), _end_of(last)
        if begin <= found[0] and found[1] <= end:
            rows.close()
            return
        if end < low - 1 and not _is_full_of_bars(connection, ticker, (end + 1, low - 1)):
            break
        merged.append(first)
        low, high = min(low, begin), max(high, end)
    rows.close()
    connection.executemany(
        "DELETE FROM coverage WHERE ticker = ? AND first = ?", [(ticker, each) for each in merged]
    )
    connection.execute("INSERT INTO coverage VALUES (?, ?, ?)", (ticker, *stamps((low, high))))


def is_time_to_cover(minute: str) -> bool:
    """Whether a streamed minute is to be entered: twice an hour, every session's last among them.

    Each would cost as much as storing its bars, which answer for it meanwhile.
    """
    return minute[14:16] in COVERED_AT


def cover_minute(connection: sqlite3.Connection, tickers: Iterable[str], minute: str) -> None:
    """Enter one minute for several tickers, inside the caller's transaction."""
    number = number_of(minute)
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
        position = max(position, _end_of(last) + 1)
    if position <= high:
        found.append((position, high))
    return [part for hole in found for part in _without_bars(connection, ticker, hole)]


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
        """SELECT (SELECT min(first) FROM coverage WHERE ticker = ?1),
                  (SELECT min(timestamp) FROM bars WHERE ticker = ?1)""",
        (ticker,),
    ).fetchone()
    return min((number_of(each) for each in row if each is not None), default=default)


def known_since(connection: sqlite3.Connection, ticker: str, last: str) -> str | None:
    """The first minute of a range that holds the open minute ``last``, or that bars lead from to it."""
    row = connection.execute(
        """SELECT first, last FROM coverage WHERE ticker = ? AND first <= ?
           ORDER BY first DESC LIMIT 1""",
        (ticker, last),
    ).fetchone()
    if row is None:
        return None
    first, end = row
    if end < last and not _is_full_of_bars(connection, ticker, (_end_of(end) + 1, number_of(last))):
        return None
    return str(first)


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


def _without_bars(connection: sqlite3.Connection, ticker: str, hole: Range) -> list[Range]:
    """The parts of a hole in the ranges whose bars are not stored either."""
    if _is_full_of_bars(connection, ticker, hole):
        return []
    low, found = hole[0], []
    rows = connection.execute(
        "SELECT timestamp FROM bars WHERE ticker = ? AND timestamp >= ? AND timestamp <= ?"
        " ORDER BY timestamp",
        (ticker, *stamps(hole)),
    )
    for (stamp,) in rows:
        number = number_of(stamp)
        if stamp_of(number) != stamp:
            continue  # its minute was taken out of the calendar
        if number > low:
            found.append((low, number - 1))
        low = number + 1
    return [*found, (low, hole[1])] if low <= hole[1] else found


def _is_full_of_bars(connection: sqlite3.Connection, ticker: str, found: Range) -> bool:
    """Whether every minute of a range has its bar; a range beyond one session is not looked through."""
    first, last = stamps(found)
    minutes = found[1] - found[0] + 1
    if minutes_apart(first, last) + 1 != minutes:
        return False
    row = connection.execute(
        "SELECT count(*) FROM bars WHERE ticker = ? AND timestamp >= ? AND timestamp <= ?",
        (ticker, first, last),
    ).fetchone()
    return bool(row[0] == minutes)


def _this_minute() -> str:
    return clock.stamp(floor_minute(clock.now()))
