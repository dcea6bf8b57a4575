"""Rows of the ledger that only tests ask for."""

from system_databse import system_db_manager


def labelled(kind: str) -> list[tuple[int, str]]:
    """Return (card, note) of every label of a kind, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, note FROM labels WHERE kind = ? ORDER BY id", (kind,)
    )
    return [tuple(row) for row in rows]
