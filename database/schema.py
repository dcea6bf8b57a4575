"""The shape of stocks.db: its tables, the grid of minutes, and the view with a column group per ticker."""

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator

from database import checks
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import ForeignContents
from orchestra.base.market_calendar import GRID_MINUTES, MINUTE, nyse
from orchestra.base.settings import Settings

GRID_ROWS = len(nyse().sessions) * GRID_MINUTES
VIEW_TICKERS = 399  # 5 columns each and the timestamp: SQLite ends at 2000
PRICES = ("open", "high", "low", "close", "volume")

# Checks stand in the table, where they cost a bulk load least. NaN arrives as NULL.
FIRST_TABLES = """
CREATE TABLE IF NOT EXISTS contents (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minutes (timestamp TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    day TEXT PRIMARY KEY, open TEXT NOT NULL, close TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tickers (
    number INTEGER PRIMARY KEY, ticker TEXT NOT NULL UNIQUE, added_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS bars (
    ticker TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume INTEGER NOT NULL,
    PRIMARY KEY (ticker, timestamp),
    CHECK (low > 0 AND low <= open AND low <= close AND high >= open AND high >= close
           AND high < 1e15 AND volume >= 0 AND volume < 1e18)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS coverage (
    ticker TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    PRIMARY KEY (ticker, first),
    CHECK (first <= last)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
    ticker TEXT PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS market_data AS SELECT timestamp FROM minutes;
"""

VERDICTS = """
CREATE TABLE IF NOT EXISTS awaited (
    ticker TEXT NOT NULL, minute TEXT NOT NULL, asked_at TEXT NOT NULL, arrived_at TEXT,
    PRIMARY KEY (ticker, minute)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS awaited_still ON awaited (minute) WHERE arrived_at IS NULL;
"""

ARRIVALS = """
DROP TABLE awaited;
CREATE TABLE arrivals (
    minute TEXT PRIMARY KEY,
    asked INTEGER,
    lacking TEXT NOT NULL DEFAULT '[]',
    streamed TEXT NOT NULL DEFAULT '{}',
    fetched TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
"""

# Whoever changes a stored bar leaves a trace: an algorithm may have decided on its first figures
REPLACED_BARS = """
CREATE TABLE replaced_bars (
    ticker TEXT NOT NULL, timestamp TEXT NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
    volume INTEGER NOT NULL
);
CREATE INDEX replaced_bars_by_minute ON replaced_bars (timestamp);
CREATE TRIGGER bars_replaced AFTER UPDATE ON bars
WHEN (OLD.open, OLD.high, OLD.low, OLD.close, OLD.volume)
     IS NOT (NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume)
BEGIN INSERT INTO replaced_bars VALUES
    (OLD.ticker, OLD.timestamp, OLD.open, OLD.high, OLD.low, OLD.close, OLD.volume); END;
"""

# One that was ever on main is never edited: a change is a new one at the end
MIGRATIONS: tuple[str, ...] = (FIRST_TABLES, VERDICTS, ARRIVALS, REPLACED_BARS)

log = logging.getLogger("autotrader.database")


class _Open(threading.local):
    """What this thread knows of the connection it last used."""

    settings: Settings | None = None
    path = ""
    connection: sqlite3.Connection | None = None
    tickers: frozenset[str] = frozenset()


_open = _Open()


def stocks() -> sqlite3.Connection:
    """Return this thread's connection to stocks.db; the first use of a new file makes its tables."""
    chosen = settings.current()
    if chosen is not _open.settings:
        chosen.stocks_db_path.parent.mkdir(parents=True, exist_ok=True)
        # As a text, for this is asked before each read
        _open.settings, _open.path = chosen, str(chosen.stocks_db_path)
    connection = sqlite.kept(_open.path, synchronous="NORMAL")
    if connection is not _open.connection:
        for number in range(_version(connection), len(MIGRATIONS)):
            _migrate(connection, number)
        _open.connection, _open.tickers = connection, frozenset()
    return connection


def initialize_database() -> None:
    """Create stocks.db and fill its grid of minutes for 2018-2030; run again, it only adds what lacks.

    One transaction: interrupted, it leaves the file as it was.
    """
    connection = stocks()
    if connection.execute("SELECT count(*) FROM minutes").fetchone()[0] == GRID_ROWS:
        return
    with sqlite.transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO minutes VALUES (?)", _grid())
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # gives the log's 40 MB back to the card


def add_tickers(connection: sqlite3.Connection, tickers: Iterable[str]) -> None:
    """Make tickers known, with their columns in the view, inside the caller's transaction."""
    new = unknown(connection, tickers)
    if not new:
        return
    before = connection.execute("SELECT count(*) FROM tickers").fetchone()[0]
    now = clock.stamp()
    connection.executemany(
        "INSERT INTO tickers (ticker, added_at) VALUES (?, ?)", [(ticker, now) for ticker in new]
    )
    if before < VIEW_TICKERS:
        _rebuild_view(connection)
    if before <= VIEW_TICKERS < before + len(new):
        log.warning(
            "The view market_data stays at its first %d tickers, since SQLite ends at 2000 columns."
            " Bars of further tickers are stored and read as ever.",
            VIEW_TICKERS,
        )


def unknown(connection: sqlite3.Connection, tickers: Iterable[str]) -> list[str]:
    """Those of the tickers that were not added before, in their order. Raises BadInput on other words."""
    wanted = dict.fromkeys(tickers)
    if connection is _open.connection and wanted.keys() <= _open.tickers:
        return []
    return [ticker for ticker in wanted if not knows(connection, checks.ticker(ticker))]


def knows(connection: sqlite3.Connection, ticker: str) -> bool:
    """Whether a ticker was added before; remembered, for a ticker is never taken away."""
    if connection is _open.connection and ticker in _open.tickers:
        return True
    row = connection.execute("SELECT 1 FROM tickers WHERE ticker = ?", (ticker,)).fetchone()
    # What is seen inside a transaction may yet be rolled back
    if row and connection is _open.connection and not connection.in_transaction:
        _open.tickers |= {ticker}
    return row is not None


def _version(connection: sqlite3.Connection) -> int:
    """Return how many migrations the file has seen. Raises ForeignContents where there are more."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'contents'").fetchone():
        return 0
    row = connection.execute("SELECT value FROM contents WHERE key = 'schema_version'").fetchone()
    version = int(row[0]) if row else 0
    if version > len(MIGRATIONS):
        raise ForeignContents(
            f"{settings.current().stocks_db_path} was written by a newer version (schema {version},"
            f" this one knows {len(MIGRATIONS)}): update the program, or move the file away and its"
            " contents are fetched again."
        )
    return version


def _migrate(connection: sqlite3.Connection, number: int) -> None:
    """Carry out one migration. No backup before it: what is here can be fetched again."""
    with sqlite.transaction(connection):
        if _version(connection) != number:  # another process was faster
            return
        for statement in MIGRATIONS[number].split(";\n"):
            connection.execute(statement)
        if number == 0:
            days = [
                (session.day.isoformat(), clock.stamp(session.open), clock.stamp(session.close))
                for session in nyse().sessions
            ]
            connection.executemany("INSERT INTO sessions VALUES (?, ?, ?)", days)
        connection.execute(
            "INSERT OR REPLACE INTO contents VALUES ('schema_version', ?)", (str(number + 1),)
        )


def _grid() -> Iterator[tuple[str]]:
    """Every minute of the grid as a row. A session never crosses midnight UTC."""
    times: dict[str, list[str]] = {}
    for session in nyse().sessions:
        day, opening = clock.stamp(session.open).split("T")
        if opening not in times:
            minutes = (session.open + offset * MINUTE for offset in range(GRID_MINUTES))
            times[opening] = [clock.stamp(minute)[10:] for minute in minutes]
        for time in times[opening]:
            yield (day + time,)


def _rebuild_view(connection: sqlite3.Connection) -> None:
    """Give each of the first tickers its five columns, read by primary key: joins end at 64 tables."""
    tickers = connection.execute(
        "SELECT ticker FROM tickers ORDER BY number LIMIT ?", (VIEW_TICKERS,)
    ).fetchall()
    columns = [
        f"(SELECT {price} FROM bars WHERE ticker = '{ticker}' AND timestamp = m.timestamp)"
        f' AS "{ticker}_{price}"'
        for (ticker,) in tickers
        for price in PRICES
    ]
    connection.execute("DROP VIEW IF EXISTS market_data")
    connection.execute(
        f"CREATE VIEW market_data AS SELECT {', '.join(['m.timestamp', *columns])} FROM minutes m"
    )
