"""The cycle journal: one row for each minute in which the cards were asked."""

from datetime import datetime

from orchestra.base import clock, sqlite
from system_databse import system_db_manager


def record(minute: datetime, late_ms: float, took_ms: float) -> None:
    """Store a cycle: machine ms from its planned wake-up to its start, and from there to its end."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO cycles (minute, late_ms, took_ms) VALUES (?, ?, ?)",
            (clock.stamp(minute), round(late_ms, 3), round(took_ms, 3)),
        )


def lateness(first: datetime, last: datetime) -> dict[str, float]:
    """Return ``late_ms`` of each cycle's minute within ``first``..``last``, both included."""
    rows = system_db_manager.ledger().execute(
        "SELECT minute, late_ms FROM cycles WHERE minute >= ? AND minute <= ? ORDER BY minute",
        (clock.stamp(first), clock.stamp(last)),
    )
    return {row["minute"]: row["late_ms"] for row in rows}


def prune(before: datetime) -> int:
    """Drop cycles of minutes before a moment; how many there were."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        return connection.execute(
            "DELETE FROM cycles WHERE minute < ?", (clock.stamp(before),)
        ).rowcount
