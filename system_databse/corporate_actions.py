"""What the exchange's record says was done to a ticker, and whether the ledger has followed."""

import sqlite3
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import NEW_YORK
from system_databse import system_db_manager

READ_ON = "corporate_actions_checked"  # in system_config
CORRECTED_WITHIN_DAYS = 7  # nobody splits twice alike in a week


@dataclass(frozen=True)
class CorporateAction:
    """An action in force since a day: for a split, ``new`` shares for each ``old`` one.

    Anything but a split has no ratio: ``new`` is 0, and ``old`` the shares that a stock dividend pays on
    each one, 0 where it is none or that is not known.
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


def read_on() -> date | None:
    """Return the last day, in New York, whose record was read."""
    day = system_db_manager.get_config(READ_ON)
    return None if day is None else date.fromisoformat(day)


def is_read_today() -> bool:
    """Say whether today's record was read: before, nobody knows why a position has changed overnight."""
    return read_on() == clock.now().astimezone(NEW_YORK).date()


def note_read(day: date) -> None:
    """Note that the record was read up to this day."""
    system_db_manager.set_config(READ_ON, day.isoformat())


def note(action: CorporateAction, *, settled: bool = False) -> None:
    """Remember an action; one that is known keeps its state. ``settled``: it is no matter of the ledger."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        if not is_known(action):
            connection.execute(
                "INSERT INTO corporate_actions (ticker, day, kind, new, old, settled)"
                " VALUES (:ticker, :day, :kind, :new, :old, :settled) ON CONFLICT DO NOTHING",
                {**vars(action), "day": action.day.isoformat(), "settled": int(settled)},
            )


def is_known(action: CorporateAction) -> bool:
    """Say whether an action was noted before, whatever came of it; its day may have been corrected since."""
    row = (
        system_db_manager.ledger()
        .execute(
            "SELECT 1 FROM corporate_actions WHERE ticker = ? AND kind = ? AND new = ? AND old = ?"
            " AND abs(julianday(day) - julianday(?)) <= ?",
            (
                action.ticker,
                action.kind,
                action.new,
                action.old,
                action.day.isoformat(),
                CORRECTED_WITHIN_DAYS,
            ),
        )
        .fetchone()
    )
    return row is not None


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
    """Note inside the caller's transaction that the ledger has followed all of a ticker's actions."""
    connection.execute("UPDATE corporate_actions SET settled = 1 WHERE ticker = ?", (ticker,))


def settle_one(connection: sqlite3.Connection, action: CorporateAction) -> None:
    """Note inside the caller's transaction that the ledger has followed this action."""
    connection.execute(
        "UPDATE corporate_actions SET settled = 1 WHERE ticker = ? AND day = ? AND kind = ?",
        (action.ticker, action.day.isoformat(), action.kind),
    )
