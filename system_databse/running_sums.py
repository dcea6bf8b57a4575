"""The sums over every card's transactions, kept in memory and brought forward by what is new.

Transactions are only ever added, so what was summed up once stays right: with a million of them a look
costs as much as with a thousand. Another ledger in the file's place empties the memory.
"""

import sqlite3
import threading
from dataclasses import dataclass, field

from orchestra.base import sqlite
from system_databse.ledger_source import SUMS, Sums

ALL = f"{SUMS} GROUP BY t.algorithm_id"
# From the last one known, so that it is seen to be still the same
SINCE = """
SELECT id, algorithm_id, type, shares, price, timestamp,
       NOT EXISTS (SELECT 1 FROM labels WHERE transaction_id = t.id) AS is_trade
FROM transactions t WHERE id >= ? ORDER BY id
"""
Row = tuple[int, int, str, int, float, str, int]


@dataclass
class _Sum:
    """One card's sums. ``lost`` is what adding floats has left behind (Neumaier's summation)."""

    shares: int = 0
    invested: float = 0.0
    trades: int = 0
    lost: float = 0.0

    def add(self, side: str, shares: int, price: float, is_trade: int) -> None:
        sign = 1 if side == "buy" else -1
        cost = sign * shares * price
        total = self.invested + cost
        larger, smaller = sorted((self.invested, cost), key=abs, reverse=True)
        self.lost += larger - total + smaller
        self.invested = total
        self.shares += sign * shares
        self.trades += is_trade


@dataclass
class _Memory:
    path: str = ""
    last: Row | None = None
    cards: dict[int, _Sum] = field(default_factory=dict)


class RunningSums:
    """Every card's sums, for any thread; one object lives as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = _Memory()

    def all(self, connection: sqlite3.Connection) -> dict[int, Sums]:
        """Return the sums of every card that has a transaction, as ``connection`` sees them now."""
        if connection.in_transaction:  # what it sees may yet be taken back
            return _summed(connection.execute(ALL).fetchall())
        with self._lock:
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            if path != self._memory.path or not self._bring_forward(connection):
                self._memory = _begin(path, connection)
            return {
                number: (card.shares, card.invested + card.lost, card.trades)
                for number, card in self._memory.cards.items()
            }

    def _bring_forward(self, connection: sqlite3.Connection) -> bool:
        """Add what is new; False where the last known transaction is not there any more."""
        last = self._memory.last
        if last is None:
            return False
        rows = [tuple(row) for row in connection.execute(SINCE, (last[0],))]
        if not rows or rows[0] != last:
            return False
        for _, algo_id, side, shares, price, _, is_trade in rows[1:]:
            self._memory.cards.setdefault(algo_id, _Sum()).add(side, shares, price, is_trade)
        self._memory.last = rows[-1]
        return True


def _begin(path: str, connection: sqlite3.Connection) -> _Memory:
    with sqlite.snapshot(connection):
        newest = connection.execute("SELECT MAX(id) FROM transactions").fetchone()[0]
        if newest is None:
            return _Memory(path)
        last = tuple(connection.execute(SINCE, (newest,)).fetchone())
        sums = _summed(connection.execute(ALL).fetchall())
    return _Memory(path, last, {number: _Sum(*of) for number, of in sums.items()})


def _summed(rows: list[sqlite3.Row]) -> dict[int, Sums]:
    return {row["algorithm_id"]: (row["shares"], row["invested"], row["trades"]) for row in rows}
