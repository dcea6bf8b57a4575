"""The NYSE calendar: sessions with their real opens and closes, asked by moment.

``sessions.csv`` holds every session of 2018-2030 (open and close in UTC; half days close at 13:00 New
York). The broker's corrections are an argument, so unscheduled closings need no new file.
All moments are timezone-aware UTC datetimes; a minute is named by its start.
"""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytz
from pytz.tzfile import build_tzinfo


def _zone(name: str) -> pytz.BaseTzInfo:
    """What pytz.timezone returns, which looks for all six hundred zones' files before it reads one."""
    with pytz.open_resource(name) as file:  # type: ignore[attr-defined]
        found: pytz.BaseTzInfo = build_tzinfo(name, file)
    return found


NEW_YORK = _zone("America/New_York")
SESSIONS_FILE = Path(__file__).with_name("sessions.csv")
MINUTE = timedelta(minutes=1)
USUAL_OPEN, USUAL_CLOSE = "09:30", "16:00"  # New York; no session begins earlier or ends later
GRID_MINUTES = 390  # 09:30 to 15:59 New York, half days included


@dataclass(frozen=True)
class Session:
    """One trading day; open is included, close is not."""

    day: date
    open: datetime
    close: datetime

    @property
    def minutes(self) -> int:
        return (self.close - self.open) // MINUTE


class MarketCalendar:
    """Sessions in order, and the questions the terminal asks about them."""

    def __init__(self, sessions: list[Session]) -> None:
        self.sessions = sessions
        self._opens = [session.open for session in sessions]
        self._closes = [session.close for session in sessions]
        self._minutes_before = [0, *accumulate(session.minutes for session in sessions)]

    @property
    def open_minutes_in_all(self) -> int:
        return self._minutes_before[-1]

    def corrected(self, corrections: Mapping[date, Session | None]) -> "MarketCalendar":
        """Return a calendar in which each given day is replaced, or closed where it maps to None."""
        days = {session.day: session for session in self.sessions}
        for day, session in corrections.items():
            if session is None:
                days.pop(day, None)
            else:
                days[day] = session
        return MarketCalendar([days[day] for day in sorted(days)])

    def session_at(self, moment: datetime) -> Session | None:
        """The session with open <= moment < close."""
        index = bisect_right(self._opens, moment) - 1
        if index >= 0 and moment < self._closes[index]:
            return self.sessions[index]
        return None

    def session_on(self, day: date) -> Session | None:
        index = bisect_left(self.sessions, day, key=lambda session: session.day)
        if index < len(self.sessions) and self.sessions[index].day == day:
            return self.sessions[index]
        return None

    def is_open(self, moment: datetime) -> bool:
        return self.session_at(moment) is not None

    def next_open(self, moment: datetime) -> datetime | None:
        """The first open after ``moment``; None when the calendar has ended."""
        index = bisect_right(self._opens, moment)
        return self._opens[index] if index < len(self._opens) else None

    def next_close(self, moment: datetime) -> datetime | None:
        index = bisect_right(self._closes, moment)
        return self._closes[index] if index < len(self._closes) else None

    def latest_session(self, moment: datetime) -> Session | None:
        """The session running at ``moment``, else the last one before it."""
        index = bisect_right(self._opens, moment) - 1
        return self.sessions[index] if index >= 0 else None

    def minute_number(self, moment: datetime) -> int:
        """How many open minutes start before ``moment``; equal for all moments of a closed time."""
        index = bisect_right(self._opens, moment) - 1
        if index < 0:
            return 0
        session = self.sessions[index]
        begun = -((session.open - moment) // MINUTE)  # minutes begun since the open, rounded up
        return self._minutes_before[index] + min(begun, session.minutes)

    def minute_at(self, number: int) -> datetime:
        """The start of the open minute with this number, counted from 0. Raises IndexError outside."""
        if not 0 <= number < self._minutes_before[-1]:
            raise IndexError(f"There is no open minute number {number} in the calendar")
        index = bisect_right(self._minutes_before, number) - 1
        return self._opens[index] + (number - self._minutes_before[index]) * MINUTE

    def last_minute(self, moment: datetime) -> datetime | None:
        """The newest open minute that starts at or before ``moment``."""
        number = self.minute_number(moment + timedelta(microseconds=1)) - 1
        return self.minute_at(number) if number >= 0 else None

    def open_minutes(self, first: datetime, last: datetime) -> int:
        """How many open minutes start within ``first``..``last``, both included."""
        after_last = self.minute_number(last + timedelta(microseconds=1))
        return max(0, after_last - self.minute_number(first))

    def sessions_between(self, first: date, last: date) -> list[Session]:
        low = bisect_left(self.sessions, first, key=lambda session: session.day)
        high = bisect_right(self.sessions, last, key=lambda session: session.day)
        return self.sessions[low:high]

    def grid(self) -> Iterator[datetime]:
        """Every minute of the pre-populated grid: 390 a session, half days included."""
        for session in self.sessions:
            for offset in range(GRID_MINUTES):
                yield session.open + offset * MINUTE


def floor_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def new_york(day: date, wall_time: str) -> datetime:
    """UTC moment of a New York wall time such as 09:30 on ``day``."""
    hour, minute = wall_time.split(":")
    local = datetime(day.year, day.month, day.day, int(hour), int(minute))
    return NEW_YORK.localize(local).astimezone(UTC)


@cache
def nyse() -> MarketCalendar:
    """The calendar as the file has it, without corrections."""
    with SESSIONS_FILE.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)  # the names
        return MarketCalendar(
            [
                Session(
                    date.fromisoformat(day),
                    datetime.fromisoformat(opening),
                    datetime.fromisoformat(close),
                )
                for day, opening, close in rows
            ]
        )
