"""Market data, as everything else sees it: bars in stocks.db, history fetched where it lacks.

Bars are dicts of timestamp, open, high, low, close (dollars) and volume (shares). Stamps are UTC,
YYYY-MM-DDTHH:MM:SSZ, the start of the bar's minute; ranges include both ends. No function returns a
bar that has not ended by the market clock. Wrong arguments raise BadInput and change nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any

from database import arrivals, bars, checks, gaps, schema
from database.arrivals import Came
from database.bar_source import BarSource, StoredBars
from database.bars import Bar
from database.contents import claim_source, recorded_source
from database.schema import initialize_database
from orchestra.base import sqlite
from orchestra.base.errors import BadInput

if TYPE_CHECKING:
    import pandas

    from database.arrays import BarArrays

__all__ = [
    "add_ticker_if_missing",
    "answered_by",
    "check_data_exists",
    "claim_source",
    "count_bars",
    "forget_history",
    "get_bars_arrays",
    "get_bars_frame",
    "get_data_for_algorithm",
    "get_historical_data",
    "get_latest_price",
    "initialize_database",
    "insert_historical_data",
    "insert_minute_bars",
    "insert_minute_data",
    "lacking",
    "newest_bar",
    "newest_bars",
    "recorded_source",
    "replaced_bars",
    "tickers",
]

_source: BarSource = StoredBars()


@contextmanager
def answered_by(source: BarSource) -> Iterator[None]:
    """Have every question about bars in this process answered by ``source`` instead of stocks.db."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


def add_ticker_if_missing(ticker: str) -> None:
    """Make a ticker known and give it its columns in the view ``market_data``."""
    checks.ticker(ticker)
    connection = schema.stocks()
    if not schema.knows(connection, ticker):
        with sqlite.transaction(connection):
            schema.add_tickers(connection, [ticker])


def tickers() -> list[str]:
    """Return every known ticker, in alphabetical order."""
    rows = schema.stocks().execute("SELECT ticker FROM tickers ORDER BY ticker")
    return [row["ticker"] for row in rows]


def insert_minute_data(
    ticker: str,
    timestamp: str,
    open: float,
    high: float,
    low: float,
    close: float,
    volume: float,
) -> int:
    """Store one bar, replacing an earlier one of its minute; 0 when outside the regular session."""
    bar = {
        "timestamp": checks.minute(timestamp),
        "open": open,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
    }
    fault = checks.fault_of(bar)
    if fault:
        raise BadInput(fault)
    return insert_historical_data(ticker, [bar])


def insert_historical_data(ticker: str, bars_given: Iterable[Bar]) -> int:
    """Store many bars of one ticker in one transaction; how many of them lay in a regular session.

    Their own minutes count as answered for; the minutes between them do not.
    """
    rows = bars.rows_of(zip(repeat(checks.ticker(ticker)), bars_given))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, [ticker])
        stored = bars.store(connection, rows)
        bars.cover_rows(connection, ticker, rows)
    return stored


def insert_minute_bars(
    bars_by_ticker: Iterable[tuple[str, Bar]], streamed: Came | None = None
) -> int:
    """Store the bars of many tickers, as (ticker, bar), in one transaction; how many were stored.

    ``streamed`` says when the stream brought them: by minute and ticker, milliseconds of market time
    after the minute's end.
    """
    rows = bars.rows_of(bars_by_ticker)
    minutes = sorted({row[1] for row in rows})
    connection = schema.stocks()
    new = schema.unknown(connection, (row[0] for row in rows))
    with sqlite.transaction(connection):
        if new:
            schema.add_tickers(connection, new)
        stored = bars.store(connection, rows)
        for minute in minutes:
            if gaps.is_time_to_cover(minute):
                gaps.cover_minute(connection, [row[0] for row in rows if row[1] == minute], minute)
        if streamed:
            came = {minute: streamed[minute] for minute in minutes if minute in streamed}
            arrivals.note(connection, "streamed", came)
    return stored


def forget_history(ticker: str) -> None:
    """Drop a ticker's bars and what was asked for: after a split it is fetched again, adjusted."""
    connection = schema.stocks()
    with sqlite.transaction(connection):
        for table in ("bars", "coverage", "asked"):
            connection.execute(f"DELETE FROM {table} WHERE ticker = ?", (checks.ticker(ticker),))


def get_historical_data(ticker: str, start: str, end: str) -> list[Bar]:
    """Return the stored bars within ``start``..``end``, oldest first; nothing is fetched."""
    first, last = checks.span(start, end)
    return _source.between(checks.ticker(ticker), first, last)


def replaced_bars(ticker: str, start: str, end: str) -> list[Bar]:
    """Return the figures that corrections of bars within ``start``..``end`` replaced, oldest first.

    They are kept for 90 days.
    """
    first, last = checks.span(start, end)
    return bars.replaced(schema.stocks(), checks.ticker(ticker), first, last)


def count_bars(ticker: str, start: str, end: str) -> int:
    """Count the stored bars within ``start``..``end``."""
    first, last = checks.span(start, end)
    return _source.count(checks.ticker(ticker), first, last)


def get_latest_price(ticker: str) -> float | None:
    """Return the close of the newest ended bar in dollars; None where none is stored."""
    return _source.latest_price(checks.ticker(ticker))


def newest_bar(ticker: str, before_timestamp: object = None) -> Bar | None:
    """Return the newest stored bar that ended by ``before_timestamp`` (default now), None without."""
    until = bars.newest_visible(before_timestamp)
    found = _source.newest(checks.ticker(ticker), 1, until)
    return found[0] if found else None


def newest_bars(ticker: str, n: int) -> list[Bar]:
    """Return the newest ``n`` stored bars that have ended, oldest first; nothing is fetched."""
    until = bars.newest_visible()
    return _source.newest(checks.ticker(ticker), checks.count(n), until)


def check_data_exists(ticker: str, start: str, end: str) -> list[tuple[str, str]]:
    """Return the ranges of open minutes within ``start``..``end`` that were never asked for."""
    wanted = gaps.within(*checks.span(start, end))
    checks.ticker(ticker)
    if wanted is None:
        return []
    return [gaps.stamps(found) for found in _source.missing(ticker, wanted)]


def lacking(tickers: Iterable[str], minute: str) -> set[str]:
    """Return those of the tickers that nobody has answered for in this open minute."""
    connection, number = schema.stocks(), gaps.number_of(minute)
    return {
        each
        for each in tickers
        if gaps.known_since(connection, each, minute) is None
        and gaps.missing(connection, each, (number, number))
    }


def get_data_for_algorithm(ticker: str, requirement_type: str, **kwargs: Any) -> list[Bar]:
    """Return bars for a decision, oldest first, fetching what was never asked for.

    ``last_n_bars`` takes n (default 200) and before_timestamp (default now): only bars that ended by
    then. ``time_range`` takes start and end. With the exchange out of reach, what is stored.
    """
    at_hand: list[Bar] | None = _source.at_hand(ticker, requirement_type, kwargs)
    if at_hand is not None:
        return at_hand
    checks.ticker(ticker)
    if requirement_type == "last_n_bars":
        unknown = kwargs.keys() - {"n", "before_timestamp"}
        if not unknown:
            return _source.last_bars(
                ticker, checks.count(kwargs.get("n", 200)), kwargs.get("before_timestamp")
            )
    elif requirement_type == "time_range":
        unknown = kwargs.keys() ^ {"start", "end"}
        if not unknown:
            return _source.time_range(ticker, *checks.span(kwargs["start"], kwargs["end"]))
    else:
        raise BadInput(
            f"Expected requirement_type 'last_n_bars' or 'time_range', found {requirement_type!r}."
        )
    raise BadInput(
        f"{requirement_type} takes"
        f" {'n and before_timestamp' if requirement_type == 'last_n_bars' else 'start and end'},"
        f" found {', '.join(sorted(kwargs)) or 'neither'}."
    )


def get_bars_arrays(ticker: str, start: str, end: str) -> "BarArrays":
    """Return the stored bars within ``start``..``end`` as numpy arrays; nothing is fetched."""
    first, last = checks.span(start, end)
    return _source.arrays(checks.ticker(ticker), first, last)


def get_bars_frame(ticker: str, start: str, end: str) -> "pandas.DataFrame":
    """Return the stored bars within ``start``..``end`` as a DataFrame with a UTC index."""
    from database import frames  # pandas takes half a second and 80 MB

    return frames.frame(get_bars_arrays(ticker, start, end))
