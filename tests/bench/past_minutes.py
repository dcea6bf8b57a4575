"""The minutes that the backtest's benchmark goes through: a walk in stocks.db, and files of it for rivals."""

import csv
import random
from pathlib import Path

from database import gaps, schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, Session, nyse

NOW = "2025-01-02T12:00:00Z"
TICKER = "SYN"
YEAR, QUARTER = 252, 63  # sessions, without half days


def sessions_of(count: int) -> list[Session]:
    """The newest full sessions before NOW."""
    full = [each for each in nyse().sessions if each.minutes == 390 and each.close < clock.now()]
    return full[-count:]


def write(folder: Path, count: int) -> dict[int, Path]:
    """A walk in cents over so many sessions into stocks.db; a file of its newest year and quarter each."""
    chance, price, rows = random.Random(20240604), 15_000, []
    for session in sessions_of(count):
        for n in range(390):
            opening, price = price, max(100, price + chance.randint(-9, 9))
            high = max(opening, price) + chance.randint(0, 4)
            low = min(opening, price) - chance.randint(0, 4)
            figures = (opening / 100, high / 100, low / 100, price / 100, chance.randint(100, 5000))
            rows.append((clock.stamp(session.open + n * MINUTE), *figures))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, [TICKER])
        connection.executemany(f"INSERT INTO bars VALUES ('{TICKER}', ?, ?, ?, ?, ?, ?)", rows)
        gaps.cover(connection, TICKER, (0, nyse().minute_number(clock.now()) - 1))
    files = {}
    for length in (YEAR, QUARTER):
        files[length] = folder / f"{length}.csv"
        with files[length].open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("timestamp", "open", "high", "low", "close", "volume"))
            writer.writerows(rows[-390 * length :])
    return files
