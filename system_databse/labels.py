"""Labels: rows that say why a card's figures changed other than by an order's fill.

A correction is a transaction with a label: it counts in the card's shares and cash, but not as a trade.
"""

import sqlite3

from orchestra.base import clock
from system_databse import system_db_manager

ACCEPTED = "accepted"  # the owner took the broker's figure
SOLD_BY_HAND = "sold by hand"  # kept shares of a stopped card that the broker no longer has
SPLIT = "split"
LATE_FILL = "late fill"  # of an order that the broker had said was over
CAPITAL = "capital"  # a card's allocation was changed
RESUMED = "resumed"  # a person let a card go on that a brake had paused


def add(connection: sqlite3.Connection, algo_id: int, kind: str, note: str) -> None:
    """Label a card inside the caller's transaction."""
    _insert(connection, algo_id, None, kind, note)


def correct(
    connection: sqlite3.Connection,
    algo_id: int,
    side: str,
    shares: int,
    price: float,
    kind: str,
    note: str,
) -> None:
    """Record a labelled correcting transaction inside the caller's transaction."""
    transaction_id = system_db_manager.insert_transaction(
        connection, algo_id, side, shares, price, clock.stamp()
    )
    _insert(connection, algo_id, transaction_id, kind, note)


def newest(kind: str, since: str) -> dict[int, str]:
    """Return for each card the stamp of its newest label of this kind at or after ``since``."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, MAX(timestamp) AS newest FROM labels"
        " WHERE kind = ? AND timestamp >= ? GROUP BY algorithm_id",
        (kind, since),
    )
    return {row["algorithm_id"]: row["newest"] for row in rows}


def kinds_of(transaction_ids: list[int]) -> dict[int, str]:
    """Return the kind of each of these transactions that is a labelled correction."""
    if not transaction_ids:
        return {}
    rows = system_db_manager.ledger().execute(
        "SELECT transaction_id, kind FROM labels WHERE transaction_id BETWEEN ? AND ?",
        (min(transaction_ids), max(transaction_ids)),
    )
    wanted = set(transaction_ids)
    return {row["transaction_id"]: row["kind"] for row in rows if row["transaction_id"] in wanted}


def _insert(
    connection: sqlite3.Connection, algo_id: int, transaction_id: int | None, kind: str, note: str
) -> None:
    connection.execute(
        "INSERT INTO labels (timestamp, algorithm_id, transaction_id, kind, note)"
        " VALUES (?, ?, ?, ?, ?)",
        (clock.stamp(), algo_id, transaction_id, kind, note),
    )
