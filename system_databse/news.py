"""What has happened in the ledger since somebody was last told: events, fills, refusals, reports."""

import json
import sqlite3
from dataclasses import asdict, dataclass, replace
from typing import Any

from system_databse import daily_reports, system_db_manager

MOST_AT_ONCE = 500  # of each kind
KEY = "told_"  # in system_config, with the listener's name


@dataclass(frozen=True)
class Mark:
    """Up to where somebody was told: ids, a stamp with the orders of that second, a day."""

    event: int
    transaction: int
    refused_at: str
    refused: tuple[int, ...]
    day: str


@dataclass(frozen=True)
class Item:
    """One thing that happened. ``kind``: event, fill, refusal or report; ``fields`` are its row's."""

    kind: str
    timestamp: str
    fields: dict[str, Any]


def mark_of(listener: str) -> Mark:
    """Up to where a listener was told; a new one hears of what happens from now on."""
    kept = system_db_manager.get_config(KEY + listener)
    if kept is None:
        begun = _now()
        keep_mark(listener, begun)
        return begun
    found = json.loads(kept)
    return Mark(**{**found, "refused": tuple(found["refused"])})


def keep_mark(listener: str, mark: Mark) -> None:
    """Remember that a listener was told up to here."""
    system_db_manager.set_config(KEY + listener, json.dumps(asdict(mark)))


def since(mark: Mark) -> tuple[list[Item], Mark]:
    """Return what happened after a mark, oldest first, and the mark after it."""
    events = _rows(
        "SELECT e.id, e.timestamp, e.kind, e.message, e.algorithm_id, c.ticker FROM events e"
        " LEFT JOIN algorithm_instances c ON c.id = e.algorithm_id WHERE e.id > ? ORDER BY e.id",
        mark.event,
    )
    # Corrections are told of by their events
    fills = _rows(
        "SELECT t.*, c.ticker, c.algorithm_type, l.id AS label FROM transactions t"
        " JOIN algorithm_instances c ON c.id = t.algorithm_id"
        " LEFT JOIN labels l ON l.transaction_id = t.id WHERE t.id > ? ORDER BY t.id",
        mark.transaction,
    )
    refusals = [
        row
        for row in _rows(
            "SELECT * FROM orders WHERE state = 'refused' AND closed_at >= ? ORDER BY closed_at, id",
            mark.refused_at,
        )
        if row["id"] not in mark.refused
    ]
    found = [Item("event", row["timestamp"], row) for row in events]
    found += [Item("fill", row["timestamp"], row) for row in fills if row["label"] is None]
    found += [Item("refusal", row["closed_at"], row) for row in refusals]
    after = replace(
        mark,
        event=events[-1]["id"] if events else mark.event,
        transaction=fills[-1]["id"] if fills else mark.transaction,
    )
    if refusals:
        last = refusals[-1]["closed_at"]
        same = tuple(row["id"] for row in refusals if row["closed_at"] == last)
        before = mark.refused if last == mark.refused_at else ()
        after = replace(after, refused_at=last, refused=before + same)
    for day in daily_reports.days(1):
        report = daily_reports.find() if day > mark.day else None
        if report is not None:
            found.append(Item("report", report["made_at"], report))
            after = replace(after, day=day)
    return sorted(found, key=lambda item: item.timestamp), after


def _now() -> Mark:
    def newest(question: str) -> Any:
        return system_db_manager.ledger().execute(question).fetchone()[0]

    refused_at = newest("SELECT MAX(closed_at) FROM orders WHERE state = 'refused'") or ""
    return Mark(
        event=newest("SELECT MAX(id) FROM events") or 0,
        transaction=newest("SELECT MAX(id) FROM transactions") or 0,
        refused_at=refused_at,
        refused=tuple(
            row["id"]
            for row in _rows(
                "SELECT id FROM orders WHERE state = 'refused' AND closed_at = ?", refused_at
            )
        ),
        day=newest("SELECT MAX(day) FROM reports") or "",
    )


def _rows(question: str, value: object) -> list[dict[str, Any]]:
    rows: list[sqlite3.Row] = (
        system_db_manager.ledger().execute(f"{question} LIMIT {MOST_AT_ONCE}", (value,)).fetchall()
    )
    return [dict(row) for row in rows]
