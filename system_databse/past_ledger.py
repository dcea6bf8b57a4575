"""One card's ledger held in memory: system_db_manager's answers in a backtest, as of the minute it is at.

Transactions and their sums come from memory at a cost that does not grow with their number. Any other
question is put to a system.db of the backtest's own, which is brought up to date first.
"""

import sqlite3
from operator import is_
from typing import cast

from orchestra.base import settings, sqlite
from system_databse import create_system_db, system_db_manager
from system_databse.ledger_source import Sums
from system_databse.newest_first import NewestFirst, Transaction

UNITS = 1_000_000  # a dollar's; prices have at most six decimals, so the sums are exact
# Transactions handed out as a list: to shift these costs less than to look at one
MOST_LISTED = 2_000
NAMES = ("id", "algorithm_id", "type", "shares", "price", "timestamp")
Row = tuple[int, int, str, int, float, str]


class PastLedger:
    """A LedgerSource with one card, the first of its system.db.

    The transactions handed out are the same list and dicts each time, and where they are many a view of
    them; ``unchanged`` tells whether an algorithm wrote into them, and ``copies`` hands out copies instead.
    """

    read_only = True

    def __init__(
        self, ticker: str, algo_type: str, capital: float, *, algo_id: int = 1, copies: bool = False
    ) -> None:
        self.algo_id = algo_id
        self.shares = 0
        self.invested_units = 0
        self._card = (ticker, algo_type, capital)
        self._copies = copies
        self._rows: list[Row] = []
        self._kept: list[Transaction] = []  # oldest first
        self._handed: list[Transaction] = []  # newest first, of those that are listed
        self._written = 0
        self._is_changed = False

    @property
    def trades(self) -> int:
        return len(self._rows)

    @property
    def invested(self) -> float:
        """Dollars put into shares, net of what sells brought back."""
        return self.invested_units / UNITS

    def add(self, side: str, shares: int, price: float, timestamp: str) -> None:
        """Record a fill."""
        self._look()
        row = (len(self._rows) + 1, self.algo_id, side, shares, price, timestamp)
        self._rows.append(row)
        self._kept.append(_dict(row))
        if len(self._rows) <= MOST_LISTED:
            self._handed.insert(0, self._kept[-1])
        signed = shares if side == "buy" else -shares
        self.shares += signed
        self.invested_units += signed * round(price * UNITS)

    def unchanged(self) -> bool:
        """Whether everything handed out is as it was."""
        self._look()
        return (
            not self._is_changed
            and all(map(is_, reversed(self._handed), self._kept))
            and self._kept == list(map(_dict, self._rows))
        )

    def transactions(self, algo_id: int) -> list[Transaction]:
        if algo_id != self.algo_id:
            return []
        if self._copies:
            return [_dict(row) for row in self._rows[::-1]]
        self._look()
        if len(self._rows) > MOST_LISTED:
            return cast(list[Transaction], NewestFirst(self._kept, self._change))
        return self._handed

    def sums(self, algo_id: int) -> Sums:
        if algo_id != self.algo_id:
            return (0, 0.0, 0)
        return (self.shares, self.invested_units / UNITS, len(self._rows))

    def connection(self) -> sqlite3.Connection:
        path = settings.current().system_db_path
        is_new = not path.exists()
        if is_new:
            create_system_db.create_database(path)
        if is_new or self._written < len(self._rows):
            with sqlite.transaction(sqlite.kept(path)) as connection:
                if is_new:
                    self._write_card(connection)
                for row in self._rows[self._written :]:
                    system_db_manager.insert_transaction(connection, *row[1:])
            self._written = len(self._rows)
        return sqlite.kept(path, read_only=True)

    def _write_card(self, connection: sqlite3.Connection) -> None:
        system_db_manager.insert_algorithm(connection, *self._card)
        connection.execute("UPDATE algorithm_instances SET id = ?", (self.algo_id,))

    def _look(self) -> None:
        """Notice at next to no cost what would be gone later, such as a list that was reversed."""
        handed, kept = self._handed, self._kept
        count = min(len(kept), MOST_LISTED)
        if len(handed) != count or (
            count and (handed[0] is not kept[count - 1] or handed[-1] is not kept[0])
        ):
            self._change()

    def _change(self) -> None:
        self._is_changed = True


def _dict(row: Row) -> Transaction:
    return dict(zip(NAMES, row, strict=True))
