"""What the exchange's record says was done to a ticker, and whether the ledger has followed."""

import sqlite3
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from orchestra.base import sqlite
from system_databse import system_db_manager


@dataclass(frozen=True)
class CorporateAction:
    """An action in force since a day: for a split, ``new`` shares for each ``old`` one.

    Anything but a split has no ratio: ``new`` and ``old`` are 0.
    """

    ticker: str
    day: date
    kind: str
    new: str
    old: str

    @property
    def is_split(self) -> bool:
        return float(self.new) != 0

    @property
    def ratio(self) -> Fraction:
        """New shares for each old one, of a split."""
        return Fraction(self.new) / Fraction(self.old)

    @property
    def sentence(self) -> str:
        what = f"{self.new}:{self.old} split" if self.is_split else self.kind.replace("_", " ")
        return f"{self.ticker}: {what} of {self.day}"


def note(action: CorporateAction) -> None:
    """Remember an action; one that is known keeps its state."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "INSERT INTO corporate_actions (ticker, day, kind, new, old, settled)"
            " VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
            (action.ticker, action.day.isoformat(), action.kind, action.new, action.old),
        )


def unsettled() -> list[CorporateAction]:
    """Return the actions that the ledger has not followed yet, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT * FROM corporate_actions WHERE settled = 0 ORDER BY day, ticker"
    )
    return [
        CorporateAction(
            row["ticker"], date.fromisoformat(row["day"]), row["kind"], row["new"], row["old"]
        )
        for row in rows
    ]


def settle(connection: sqlite3.Connection, ticker: str) -> None:
    """Note inside the caller's transaction that the ledger has followed a ticker's actions."""
    connection.execute("UPDATE corporate_actions SET settled = 1 WHERE ticker = ?", (ticker,))
