"""What the ledger and the journals say of one stretch of time, for the daily report."""

from datetime import datetime
from typing import Any

from orchestra.base import clock
from system_databse import labels, system_db_manager
from system_databse.card_calculations import CardSums

# A split before the open belongs to the night: what was held is counted in the day's own shares
_SUMS = f"""
SELECT t.algorithm_id,
       SUM(CASE WHEN t.type = 'buy' THEN t.shares ELSE -t.shares END) AS shares,
       SUM(CASE WHEN t.type = 'buy' THEN t.shares * t.price ELSE -t.shares * t.price END) AS invested
FROM transactions t LEFT JOIN labels l ON l.transaction_id = t.id
WHERE t.timestamp < :before OR (t.timestamp < :splits_before AND l.kind = '{labels.SPLIT}')
GROUP BY t.algorithm_id
"""


def sums_before(moment: datetime, splits_before: datetime | None = None) -> dict[int, CardSums]:
    """Return each card's sums over its transactions before ``moment``; ``trades`` stays 0.

    Transactions of a split count up to ``splits_before``, where given.
    """
    values = {
        "before": clock.stamp(moment),
        "splits_before": clock.stamp(splits_before or moment),
    }
    return {
        row["algorithm_id"]: CardSums(row["shares"], row["invested"])
        for row in system_db_manager.ledger().execute(_SUMS, values)
    }


def decisions(first: datetime, last: datetime) -> list[dict[str, Any]]:
    """Return every card's decisions in the minutes ``first``..``last``, both included."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, minute, action, reason, verdict FROM decisions"
        " WHERE minute >= ? AND minute <= ? ORDER BY minute, algorithm_id",
        (clock.stamp(first), clock.stamp(last)),
    )
    return [dict(row) for row in rows]


def orders_by_state(first: datetime, last: datetime) -> dict[str, int]:
    """Count the orders decided in the minutes ``first``..``last`` by their state in the journal."""
    rows = system_db_manager.ledger().execute(
        "SELECT state, COUNT(*) AS number FROM orders WHERE minute >= ? AND minute <= ?"
        " GROUP BY state ORDER BY state",
        (clock.stamp(first), clock.stamp(last)),
    )
    return {row["state"]: row["number"] for row in rows}


def fills(first: datetime, last: datetime) -> list[dict[str, Any]]:
    """Return what orders decided in ``first``..``last`` filled, each with the bar it was decided on."""
    rows = system_db_manager.ledger().execute(
        "SELECT o.algorithm_id, o.ticker, o.side, t.shares, t.price, t.timestamp, d.bar, d.action"
        " FROM orders o JOIN transactions t ON t.id = o.transaction_id"
        " LEFT JOIN decisions d ON d.algorithm_id = o.algorithm_id AND d.minute = o.minute"
        " WHERE o.minute >= ? AND o.minute <= ? ORDER BY t.timestamp, t.id",
        (clock.stamp(first), clock.stamp(last)),
    )
    return [dict(row) for row in rows]


def events(since: datetime, before: datetime) -> list[dict[str, Any]]:
    """Return the events at or after ``since`` and before ``before``, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT e.timestamp, e.kind, e.algorithm_id, c.ticker, e.message FROM events e"
        " LEFT JOIN algorithm_instances c ON c.id = e.algorithm_id"
        " WHERE e.timestamp >= ? AND e.timestamp < ? ORDER BY e.id",
        (clock.stamp(since), clock.stamp(before)),
    )
    return [dict(row) for row in rows]
