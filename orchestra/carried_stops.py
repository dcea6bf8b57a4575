"""Carries stops over from a ledger that is replaced into the older one that takes its place.

A card stopped without a sale leaves no trace at the broker: only the replaced ledger knows of it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from orchestra.base import sqlite
from system_databse import heartbeats

LEDGER = "SELECT value FROM system_config WHERE key = 'ledger'"
STOPS = """
SELECT a.id, a.created_at, a.stopped_at, s.state, s.reason, s.since FROM algorithm_instances a
LEFT JOIN card_state s ON s.algorithm_id = a.id AND s.state = 'stopping'
WHERE a.status = 'stopped'
"""
AGAIN = "It was stopped before the ledger was restored: it is stopped again."


def carry(replaced: Path, restored: Path) -> list[str] | None:
    """Stop in ``restored`` the cards that ``replaced`` has stopped; return their names.

    None where that cannot be read, or is another ledger. All of it is one transaction.
    """
    if not replaced.exists():
        return None
    try:
        with closing(sqlite.connect(replaced, read_only=True)) as connection:
            ledger = connection.execute(LEDGER).fetchone()
            stops = connection.execute(STOPS).fetchall()
    except sqlite3.Error:
        return None
    with closing(sqlite.connect(restored)) as connection, sqlite.transaction(connection):
        if ledger is None or ledger != connection.execute(LEDGER).fetchone():
            return None
        return [name for stop in stops for name in _stop(connection, stop)]


def _stop(connection: sqlite3.Connection, stop: sqlite3.Row) -> list[str]:
    card = connection.execute(
        "UPDATE algorithm_instances SET status = 'stopped', stopped_at = :stopped_at"
        " WHERE id = :id AND created_at = :created_at AND status = 'running' RETURNING display_name",
        dict(stop),
    ).fetchone()
    if card is None:
        return []
    connection.execute(
        "DELETE FROM card_state WHERE algorithm_id = ? AND state = 'paused'", (stop["id"],)
    )
    if stop["state"] is not None:  # its sale was not done yet
        connection.execute(
            "INSERT OR REPLACE INTO card_state (algorithm_id, state, reason, since)"
            " VALUES (:id, :state, :reason, :since)",
            dict(stop),
        )
    heartbeats.insert_event(connection, "stopped-again", AGAIN, stop["id"])
    return [card["display_name"]]
