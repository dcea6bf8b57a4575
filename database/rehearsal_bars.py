"""Bars for a rehearsal: a stocks.db of its own, filled from the real one or by a random walk.

Every minute counts as answered for, so nothing is ever fetched into it. The settings name the copy.
"""

import random
from pathlib import Path

from database import bars, gaps, schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import nyse

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


def _cover(tickers: list[str]) -> None:
    first, last = nyse().sessions[0].open, nyse().sessions[-1].close
    span = (clock.stamp(first), clock.stamp(last))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO coverage VALUES (?, ?, ?)",
            [(ticker, *span) for ticker in tickers],
        )
