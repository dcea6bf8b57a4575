"""Who answers questions about cards: system.db, unless something else was put in its place."""

import sqlite3
import threading
from pathlib import Path
from typing import Any, Protocol

from orchestra.base import settings, sqlite
from orchestra.base.errors import LedgerGone
from system_databse import create_system_db

Sums = tuple[int, float, int]  # shares, net invested dollars, number of trades

# A labelled correction (a split, say) is a transaction and no trade
SUMS = """
SELECT t.algorithm_id,
       SUM(CASE WHEN type = 'buy' THEN shares ELSE -shares END) AS shares,
       SUM(CASE WHEN type = 'buy' THEN shares * price ELSE -shares * price END) AS invested,
       COUNT(*) - (SELECT COUNT(l.transaction_id) FROM labels l
                   WHERE l.algorithm_id = t.algorithm_id) AS trades
FROM transactions t
"""
SUMS_OF_ONE = f"{SUMS} WHERE t.algorithm_id = ? GROUP BY t.algorithm_id"


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
    """Answers from system.db, which is created where there never was one.

    One that this process has used and that is gone is never begun anew: raises LedgerGone. So does
    another one in its place, unless ``follows`` is set.
    """

    def __init__(self) -> None:
        self.read_only = False
        self.follows = False
        self._known: dict[Path, str] = {}  # the ledger that was found at each path
        self._thread = threading.local()

    def connection(self) -> sqlite3.Connection:
        path = settings.current().system_db_path
        try:
            connection = sqlite.kept(path, read_only=self.read_only, create=False)
        except FileNotFoundError:
            self.create(path)
            connection = sqlite.kept(path, read_only=self.read_only)
        if connection is not getattr(self._thread, "recognised", None):
            self._recognise(path, connection)
            self._thread.recognised = connection
        return connection

    def create(self, path: Path) -> None:
        """Create the database at ``path``. Raises LedgerGone where this process had one there."""
        if path in self._known:
            raise LedgerGone(
                f"{path.name} was taken away while in use: nothing is traded without it."
                f" Stop the terminal and bring it back: python -m orchestra restore. ({path})"
            )
        create_system_db.create_database(path)

    def _recognise(self, path: Path, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT value FROM system_config WHERE key = 'ledger'").fetchone()
        found = str(row[0])
        if self._known.setdefault(path, found) != found:
            if not self.follows:
                raise LedgerGone(
                    f"{path.name} was exchanged for another ledger ({self._known[path]} for {found})"
                    f" while it was in use: nothing is traded before a new start. ({path})"
                )
            self._known[path] = found

    def transactions(self, algo_id: int) -> list[dict[str, Any]]:
        rows = self.connection().execute(
            "SELECT * FROM transactions WHERE algorithm_id = ? ORDER BY timestamp DESC, id DESC",
            (algo_id,),
        )
        return [dict(row) for row in rows]

    def sums(self, algo_id: int) -> Sums:
        row = self.connection().execute(SUMS_OF_ONE, (algo_id,)).fetchone()
        return (row["shares"], row["invested"], row["trades"]) if row else (0, 0.0, 0)
