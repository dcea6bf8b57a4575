"""Cards, transactions and the PIN in system.db: the owner's functions, and the connection they share.

All stamps are UTC, YYYY-MM-DDTHH:MM:SSZ. Nothing derived is stored: shares, value and P&L come from
``transactions`` (see card_calculations).
"""

import math
import numbers
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestra.base import clock, settings, sqlite, tickers
from orchestra.base.errors import AutoTraderError, BadInput, NotFound
from system_databse.ledger_source import LedgerSource, StoredLedger, Sums

MOST_SHARES = 2**53  # beyond it a float no longer holds every whole number

_stored = StoredLedger()
_source: LedgerSource = _stored


@contextmanager
def answered_by(source: LedgerSource) -> Iterator[None]:
    """Have every question about cards in this process answered by ``source``."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


def make_read_only() -> None:
    """Refuse every write of this process from now on: an algorithm's worker never writes the ledger."""
    _source.read_only = True


def follow_replacement() -> None:
    """Take another ledger in this one's place for what it is: for a process that only shows it."""
    _stored.follows = True


def get_connection() -> sqlite3.Connection:
    """Open a new connection to system.db: rows by name, foreign keys enabled. The caller closes it."""
    path = settings.current().system_db_path
    if not path.exists():
        _stored.create(path)
    return sqlite.connect(path, read_only=_source.read_only)


def ledger() -> sqlite3.Connection:
    """This thread's kept connection to system.db; the database is created where there is none."""
    return _source.connection()


def writable_ledger() -> sqlite3.Connection:
    """Like ``ledger``, for a write. Raises AutoTraderError in an algorithm's worker."""
    if _source.read_only:
        raise AutoTraderError(
            "An algorithm does not write the ledger: return ('buy', shares), ('sell', shares)"
            " or ('hold', 0), and what was filled is recorded for it."
        )
    return ledger()


def get_pin() -> str:
    """Return the PIN."""
    return str(get_config("pin"))


def get_config(key: str) -> str | None:
    """Return one value of system_config, None where there is none."""
    row = ledger().execute("SELECT value FROM system_config WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row["value"])


def set_config(key: str, value: str) -> None:
    """Store one value of system_config."""
    with sqlite.transaction(writable_ledger()) as connection:
        connection.execute(
            "INSERT INTO system_config (key, value) VALUES (?, ?)"
            " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            (key, value),
        )


def create_algorithm(ticker: str, algo_type: str, initial_capital: float) -> int:
    """Add a running card and return its id. ``initial_capital`` is its allocation in dollars."""
    with sqlite.transaction(writable_ledger()) as connection:
        return insert_algorithm(connection, ticker, algo_type, initial_capital)


def insert_algorithm(
    connection: sqlite3.Connection, ticker: str, algo_type: str, initial_capital: float
) -> int:
    """Insert a card inside the caller's transaction, which may have checked the allocation in it."""
    ticker = tickers.ticker(_named("ticker", ticker).upper())
    algo_type = _named("algorithm", algo_type)
    capital = positive("initial_capital", initial_capital)
    cursor = connection.execute(
        "INSERT INTO algorithm_instances"
        " (display_name, algorithm_type, ticker, initial_capital, created_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (generate_display_name(ticker, algo_type), algo_type, ticker, capital, clock.stamp()),
    )
    return int(cursor.lastrowid or 0)


def reserve_algorithm_id(algo_id: int) -> None:
    """Never give a new card this id: a card of a lost ledger has orders under it."""
    with sqlite.transaction(writable_ledger()) as connection:
        connection.execute(
            "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = 'algorithm_instances'",
            (algo_id,),
        )
        connection.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'algorithm_instances', ? WHERE NOT EXISTS"
            " (SELECT 1 FROM sqlite_sequence WHERE name = 'algorithm_instances')",
            (algo_id,),
        )


def stop_algorithm(algo_id: int) -> bool:
    """Mark a running card as stopped; True if it was running. Its shares stay where they are."""
    with sqlite.transaction(writable_ledger()) as connection:
        return mark_stopped(connection, algo_id)


def mark_stopped(connection: sqlite3.Connection, algo_id: int) -> bool:
    """Stop a card inside the caller's transaction; True if it was running. It is paused no more."""
    cursor = connection.execute(
        "UPDATE algorithm_instances SET status = 'stopped', stopped_at = ?"
        " WHERE id = ? AND status = 'running'",
        (clock.stamp(), algo_id),
    )
    connection.execute(
        "DELETE FROM card_state WHERE algorithm_id = ? AND state = 'paused'", (algo_id,)
    )
    return cursor.rowcount == 1


def get_algorithm(algo_id: int) -> dict[str, Any] | None:
    """Return one card's row, None where there is no such card."""
    row = ledger().execute("SELECT * FROM algorithm_instances WHERE id = ?", (algo_id,)).fetchone()
    return None if row is None else dict(row)


def get_all_algorithms(status: str | None = None) -> list[dict[str, Any]]:
    """Return all cards in the order they were added, or those with ``status`` running or stopped."""
    if status is None:
        rows = ledger().execute("SELECT * FROM algorithm_instances ORDER BY id")
    elif status in ("running", "stopped"):
        rows = ledger().execute(
            "SELECT * FROM algorithm_instances WHERE status = ? ORDER BY id", (status,)
        )
    else:
        raise BadInput(f"Expected the status running or stopped, was {status!r}.")
    return [dict(row) for row in rows]


def record_buy(algo_id: int, shares: int, price: float) -> int:
    """Record shares bought now, at dollars a share; returns the transaction's id."""
    with sqlite.transaction(writable_ledger()) as connection:
        return insert_transaction(connection, algo_id, "buy", shares, price, clock.stamp())


def record_sell(algo_id: int, shares: int, price: float) -> int:
    """Record shares sold now, at dollars a share; returns the transaction's id."""
    with sqlite.transaction(writable_ledger()) as connection:
        return insert_transaction(connection, algo_id, "sell", shares, price, clock.stamp())


def insert_transaction(
    connection: sqlite3.Connection,
    algo_id: int,
    side: str,
    shares: int,
    price: float,
    timestamp: str,
) -> int:
    """Insert a transaction inside the caller's transaction. Raises BadInput, NotFound."""
    values = (algo_id, side, whole_shares(shares), positive("price", price), timestamp)
    try:
        cursor = connection.execute(
            "INSERT INTO transactions (algorithm_id, type, shares, price, timestamp)"
            " VALUES (?, ?, ?, ?, ?)",
            values,
        )
    except sqlite3.IntegrityError:
        # The columns are checked above, so only the card can be missing
        raise NotFound(f"There is no card with id {algo_id!r}.") from None
    return int(cursor.lastrowid or 0)


def get_transactions(algo_id: int) -> list[dict[str, Any]]:
    """Return a card's transactions, newest first by timestamp, then id."""
    return _source.transactions(algo_id)


def get_sums(algo_id: int) -> Sums:
    """Return a card's shares, net invested dollars and number of trades."""
    return _source.sums(algo_id)


def newest_transaction_id() -> int:
    """Return the id of the newest transaction of all cards, 0 where there is none."""
    row = ledger().execute("SELECT MAX(id) FROM transactions").fetchone()
    return int(row[0] or 0)


def get_transactions_since(timestamp: str) -> list[dict[str, Any]]:
    """Return every card's transactions at or after a stamp, oldest first."""
    rows = ledger().execute(
        "SELECT * FROM transactions WHERE timestamp >= ? ORDER BY timestamp, id", (timestamp,)
    )
    return [dict(row) for row in rows]


def get_transactions_page(
    algo_id: int, before_id: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of a card's transactions, newest first by id, and the next page's cursor.

    ``label`` is None for what an order filled, else the kind of the correction.
    """
    rows = (
        ledger()
        .execute(
            "SELECT t.*, l.kind AS label FROM transactions t LEFT JOIN labels l ON l.transaction_id = t.id"
            " WHERE t.algorithm_id = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?",
            (algo_id, before_id or 2**62, limit + 1),
        )
        .fetchall()
    )
    page = [dict(row) for row in rows[:limit]]
    return page, page[-1]["id"] if len(rows) > limit else None


def generate_display_name(ticker: str, algo_type: str) -> str:
    """Name a new card, for example NVDA_sma_crossover_20240604_143022 (UTC)."""
    return f"{ticker}_{algo_type}_{clock.now():%Y%m%d_%H%M%S}"


def whole_shares(value: object) -> int:
    """Return a positive whole number of shares as int; 53.0 counts, as ``cash // price`` gives it."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if MOST_SHARES < number < math.inf:
            raise BadInput(f"Expected at most {MOST_SHARES:,} shares, was {number:g}.")
        if math.isfinite(number) and number > 0 and number == int(number):
            return int(number)
    raise BadInput(f"Expected a whole number of shares above zero, was {value!r}.")


def positive(name: str, value: object) -> float:
    """Return a finite number above zero as float, or raise BadInput naming it."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    raise BadInput(f"Expected {name} to be a number above zero, was {value!r}.")


def _named(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"Expected the name of a {what}, was {value!r}.")
    return value.strip()
