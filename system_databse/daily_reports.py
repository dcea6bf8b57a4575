"""The daily reports as they were made: one for each session, kept for good."""

import json
from datetime import date
from typing import Any

from orchestra.base import clock, sqlite
from system_databse import system_db_manager


def store(day: date, report: dict[str, Any]) -> None:
    """Keep a session's report; a later one of the same day replaces it."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO reports (day, made_at, report) VALUES (?, ?, ?)",
            (day.isoformat(), clock.stamp(), json.dumps(report)),
        )


def find(day: date | None = None) -> dict[str, Any] | None:
    """Return the report of a day, by default the newest; None where there is none."""
    where = "ORDER BY day DESC LIMIT 1" if day is None else "WHERE day = ?"
    values = () if day is None else (day.isoformat(),)
    row = (
        system_db_manager.ledger().execute(f"SELECT report FROM reports {where}", values).fetchone()
    )
    return None if row is None else dict(json.loads(row["report"]))


def days(limit: int) -> list[str]:
    """Return the days that have a report, newest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT day FROM reports ORDER BY day DESC LIMIT ?", (limit,)
    )
    return [row["day"] for row in rows]
