"""The decision journal: what each card answered in each minute, holds included, and why."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from orchestra.base import clock, sqlite
from system_databse import system_db_manager


@dataclass(frozen=True)
class JournalledDecision:
    """One card's answer in one minute.

    ``minute`` is when it was asked, ``bar`` the newest ended bar it could see (both stamps);
    ``verdict`` says how complete the data was: bar, no trade, or missing.
    """

    algorithm_id: int
    minute: str
    bar: str | None
    action: str
    shares: int
    reason: str
    verdict: str
    milliseconds: float


def record(decisions: list[JournalledDecision]) -> None:
    """Store one minute's decisions; a minute that was recorded already keeps its first answer."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.executemany(
            "INSERT INTO decisions VALUES (:algorithm_id, :minute, :bar, :action, :shares,"
            " :reason, :verdict, :milliseconds) ON CONFLICT DO NOTHING",
            [asdict(decision) for decision in decisions],
        )


def note_outcome(algo_id: int, minute: str, outcome: str) -> None:
    """Add to a decision's reason what became of its order."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE decisions SET reason = CASE reason WHEN '' THEN ? ELSE reason || '; ' || ? END"
            " WHERE algorithm_id = ? AND minute = ?",
            (outcome, outcome, algo_id, minute),
        )


def asked_in(minute: str) -> set[int]:
    """Return the cards that have been asked in this minute."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id FROM decisions WHERE minute = ?", (minute,)
    )
    return {row["algorithm_id"] for row in rows}


def page(algo_id: int, before: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of a card's decisions, newest first, and the next page's cursor (a minute)."""
    rows = (
        system_db_manager.ledger()
        .execute(
            "SELECT minute, bar, action, shares, reason, verdict, milliseconds FROM decisions"
            " WHERE algorithm_id = ? AND minute < ? ORDER BY minute DESC LIMIT ?",
            (algo_id, before or "9", limit + 1),
        )
        .fetchall()
    )
    found = [dict(row) for row in rows[:limit]]
    return found, found[-1]["minute"] if len(rows) > limit else None


def prune(before: datetime) -> int:
    """Drop decisions of minutes before a moment; how many there were."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        cursor = connection.execute(
            "DELETE FROM decisions WHERE minute < ?", (clock.stamp(before),)
        )
        return cursor.rowcount


def last_decisions(algo_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Return each card's newest decision as ``bar, action, shares, reason, verdict``."""
    connection = system_db_manager.ledger()
    found = {}
    for algo_id in algo_ids:
        row = connection.execute(
            "SELECT bar, action, shares, reason, verdict FROM decisions"
            " WHERE algorithm_id = ? ORDER BY minute DESC LIMIT 1",
            (algo_id,),
        ).fetchone()
        if row is not None:
            found[algo_id] = dict(row)
    return found
