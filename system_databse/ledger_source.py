"""Who answers questions about cards: system.db, unless something else was put in its place."""

import sqlite3
from typing import Any, Protocol

from orchestra.base import settings, sqlite
from system_databse import create_system_db

Sums = tuple[int, float, int]  # shares, net invested dollars, number of transactions

SUMS = """
SELECT algorithm_id,
       SUM(CASE WHEN type = 'buy' THEN shares ELSE -shares END) AS shares,
       SUM(CASE WHEN type = 'buy' THEN shares * price ELSE -shares * price END) AS invested,
       COUNT(*) AS trades
FROM transactions
"""
SUMS_OF_ONE = f"{SUMS} WHERE algorithm_id = ? GROUP BY algorithm_id"


class LedgerSource(Protocol):
    """Answers about cards; what algorithms ask in every minute does not have to go through SQL."""

    read_only: bool

    def connection(self) -> sqlite3.Connection:
        """A connection to a system.db that is up to date, for every other question."""

    def transactions(self, algo_id: int) -> list[dict[str, Any]]:
        """A card's transactions, newest first by timestamp, then id."""

    def sums(self, algo_id: int) -> Sums:
        """The sums over a card's transactions."""


class StoredLedger:
    """Answers from system.db, which is created where there is none."""

    def __init__(self) -> None:
        self.read_only = False

    def connection(self) -> sqlite3.Connection:
        path = settings.current().system_db_path
        if not path.exists():
            create_system_db.create_database(path)
        return sqlite.kept(path, read_only=self.read_only)

    def transactions(self, algo_id: int) -> list[dict[str, Any]]:
        rows = self.connection().execute(
            "SELECT * FROM transactions WHERE algorithm_id = ? ORDER BY timestamp DESC, id DESC",
            (algo_id,),
        )
        return [dict(row) for row in rows]

    def sums(self, algo_id: int) -> Sums:
        row = self.connection().execute(SUMS_OF_ONE, (algo_id,)).fetchone()
        return (row["shares"], row["invested"], row["trades"]) if row else (0, 0.0, 0)
