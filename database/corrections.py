"""The broker's corrections to the calendar (unscheduled closings), kept in stocks.db's ``sessions``."""

from collections.abc import Mapping
from datetime import date, datetime

from database import schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import Session, nyse


def record_corrections(corrections: Mapping[date, Session | None]) -> None:
    """Enter days as the broker has them; None closes a day. Other days stay as they are."""
    connection = schema.stocks()
    with sqlite.transaction(connection):
        for day, session in corrections.items():
            connection.execute("DELETE FROM sessions WHERE day = ?", (day.isoformat(),))
            if session is not None:
                stamps = (clock.stamp(session.open), clock.stamp(session.close))
                connection.execute(
                    "INSERT INTO sessions VALUES (?, ?, ?)", (day.isoformat(), *stamps)
                )
        connection.execute(
            "INSERT INTO contents VALUES ('calendar', '1') ON CONFLICT (key) DO UPDATE"
            " SET value = CAST(value AS INTEGER) + 1"
        )


def state() -> str | None:
    """Name the state of the corrections, another after each change; None while there are none."""
    row = schema.stocks().execute("SELECT value FROM contents WHERE key = 'calendar'").fetchone()
    return None if row is None else str(row[0])


def recorded_corrections() -> dict[date, Session | None]:
    """Return where ``sessions`` differs from the calendar's file, as MarketCalendar.corrected takes it."""
    rows = schema.stocks().execute("SELECT day, open, close FROM sessions").fetchall()
    stored = {
        session.day: session
        for session in (
            Session(
                date.fromisoformat(row["day"]),
                datetime.fromisoformat(row["open"]),
                datetime.fromisoformat(row["close"]),
            )
            for row in rows
        )
    }
    filed = {session.day: session for session in nyse().sessions}
    return {
        day: stored.get(day)
        for day in sorted(stored.keys() | filed.keys())
        if stored.get(day) != filed.get(day)
    }
