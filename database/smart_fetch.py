"""Data for a decision: from stocks.db when it is complete, else fetched first, in few requests."""

import logging
from collections.abc import Callable
from datetime import datetime
from sqlite3 import Connection

from database import bars, gaps, schema
from database.bars import Bar
from database.calendar import calendar
from orchestra.base import clock, sqlite
from orchestra.base.errors import ExchangeUnavailable, ForeignContents, StorageBlocked
from orchestra.base.market_calendar import GRID_MINUTES

MARGIN = 1.3  # how much further back than its density says a thin ticker is looked for
WIDER = 4  # the least growth of the window looked at
NEVER = -1
FAR = 20  # its growth where nothing more was found

log = logging.getLogger("autotrader.database")
Told = Callable[[str], object]


class _Exchange:
    """Whether this process has reached the exchange the last time: only a change is logged."""

    reachable = True
    told: Told | None = None  # what hears of lacking bars in a process that fetches none


def tell_instead_of_fetching(told: Told) -> None:
    """Fetch nothing in this process from now on: ``told`` hears of each ticker whose bars lack."""
    _Exchange.told = told


def last_bars(ticker: str, n: int, before: object) -> list[Bar]:
    """The ``n`` newest bars that ended by ``before``, reaching back until they are found."""
    connection = schema.stocks()
    until = bars.newest_visible(before)
    found = bars.newest(connection, ticker, n, until)
    last = calendar().last_minute(until)
    if last is None or _complete(connection, ticker, n, found, last):
        return found
    newest = calendar().minute_number(last)
    reach, seen = 2 * n, 0
    while True:
        oldest = _session_start(max(0, newest - reach + 1))
        answered = _fetch_missing(ticker, (oldest, newest))
        found = bars.newest(connection, ticker, n, until)
        before_this, seen = seen, sum(bar["timestamp"] >= gaps.stamp_of(oldest) for bar in found)
        if not answered or oldest == 0 or seen == n:
            return found
        # A thin ticker: as far as its density says. Nothing new in a wider window: history has ended
        far = FAR if seen == before_this else int(n / seen * MARGIN)
        reach = max(WIDER * reach, (newest - oldest + 1) * far)


def prefetch(ticker: str, n: int) -> None:
    """Have a ticker's ``n`` newest bars at hand. One that was followed before has its hole closed first.

    Raises ExchangeUnavailable, ForeignContents or StorageBlocked where the hole cannot be closed, and
    StorageLocked, before anything is asked for, where nothing could be stored.
    """
    with sqlite.transaction(schema.stocks()):
        pass  # last_bars would wait for the lock as long, and then go without
    last = calendar().last_minute(bars.newest_visible())
    if last is not None and gaps.known_from(schema.stocks(), ticker, NEVER) != NEVER:
        from database.historical_pull import HistoricalFetcher  # alpaca-py takes a second to load

        HistoricalFetcher().close_gaps([ticker], last)
    last_bars(ticker, n, None)


def time_range(ticker: str, first: datetime, last: datetime) -> list[Bar]:
    """The bars within ``first``..``last`` that may be seen."""
    wanted = gaps.within(first, min(last, bars.newest_visible()))
    if wanted is not None:
        _fetch_missing(ticker, wanted)
    return bars.between(schema.stocks(), ticker, first, last)


def _complete(
    connection: Connection, ticker: str, n: int, found: list[Bar], last: datetime
) -> bool:
    """Whether every minute from the oldest bar found to ``last`` has its answer."""
    end = clock.stamp(last)
    if len(found) == n and gaps.minutes_apart(found[0]["timestamp"], end) == n - 1:
        return True  # a bar in each of the day's last n minutes
    since = gaps.known_since(connection, ticker, end)
    if since is None:
        return False
    if len(found) == n:
        return bool(since <= found[0]["timestamp"])
    return gaps.number_of(since) == 0


def _session_start(number: int) -> int:
    """The first minute of the session that holds this one: whole days are asked for."""
    session = calendar().session_at(calendar().minute_at(number))
    return number if session is None else calendar().minute_number(session.open)


def _fetch_missing(ticker: str, wanted: gaps.Range) -> bool:
    """Ask for what is not known of ``wanted``; False when the exchange gave no answer."""
    connection = schema.stocks()
    lacking = gaps.without(
        gaps.missing(connection, ticker, wanted), gaps.asked_this_minute(connection, ticker)
    )
    if not lacking:
        return True
    if _Exchange.told is not None:
        _Exchange.told(ticker)
        return False
    if gaps.hung_this_minute(connection):
        return False
    from database.historical_pull import HistoricalFetcher  # alpaca-py takes a second to load

    try:
        for part in gaps.joined(lacking, slack=GRID_MINUTES - 1):
            HistoricalFetcher().fetch_range([ticker], part)
    except (ExchangeUnavailable, ForeignContents, StorageBlocked) as error:
        if _Exchange.reachable:
            log.warning(
                "History of %s cannot be fetched; the stored bars must do. %s", ticker, error
            )
        _Exchange.reachable = False
        return False
    if not _Exchange.reachable:
        log.info("History can be fetched again.")
    _Exchange.reachable = True
    return True
