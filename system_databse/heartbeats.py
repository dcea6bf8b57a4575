"""Signs of life of each part, and events a person should know."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestra.base import clock, sqlite
from system_databse import system_db_manager

SILENT_AFTER_SECONDS = 120.0  # machine seconds; the orchestrator writes at least every 30
START_SECONDS = 180.0  # two minutes for the clock to be set, the rest for the trader itself
NEVER = datetime.fromtimestamp(0, UTC)
START = "start"  # of the trader: there from before it until its own first word


@dataclass(frozen=True)
class Heartbeat:
    """A part's last word. ``age`` is in machine seconds, ``market_time`` a stamp."""

    status: str
    message: str
    market_time: str
    machine_time: str
    age: float


def beat(parts: dict[str, tuple[str, str]]) -> None:
    """Record each part's status (ok, degraded or down) and message, as of now."""
    market, machine = clock.stamp(), clock.machine_now().isoformat()
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.executemany(
            "INSERT INTO heartbeats (part, status, message, market_time, machine_time)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT(part) DO UPDATE SET status = excluded.status,"
            " message = excluded.message, market_time = excluded.market_time,"
            " machine_time = excluded.machine_time",
            [(part, status, message, market, machine) for part, (status, message) in parts.items()],
        )
        if "orchestrator" in parts:
            connection.execute("DELETE FROM heartbeats WHERE part = ?", (START,))


def announce(status: str, message: str) -> None:
    """Say, for a trader that is not there yet, what it waits for: down where that is the clock."""
    beat({START: (status, message)})


def amend(part: str, status: str, message: str) -> bool:
    """Change a part's status and message, and leave its time; True where the status is another now.

    A part that was never well gets the time NEVER.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        before = connection.execute(
            "SELECT status FROM heartbeats WHERE part = ?", (part,)
        ).fetchone()
        connection.execute(
            "INSERT INTO heartbeats (part, status, message, market_time, machine_time)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT(part) DO UPDATE SET status = excluded.status,"
            " message = excluded.message",
            (part, status, message, clock.stamp(), NEVER.isoformat()),
        )
        return before is None or bool(before["status"] != status)


def heartbeats() -> dict[str, Heartbeat]:
    """Return each part's last heartbeat."""
    now = clock.machine_now()
    rows = system_db_manager.ledger().execute("SELECT * FROM heartbeats")
    return {
        row["part"]: Heartbeat(
            row["status"],
            row["message"],
            row["market_time"],
            row["machine_time"],
            (now - now.fromisoformat(row["machine_time"])).total_seconds(),
        )
        for row in rows
    }


def newest_market_time() -> str | None:
    """Return the market time of the trader's newest heartbeat: where a simulated terminal goes on."""
    row = (
        system_db_manager.ledger()
        .execute("SELECT market_time FROM heartbeats WHERE part = 'orchestrator'")
        .fetchone()
    )
    return None if row is None else str(row["market_time"])


def record_event(kind: str, message: str, algo_id: int | None = None) -> None:
    """Write down something a person should know."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        insert_event(connection, kind, message, algo_id)


def insert_event(
    connection: sqlite3.Connection, kind: str, message: str, algo_id: int | None = None
) -> None:
    """Write down an event inside the caller's transaction."""
    connection.execute(
        "INSERT INTO events (timestamp, kind, algorithm_id, message) VALUES (?, ?, ?, ?)",
        (clock.stamp(), kind, algo_id, message),
    )


def newest_events(kind: str, since: str) -> dict[int, tuple[str, str]]:
    """Return for each card stamp and message of its newest event of this kind at or after ``since``."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, timestamp, message FROM events WHERE kind = ? AND timestamp >= ?"
        " AND algorithm_id IS NOT NULL ORDER BY id",
        (kind, since),
    )
    return {row["algorithm_id"]: (row["timestamp"], row["message"]) for row in rows}


def record_event_once(kind: str, message: str, algo_id: int) -> bool:
    """Write down an event unless this card has one of this kind already; True if it was new."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        cursor = connection.execute(
            "INSERT INTO events (timestamp, kind, algorithm_id, message) SELECT ?, ?, ?, ?"
            " WHERE NOT EXISTS (SELECT 1 FROM events WHERE kind = ? AND algorithm_id = ?)",
            (clock.stamp(), kind, algo_id, message, kind, algo_id),
        )
        return cursor.rowcount == 1
