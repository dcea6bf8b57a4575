"""What is on record of single cards in a stretch of time, for running it again."""

from typing import Any

from system_databse import labels, system_db_manager

Row = dict[str, Any]


def cards_asked(first: str, last: str) -> list[int]:
    """Return the cards with a decision in the minutes ``first``..``last`` (stamps, both included)."""
    rows = system_db_manager.ledger().execute(
        "SELECT DISTINCT algorithm_id FROM decisions WHERE minute >= ? AND minute <= ? ORDER BY 1",
        (first, last),
    )
    return [row["algorithm_id"] for row in rows]


def decisions(algo_id: int, first: str, last: str) -> list[Row]:
    """Return a card's decisions of those minutes, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT minute, bar, action, shares, reason, verdict FROM decisions"
        " WHERE algorithm_id = ? AND minute >= ? AND minute <= ? ORDER BY minute",
        (algo_id, first, last),
    )
    return [dict(row) for row in rows]


def orders(algo_id: int, first: str, last: str) -> list[Row]:
    """Return the orders its algorithm decided in those minutes, with what was filled, if anything."""
    rows = system_db_manager.ledger().execute(
        "SELECT o.minute, o.side, o.shares AS asked, o.state, o.reason,"
        " t.shares, t.price, t.timestamp FROM orders o"
        " LEFT JOIN transactions t ON t.id = o.transaction_id"
        " WHERE o.algorithm_id = ? AND o.minute >= ? AND o.minute <= ?"
        " AND o.client_order_id NOT LIKE '%-exit' ORDER BY o.minute",
        (algo_id, first, last),
    )
    return [dict(row) for row in rows]


def changes_since(algo_id: int, since: str) -> set[str]:
    """Return the kinds of labels a card has got since a stamp: its figures changed by other than fills."""
    rows = system_db_manager.ledger().execute(
        "SELECT DISTINCT kind FROM labels WHERE algorithm_id = ? AND timestamp >= ? AND kind != ?",
        (algo_id, since, labels.RESUMED),
    )
    return {row["kind"] for row in rows}
