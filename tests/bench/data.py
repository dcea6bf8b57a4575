"""What market data costs, beside bare sqlite3 or pandas doing the same, and as the file grows.

Run by hand: .venv/bin/python -m tests.bench.data [--quick]. Rounds are interleaved and medians compared.
"""

import gc
import shutil
import sqlite3
import statistics
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pandas

from database import db_manager, gaps, schema
from database.bars import BETWEEN, NEWEST, PRICE
from orchestra.base import clock, settings, sqlite
from orchestra.base.market_calendar import MINUTE, Session, nyse
from tests.bench.place import own_place
from tests.bench.rows import Row, at_most, run
from tests.exchange_fixture import change, set_clock

LAST_YEAR, YEARS = 2024, 7
NOW = (
    f"{LAST_YEAR}-12-30T21:00:00Z"  # its session has just closed; the next one's minutes are stored
)
GROWTH = 1.5
MOST_BYTES = 85
KEYS = ("timestamp", "open", "high", "low", "close", "volume")
ADD = "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)"
Bar = dict[str, Any]
Work = Callable[[], object]


@dataclass(frozen=True)
class Store:
    """A stocks.db of the same history for so many tickers over so many years."""

    path: Path
    tickers: int
    years: int
    empty: int  # the file's size before the first bar, in bytes

    @property
    def name(self) -> str:
        return f"{self.tickers} ticker{'s' * (self.tickers > 1)}, {self.years} year{'s' * (self.years > 1)}"


@dataclass(frozen=True)
class Job:
    """One kind of work: its floor's limit, how often it is repeated in a round, and how many rounds."""

    name: str
    limit: float
    unit: str
    repeats: int
    rounds: int


LAST_50 = Job("the last 50 bars for an algorithm", 1.5, "us", 200, 25)
PRICE_NOW = Job("the latest price", 2.0, "us", 200, 25)
A_MINUTE = Job("storing a minute of 20 tickers", 1.5, "us", 10, 25)
A_FRAME = Job("a year as a DataFrame", 0.6, "ms", 1, 15)
A_YEAR = Job("storing a year of one ticker", 1.3, "ms", 1, 5)


def measure(quick: bool) -> Iterator[Row]:
    most = 40 if quick else 100
    with own_place() as folder:
        set_clock(NOW)
        history = [bars_of(year) for year in range(LAST_YEAR - YEARS + 1, LAST_YEAR + 1)]
        gc.freeze()  # else every collection goes through these millions of objects
        sizes = ((1, 1), (20, 1), (most, 1), (1, YEARS))
        stores = [new_store(folder, *size, history) for size in sizes]
        yield from file_sizes(stores)
        floor_file = copied(stores[1], folder / "floor.db")
        works = [our_works(store, history[-1]) for store in stores]
        with closing(bare(floor_file)) as floor:
            use(stores[1])
            yield from beside_floors(works[1], bare_works(floor, history[-1]))
        yield from as_it_grows(stores, works)


def beside_floors(ours: dict[Job, Work], theirs: dict[Job, Work]) -> Iterator[Row]:
    for job in ours:
        mine, bare_one = medians(job, [ours[job], theirs[job]])
        yield at_most(job.name, mine, bare_one, job.limit, job.unit)


def as_it_grows(stores: list[Store], works: list[dict[Job, Work]]) -> Iterator[Row]:
    for job in works[0]:
        taken = medians(
            job, [work[job] for work in works], [partial(use, store) for store in stores]
        )
        for n, store in enumerate(stores):
            like = base_of(job, stores, n)
            if like != n:
                name = f"{job.name}: {store.name}"
                yield at_most(name, taken[n], taken[like], GROWTH, job.unit)


def base_of(job: Job, stores: list[Store], n: int) -> int:
    """The smallest store in which the job is the same work: a minute is of at most 20 tickers."""
    if job is not A_MINUTE:
        return 0
    written = [min(20, store.tickers) for store in stores]
    return written.index(written[n])


def file_sizes(stores: list[Store]) -> Iterator[Row]:
    for store in stores:
        use(store)
        connection = schema.stocks()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        bars = connection.execute("SELECT count(*) FROM bars").fetchone()[0]
        size = (store.path.stat().st_size - store.empty) / bars
        name = f"file size: {store.name}"
        yield Row(name, f"{size:.1f} bytes a bar", "", f"at most {MOST_BYTES}", size <= MOST_BYTES)


def our_works(store: Store, year: list[Bar]) -> dict[Job, Work]:
    first, last = (str(year[n]["timestamp"]) for n in (0, -1))
    minutes, numbers = next_minutes(), count()
    names = names_of(min(20, store.tickers))

    def a_minute() -> object:
        stamp, bar = next(minutes)
        streamed = {stamp: dict.fromkeys(names, 40)}
        return db_manager.insert_minute_bars([(name, bar) for name in names], streamed)

    return {
        LAST_50: lambda: db_manager.get_data_for_algorithm("AA", "last_n_bars", n=50),
        PRICE_NOW: lambda: db_manager.get_latest_price("AA"),
        A_MINUTE: a_minute,
        A_FRAME: lambda: db_manager.get_bars_frame("AA", first, last),
        A_YEAR: lambda: db_manager.insert_historical_data(f"Z{letters(next(numbers))}", year),
    }


def bare_works(floor: sqlite3.Connection, year: list[Bar]) -> dict[Job, Work]:
    first, last = (str(year[n]["timestamp"]) for n in (0, -1))
    minutes, numbers = next_minutes(), count()
    names = names_of(20)

    def fifty() -> object:
        rows = floor.execute(NEWEST, ("AA", last, 50)).fetchall()
        return [dict(zip(KEYS, row, strict=True)) for row in reversed(rows)]

    def add(rows: list[tuple[object, ...]]) -> None:
        floor.execute("BEGIN IMMEDIATE")
        floor.executemany(ADD, rows)
        floor.commit()

    def a_minute() -> None:
        _, bar = next(minutes)
        add([(name, *bar.values()) for name in names])

    def a_year() -> None:
        name = f"Z{letters(next(numbers))}"
        add([(name, *bar.values()) for bar in year])

    return {
        LAST_50: fifty,
        PRICE_NOW: lambda: floor.execute(PRICE, ("AA", last)).fetchone()[0],
        A_MINUTE: a_minute,
        A_FRAME: lambda: pandas.read_sql_query(
            BETWEEN,
            floor,
            params=("AA", first, last),
            index_col="timestamp",
            parse_dates=["timestamp"],
        ),
        A_YEAR: a_year,
    }


def medians(job: Job, works: list[Work], before: list[Work] | None = None) -> list[float]:
    """Each work's median time, after ``before`` in each round; the first round warms up."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(job.rounds + 1):
        for n, work in enumerate(works):
            if before is not None:
                before[n]()
            begun = clock.elapsed()
            for _ in range(job.repeats):
                work()
            taken[n].append((clock.elapsed() - begun) / job.repeats)
    scale = {"us": 1e6, "ms": 1e3}[job.unit]
    return [statistics.median(each[1:]) * scale for each in taken]


def new_store(folder: Path, tickers: int, years: int, history: list[list[Bar]]) -> Store:
    """Store a history and, as a fetch does, know every minute of it."""
    path = folder / f"{tickers}x{years}.db"
    change(STOCKS_DB=path)
    db_manager.initialize_database()
    store = Store(path, tickers, years, path.stat().st_size)
    for name in names_of(tickers):
        for bars in history[-years:]:
            db_manager.insert_historical_data(name, bars)
        stamps = (history[-years][0]["timestamp"], history[-1][-1]["timestamp"])
        known = gaps.within(*map(clock.parse, stamps))
        assert known is not None
        with sqlite.transaction(schema.stocks()) as connection:
            gaps.cover(connection, name, known)
    return store


def copied(store: Store, path: Path) -> Path:
    """The store's file again, whole, for the floor."""
    use(store)
    schema.stocks().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(store.path, path))


def use(store: Store) -> None:
    if settings.current().stocks_db_path != store.path:
        change(STOCKS_DB=store.path)
        db_manager.get_data_for_algorithm(
            "AA", "last_n_bars", n=50
        )  # its connection and statements


def bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def bars_of(year: int) -> list[Bar]:
    first, last = clock.parse(f"{year}-01-01T00:00:00Z").date(), clock.parse(NOW).date()
    sessions = nyse().sessions_between(first, min(last, first + timedelta(days=364)))
    return [bar_at(session, n) for session in sessions for n in range(session.minutes)]


def bar_at(session: Session, n: int) -> Bar:
    price = 100 + (n * 7919 % 101) / 100
    figures = {"open": price, "high": price + 0.02, "low": price - 0.03, "close": price + 0.01}
    return {"timestamp": clock.stamp(session.open + n * MINUTE), **figures, "volume": 100 + n}


def next_minutes() -> Iterator[tuple[str, Bar]]:
    """The minutes after the stored history, one by one."""
    day = clock.parse(NOW).date()
    for session in nyse().sessions_between(day + timedelta(days=1), day + timedelta(days=60)):
        for n in range(session.minutes):
            bar = bar_at(session, n)
            yield str(bar["timestamp"]), bar


def names_of(tickers: int) -> list[str]:
    return [f"A{letters(n)}" for n in range(tickers)]


def letters(n: int) -> str:
    return chr(65 + n // 26) * (n >= 26) + chr(65 + n % 26)


if __name__ == "__main__":
    run(measure)
