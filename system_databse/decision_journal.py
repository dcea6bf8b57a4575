"""The decision journal: what each card answered in each minute, holds included, and why."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, floor_minute
from system_databse import system_db_manager

KEPT = timedelta(days=90)  # after which a row may be dropped


@dataclass(frozen=True)
class JournalledDecision:
    """One card's answer in one minute.

    ``minute`` is when it was asked, ``bar`` the newest ended bar it could see (both stamps);
    ``verdict`` says how complete the data was: bar, no trade, or missing. ``awaits`` is whether an order
    is to follow, whose outcome will be added to the reason.
    """

    algorithm_id: int
    minute: str
    bar: str | None
    action: str
    shares: int
    reason: str
    verdict: str
    milliseconds: float
    awaits: bool = False


def record(decisions: list[JournalledDecision]) -> None:
    """Store one minute's decisions; a minute that was recorded already keeps its first answer."""
    if not decisions:
        return
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.executemany(
            "INSERT INTO decisions VALUES (:algorithm_id, :minute, :bar, :action, :shares,"
            " :reason, :verdict, :milliseconds, :awaits) ON CONFLICT DO NOTHING",
            [vars(decision) for decision in decisions],
        )


def note_outcome(algo_id: int, minute: str, outcome: str) -> None:
    """Add to a decision's reason what became of its order."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE decisions SET awaits = 0,"
            " reason = CASE reason WHEN '' THEN ? ELSE reason || '; ' || ? END"
            " WHERE algorithm_id = ? AND minute = ?",
            (outcome, outcome, algo_id, minute),
        )


def awaiting() -> list[tuple[int, str, str]]:
    """Return (card, minute, action) of each decision whose order's outcome is not noted, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, minute, action FROM decisions WHERE awaits = 1 ORDER BY minute"
    )
    return [(row["algorithm_id"], row["minute"], row["action"]) for row in rows]


def asked_in(minute: str) -> set[int]:
    """Return the cards that have been asked in this minute."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id FROM decisions WHERE minute = ?", (minute,)
    )
    return {row["algorithm_id"] for row in rows}


def unrecorded(now: datetime) -> list[tuple[str, str]]:
    """Return the spans after which, and until which, nothing is on record though there were cards.

    One is of the running cards, up to ``now``; one of those that were stopped since the last record,
    up to the last stop. Each begins with the newest minute in which all of its cards are on record;
    where there is none with the minute in which the oldest was added.
    """
    connection = system_db_manager.ledger()
    newest = connection.execute("SELECT MAX(minute) FROM decisions").fetchone()[0]
    told = connection.execute(
        "SELECT MAX(timestamp) FROM events WHERE kind = 'downtime'"
    ).fetchone()[0]
    recorded = "" if newest is None else clock.stamp(clock.parse(newest) + MINUTE)
    known = max(recorded, told or "", clock.stamp(now - KEPT))  # no stop up to then was missed
    cards = connection.execute("SELECT * FROM algorithm_instances").fetchall()
    running = [card for card in cards if card["status"] == "running"]
    stopped = [card for card in cards if card["stopped_at"] and card["stopped_at"] > known]
    found = [(_recorded_until(running, newest), clock.stamp(now))] if running else []
    if stopped:
        found.append(
            (_recorded_until(stopped, newest), max(card["stopped_at"] for card in stopped))
        )
    return found


def _recorded_until(cards: list[sqlite3.Row], newest: str | None) -> str:
    born = clock.stamp(floor_minute(clock.parse(min(card["created_at"] for card in cards))))
    if newest is None or newest <= born:
        return born
    asked = asked_in(newest)
    left_out = any(card["created_at"] < newest and card["id"] not in asked for card in cards)
    return clock.stamp(clock.parse(newest) - MINUTE) if left_out else newest


def page(algo_id: int, before: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of a card's decisions, newest first, and the next page's cursor (a minute)."""
    found = _newest_of_card(algo_id, before, limit + 1)
    for row in found:
        del row["algorithm_id"]
    return found[:limit], found[limit - 1]["minute"] if len(found) > limit else None


def prune(before: datetime) -> int:
    """Drop decisions of minutes before a moment; how many there were."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        cursor = connection.execute(
            "DELETE FROM decisions WHERE minute < ?", (clock.stamp(before),)
        )
        return cursor.rowcount


def last_decisions(algo_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Return each card's newest decision as ``bar, action, shares, reason, verdict``."""
    newest = system_db_manager.ledger().execute(
        "SELECT * FROM decisions WHERE minute = (SELECT MAX(minute) FROM decisions)"
    )
    rows = {row["algorithm_id"]: dict(row) for row in newest}
    for algo_id in algo_ids:
        if algo_id not in rows:
            rows.update({row["algorithm_id"]: row for row in _newest_of_card(algo_id, None, 1)})
    names = ("bar", "action", "shares", "reason", "verdict")
    return {
        algo_id: {name: rows[algo_id][name] for name in names}
        for algo_id in algo_ids
        if algo_id in rows
    }


def _newest_of_card(algo_id: int, before: str | None, limit: int) -> list[dict[str, Any]]:
    """A card's newest decisions; looked for only while it was running, from the end backwards."""
    rows = system_db_manager.ledger().execute(
        "SELECT d.algorithm_id, d.minute, d.bar, d.action, d.shares, d.reason, d.verdict,"
        " d.milliseconds FROM algorithm_instances a JOIN decisions d ON d.algorithm_id = a.id"
        " AND d.minute >= substr(a.created_at, 1, 17) || '00Z'"
        " AND d.minute <= coalesce(a.stopped_at, '9')"
        " WHERE a.id = ? AND d.minute < ? ORDER BY d.minute DESC LIMIT ?",
        (algo_id, before or "9", limit),
    )
    return [dict(row) for row in rows]
