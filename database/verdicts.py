"""What is known of each open minute of a ticker: bar, late, no trade or missing.

``awaited`` holds only the minutes whose bar was not there when a cycle asked; the rest follows from
bars and coverage.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from database import bars, checks, gaps, schema
from orchestra.base import clock, sqlite

ARRIVED = """UPDATE awaited SET arrived_at = ? WHERE arrived_at IS NULL AND EXISTS
             (SELECT 1 FROM bars b WHERE b.ticker = awaited.ticker AND b.timestamp = awaited.minute)"""
NO_TRADE = """DELETE FROM awaited WHERE arrived_at IS NULL AND EXISTS
              (SELECT 1 FROM coverage c WHERE c.ticker = awaited.ticker
               AND c.first <= awaited.minute AND c.last >= awaited.minute)"""


@dataclass(frozen=True)
class Verdict:
    """One open minute: bar, late, no trade or missing. ``arrived_at`` is known of late bars."""

    minute: str
    verdict: str
    asked_at: str | None = None
    arrived_at: str | None = None


def note_awaited(tickers: Iterable[str], minute: str) -> None:
    """Remember for whom that minute's bar was not there when the cycle asked."""
    connection, now = schema.stocks(), clock.stamp()
    rows = [(checks.ticker(ticker), minute, now) for ticker in tickers]
    if (
        not rows
        and not connection.execute(
            "SELECT 1 FROM awaited WHERE arrived_at IS NULL LIMIT 1"
        ).fetchone()
    ):
        return
    with sqlite.transaction(connection):
        note_arrivals(connection)
        connection.execute(NO_TRADE)  # what has an answer by now and no bar
        connection.executemany("INSERT OR IGNORE INTO awaited VALUES (?, ?, ?, NULL)", rows)


def note_arrivals(connection: sqlite3.Connection) -> None:
    """Enter that awaited bars are there now, inside the transaction that stored them."""
    connection.execute(ARRIVED, (clock.stamp(),))


def verdicts(ticker: str, start: str, end: str) -> list[Verdict]:
    """Return the verdict on each ended open minute within ``start``..``end``, in order."""
    first, last = checks.span(start, end)
    wanted = gaps.within(first, min(last, bars.newest_visible()))
    if wanted is None:
        return []
    connection = schema.stocks()
    held = {row[0] for row in bars.between_rows(connection, checks.ticker(ticker), first, last)}
    unknown = {
        n for low, high in gaps.missing(connection, ticker, wanted) for n in range(low, high + 1)
    }
    awaited = {
        row["minute"]: (row["asked_at"], row["arrived_at"])
        for row in connection.execute(
            "SELECT minute, asked_at, arrived_at FROM awaited WHERE ticker = ?"
            " AND minute >= ? AND minute <= ?",
            (ticker, *gaps.stamps(wanted)),
        )
    }
    found = []
    for number in range(wanted[0], wanted[1] + 1):
        minute = gaps.stamp_of(number)
        if minute in held:
            late = minute in awaited
            found.append(
                Verdict(minute, "late" if late else "bar", *awaited.get(minute, (None, None)))
            )
        else:
            found.append(Verdict(minute, "missing" if number in unknown else "no trade"))
    return found


def late_since(moment: datetime) -> int:
    """Count the bars of minutes since ``moment`` that arrived after a cycle had asked."""
    row = schema.stocks().execute(
        "SELECT count(*) FROM awaited WHERE minute >= ? AND arrived_at IS NOT NULL",
        (clock.stamp(moment),),
    )
    return int(row.fetchone()[0])


def prune(before: datetime) -> int:
    """Drop what is remembered of minutes before a moment; how many there were."""
    with sqlite.transaction(schema.stocks()) as connection:
        return connection.execute(
            "DELETE FROM awaited WHERE minute < ?", (clock.stamp(before),)
        ).rowcount
