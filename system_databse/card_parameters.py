"""The parameters that were chosen for a card, beside the roadmap's tables."""

import sqlite3
from collections.abc import Mapping

from system_databse import system_db_manager


def insert(connection: sqlite3.Connection, algo_id: int, values: Mapping[str, int | float]) -> None:
    """Store a new card's parameters inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO card_parameters (algorithm_id, name, value) VALUES (?, ?, ?)",
        [(algo_id, name, value) for name, value in values.items()],
    )


def all_parameters() -> dict[int, dict[str, float]]:
    """Return each card's chosen parameters; whole numbers come back as int."""
    found: dict[int, dict[str, float]] = {}
    for row in system_db_manager.ledger().execute("SELECT * FROM card_parameters"):
        value = row["value"]
        whole = int(value) if value == int(value) else value
        found.setdefault(row["algorithm_id"], {})[row["name"]] = whole
    return found
