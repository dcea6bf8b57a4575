"""Which sessions a backtest covers, and their stored bars; what is missing is fetched first."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import takewhile

from database import bars, db_manager, gaps, past_bars, schema
from database.bars import Row
from database.calendar import calendar
from orchestra.backtest.play import Past
from orchestra.backtest.schedule import Asking, after_each_minute
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError, BadInput
from orchestra.base.market_calendar import MINUTE, Session

DEFAULT_SESSIONS = 20

Progress = Callable[[int], None]
Fetching = Callable[[int, Callable[[Progress], object]], object]


@dataclass
class History:
    """The sessions and the rows of one ticker within them, after ``warmup`` rows from before."""

    sessions: list[Session]
    rows: list[Row]
    warmup: int
    past: Past
    last: str  # the newest minute that may be asked about
    notes: list[str] = field(default_factory=list)


def sessions_of(start: date | None, end: date | None) -> list[Session]:
    """The begun sessions from ``start`` to ``end``, both included; by default the 20 newest.

    Raises BadInput where there is none.
    """
    newest = calendar().latest_session(clock.now() - MINUTE)
    if newest is None:
        raise BadInput("The calendar begins in 2018: there is no session to go through.")
    last = min(end or newest.day, newest.day)
    first = start or calendar().sessions[0].day
    found = calendar().sessions_between(first, last)
    if not found:
        raise BadInput(f"There is no session from {first} to {end or last}.")
    return found if start else found[-DEFAULT_SESSIONS:]


def read(
    ticker: str, sessions: list[Session], warmup: int, fetching: Fetching, patient: bool = True
) -> History:
    """Read a ticker's bars of these sessions. ``fetching(minutes, work)`` shows progress of a fetch.

    Not patient, nothing is fetched while the rate limit's reserve is kept for orders.

    Raises BadInput where not one bar is stored nor can be fetched.
    """
    first, last = clock.stamp(sessions[0].open), _last(sessions)
    notes = _complete(ticker, first, last, fetching, patient)
    before = _warm_up(ticker, first, warmup)
    connection = schema.stocks()
    rows = past_bars.read(connection, ticker, first, last)
    if not rows:
        missing = f"There are no bars of {ticker} from {sessions[0].day} to {sessions[-1].day}."
        raise BadInput(" ".join([missing, *(note.partition(": ")[2] for note in notes)]))
    begin = before[0][0] if before else first

    def load(other: str) -> list[Row]:
        found = past_bars.read(connection, other, begin, last)
        missing = _missing(connection, other, begin, last)
        if not found:
            notes.append(f"It asks for {other}, of which no bars are stored in this time.")
        elif missing:
            brought = f"python -m orchestra fetch {other} --start {begin[:10]} brings it"
            notes.append(f"It asks for {other}, of which {_told(missing)}: {brought}.")
        return found

    rows = before + rows
    return History(sessions, rows, len(before), Past(rows, begin, load), last, notes)


def askings(history: History) -> Iterator[Iterator[Asking]]:
    """One asking after each minute of the history's sessions that has ended."""
    *whole, newest = after_each_minute(calendar(), history.sessions)
    yield from whole
    ended = history.last == clock.stamp(history.sessions[-1].close - MINUTE)
    yield newest if ended else takewhile(lambda asking: asking[0] <= history.last, newest)


def _last(sessions: list[Session]) -> str:
    return clock.stamp(min(sessions[-1].close - MINUTE, bars.newest_visible()))


def _complete(ticker: str, first: str, last: str, fetching: Fetching, patient: bool) -> list[str]:
    """Fetch what was never asked for; a sentence where that was not possible."""
    missing = _minutes(db_manager.check_data_exists(ticker, first, last))
    if not missing:
        return []
    from database.historical_pull import HistoricalFetcher  # alpaca-py takes a second to load

    try:
        fetching(missing, lambda tell: HistoricalFetcher(patient).fetch(ticker, first, last, tell))
        cause = "the exchange has no answer yet"
    except AutoTraderError as error:
        cause = str(error)
    missing = _minutes(db_manager.check_data_exists(ticker, first, last))
    if not missing:
        return []
    return [f"{_told(missing)}: {cause}"]


def _warm_up(ticker: str, first: str, warmup: int) -> list[Row]:
    """The rows before the first session, as many as are asked for and there are."""
    if not warmup:
        return []
    found = db_manager.get_data_for_algorithm(
        ticker, "last_n_bars", n=warmup, before_timestamp=first
    )
    return [tuple(bar.values()) for bar in found]


def _missing(connection: sqlite3.Connection, ticker: str, first: str, last: str) -> int:
    """The open minutes of which nothing is stored; asked past db_manager, which answers as of the past."""
    span = gaps.within(clock.parse(first), clock.parse(last))
    return (
        sum(high - low + 1 for low, high in gaps.missing(connection, ticker, span)) if span else 0
    )


def _told(missing: int) -> str:
    if missing == 1:
        return "1 minute of history is missing and counts as without a trade"
    return f"{missing:,} minutes of history are missing and count as without a trade"


def _minutes(ranges: list[tuple[str, str]]) -> int:
    return sum(
        calendar().open_minutes(clock.parse(first), clock.parse(last)) for first, last in ranges
    )
