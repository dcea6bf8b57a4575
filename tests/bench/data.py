"""What market data costs, as ratios to bare sqlite3 or pandas doing the same work in the same run.

Run by hand: .venv/bin/python -m tests.bench.data. Rounds are interleaved and medians compared.
"""

import os
import sqlite3
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pandas

from database import db_manager, gaps, schema
from database.bars import BETWEEN, NEWEST, PRICE
from orchestra.base import clock, settings, sqlite
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.base.settings import Settings
from tests.exchange_fixture import change, set_clock

NOW = "2024-12-31T20:30:00Z"
ROUNDS = 25
REPEATS = 200  # of what takes microseconds
YEAR = ("2024-01-01T00:00:00Z", "2024-12-31T20:29:00Z")
TICKERS = ["A" + chr(65 + n) for n in range(20)]
ADD = "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)"
Work = Callable[[], object]


def main() -> None:
    for each in fields(Settings):
        os.environ[each.name.upper()] = ""
    with tempfile.TemporaryDirectory() as name:
        change(STOCKS_DB=Path(name) / "stocks.db", LOG_DIR=name)
        set_clock(NOW)
        bars = year_of_bars()
        db_manager.initialize_database()
        grid = settings.current().stocks_db_path.stat().st_size
        compare("bulk insert of a year", 1.3, bulk_ours(bars), bulk_floor(bars, Path(name)), 1, 3)
        for ticker in TICKERS:
            store(ticker, bars)
        schema.stocks().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        held = schema.stocks().execute("SELECT count(*) FROM bars").fetchone()[0]
        size = settings.current().stocks_db_path.stat().st_size - grid
        print(f"{'bytes a bar':32} {size / held:8.1f}        at most 85")
        reads()
        minute(Path(name))
        sqlite.close_kept()


def year_of_bars() -> list[dict[str, object]]:
    bars = []
    until = clock.parse(YEAR[1])
    for session in nyse().sessions_between(clock.parse(YEAR[0]).date(), until.date()):
        for n in range(session.minutes):
            moment, price = session.open + n * MINUTE, 100 + (n * 7919 % 101) / 100
            if moment <= until:
                figures = dict.fromkeys(("open", "high", "low", "close"), price)
                bars.append({"timestamp": clock.stamp(moment), **figures, "volume": 100})
    return bars


def store(ticker: str, bars: list[dict[str, object]]) -> None:
    """Store a year and, as a fetch does, know every minute of it."""
    db_manager.insert_historical_data(ticker, bars)
    wanted = gaps.within(*map(clock.parse, YEAR))
    assert wanted is not None
    with sqlite.transaction(schema.stocks()) as connection:
        gaps.cover(connection, ticker, wanted)


def bulk_ours(bars: list[dict[str, object]]) -> Work:
    names = iter(f"B{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(600))
    return lambda: db_manager.insert_historical_data(next(names), bars)


def bulk_floor(bars: list[dict[str, object]], folder: Path) -> Work:
    connection = bare(folder / "floor.db")
    names = iter(f"B{n}" for n in range(600))

    def work() -> None:
        ticker = next(names)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(ADD, [(ticker, *bar.values()) for bar in bars])
        connection.commit()

    return work


def bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for statement in ";\n".join(schema.MIGRATIONS).split(";\n"):
        connection.execute(statement)
    return connection


def reads() -> None:
    connection = bare(settings.current().stocks_db_path)
    last = YEAR[1]
    keys = ("timestamp", "open", "high", "low", "close", "volume")

    def fifty() -> object:
        rows = connection.execute(NEWEST, ("AA", last, 50)).fetchall()
        return [dict(zip(keys, row, strict=True)) for row in reversed(rows)]

    compare(
        "last 50 bars",
        1.5,
        lambda: db_manager.get_data_for_algorithm("AA", "last_n_bars", n=50),
        fifty,
        REPEATS,
    )
    compare(
        "latest price",
        2.0,
        lambda: db_manager.get_latest_price("AA"),
        lambda: connection.execute(PRICE, ("AA", last)).fetchone()[0],
        REPEATS,
    )
    sql = BETWEEN.replace("?", "'AA'", 1)
    compare(
        "a year as a DataFrame",
        0.6,
        lambda: db_manager.get_bars_frame("AA", *YEAR),
        lambda: pandas.read_sql_query(
            sql, connection, params=YEAR, index_col="timestamp", parse_dates=["timestamp"]
        ),
        1,
        7,
    )
    connection.close()


def minute(folder: Path) -> None:
    floor = bare(folder / "minute.db")
    session = nyse().sessions_between(clock.parse(NOW).date(), clock.parse(NOW).date())[0]
    figures = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    ours, theirs = iter(range(60, 389)), iter(range(60, 389))
    names = [f"C{chr(65 + n)}" for n in range(20)]

    def store_ours() -> None:
        bar = {"timestamp": clock.stamp(session.open + next(ours) * MINUTE), **figures}
        db_manager.insert_minute_bars([(name, bar) for name in names])

    def store_floor() -> None:
        stamp = clock.stamp(session.open + next(theirs) * MINUTE)
        floor.execute("BEGIN IMMEDIATE")
        floor.executemany(ADD, [(name, stamp, *figures.values()) for name in names])
        floor.commit()

    compare("a minute of 20 tickers", 1.5, store_ours, store_floor, 10)


def compare(
    name: str, limit: float, ours: Work, floor: Work, repeats: int, rounds: int = ROUNDS
) -> None:
    taken: dict[str, list[float]] = {"ours": [], "floor": []}
    for _ in range(rounds + 1):  # interleaved; the first round warms up
        for which, work in (("ours", ours), ("floor", floor)):
            begun = clock.elapsed()
            for _ in range(repeats):
                work()
            taken[which].append((clock.elapsed() - begun) / repeats * 1e6)
    mine, bare_one = (statistics.median(taken[which][1:]) for which in ("ours", "floor"))
    print(f"{name:32} {mine:10.1f} us {bare_one:10.1f} us {mine / bare_one:6.2f}x at most {limit}x")


if __name__ == "__main__":
    main()
