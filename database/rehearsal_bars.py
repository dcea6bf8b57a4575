"""Bars for a rehearsal: a stocks.db of its own, filled from the real one or by a random walk.

Every minute counts as answered for, so nothing is ever fetched into it. The settings name the copy.
"""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from database import bars, gaps, schema
from database.bar_source import StoredBars
from database.bars import Bar
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, floor_minute, nyse

if TYPE_CHECKING:
    from database.arrays import BarArrays

FIRST_PRICE = 10_000  # cents
LARGEST_STEP = 9  # cents a minute
SPREAD = 4  # cents that high and low lie beyond open and close


def copy_from(stocks_db: Path, since: str, only: str | None = None) -> None:
    """Copy the bars of every ticker from ``since`` on, or of one."""
    connection = schema.stocks()
    connection.execute("ATTACH DATABASE ? AS stored", (str(stocks_db),))
    with sqlite.transaction(connection):
        tickers = [row[0] for row in connection.execute("SELECT ticker FROM stored.tickers")]
        tickers = [only] if only else tickers
        schema.add_tickers(connection, tickers)
        connection.executemany(
            "INSERT INTO main.bars SELECT * FROM stored.bars WHERE ticker = ? AND timestamp >= ?",
            [(ticker, since) for ticker in tickers],
        )
    connection.execute("DETACH DATABASE stored")
    _cover(tickers)


def generate(ticker: str, minutes: int) -> None:
    """Write a random walk over the newest ended open minutes; a ticker always gets the same steps."""
    chance = random.Random(f"rehearsal of {ticker}")
    last = nyse().minute_number(bars.newest_visible())
    price, rows = FIRST_PRICE, []
    for number in range(max(0, last - minutes), last):
        opening = price
        price = max(LARGEST_STEP, price + chance.randint(-LARGEST_STEP, LARGEST_STEP))
        high = max(opening, price) + chance.randint(0, SPREAD)
        low = min(opening, price) - chance.randint(0, SPREAD)
        figures = (opening / 100, high / 100, low / 100, price / 100, chance.randint(100, 5000))
        rows.append((ticker, gaps.stamp_of(number), *figures))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, [ticker])
        bars.store(connection, rows)
    _cover([ticker])


class RehearsedBars(StoredBars):
    """Answers with bars after the rehearsed moment too, so that who looks ahead is seen.

    Only the bar of the minute in progress is not there for a range that ends with it: on the wall a
    range up to ``current_time`` ends before it.
    """

    def __init__(self) -> None:
        self._in_progress = datetime.min.replace(tzinfo=UTC)

    def rehearse(self, current_time: str) -> None:
        """Let this be the moment that is asked about."""
        self._in_progress = floor_minute(clock.parse(current_time))

    def time_range(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        return super().time_range(ticker, first, self._ended(last))

    def between(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        return super().between(ticker, first, self._ended(last))

    def arrays(self, ticker: str, first: datetime, last: datetime) -> "BarArrays":
        return super().arrays(ticker, first, self._ended(last))

    def count(self, ticker: str, first: datetime, last: datetime) -> int:
        return super().count(ticker, first, self._ended(last))

    def _ended(self, last: datetime) -> datetime:
        return last - MINUTE if floor_minute(last) == self._in_progress else last


def _cover(tickers: list[str]) -> None:
    first, last = nyse().sessions[0].open, nyse().sessions[-1].close
    span = (clock.stamp(first), clock.stamp(last))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO coverage VALUES (?, ?, ?)",
            [(ticker, *span) for ticker in tickers],
        )
