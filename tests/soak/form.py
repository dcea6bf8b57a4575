"""What a soak is made of: which days, how fast, how much goes wrong. Its sessions come from outside."""

import warnings
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import exchange_calendars

MINUTE = timedelta(minutes=1)
LAST_DAY = date(2024, 11, 29)  # a half day; the clocks change on 2024-11-03
CARDS = 10
TICKERS = ("AAPL", "NVDA", "SPY", "TSLA", "F", "VOO")
SPLIT_TICKER = "F"
CAPITAL = 4_000
FULL_DAYS = 30
SHORTEST_DAYS = 3  # fewer hold no two sessions: then it is the short form
LONG_CALM, SHORT_CALM, LAST_CALM = (
    20.0,
    10.0,
    35.0,
)  # machine seconds without trouble before a close
LONG_SESSIONS = 8  # from so many on, the last third has no kills and memory is judged


@dataclass(frozen=True)
class Session:
    """One trading day by exchange_calendars: ``open`` <= minute < ``close``, aware UTC."""

    day: date
    open: datetime
    close: datetime

    @property
    def minutes(self) -> int:
        return (self.close - self.open) // MINUTE


@dataclass(frozen=True)
class Form:
    """One soak. ``edge`` leaves of the first session its last, of the last one its first minutes."""

    first_day: date
    last_day: date
    speed: float
    seed: int
    kills: int  # of each process
    edge: tuple[int, int] | None = None

    @property
    def is_long(self) -> bool:
        return len(sessions_of(self.first_day, self.last_day)) >= LONG_SESSIONS

    def sessions(self) -> list[Session]:
        """The trading days as the exchange's own calendar has them, cut at the edges."""
        found = sessions_of(self.first_day, self.last_day)
        if self.edge:
            first, last = found[0], found[-1]
            found[0] = Session(first.day, first.close - self.edge[0] * MINUTE, first.close)
            found[-1] = Session(last.day, last.open, last.open + self.edge[1] * MINUTE)
        return found

    def last_trouble(self, session: Session) -> datetime:
        """Until when something may go wrong in a session, so that its books can be closed.

        By the end of all a killed process must be back, and an order that the exchange never had must
        count as lost, which takes 15 machine seconds from then.
        """
        seconds = LONG_CALM
        if self.edge:
            seconds = SHORT_CALM if session.day < self.last_day else LAST_CALM
        return session.close - timedelta(seconds=self.speed * seconds)

    def calm_from(self) -> date | None:
        """The first day without kills; None where a soak is too short for such days."""
        found = self.sessions()
        return found[-(len(found) // 3)].day if self.is_long else None


def full(days: int, speed: float, seed: int, kills: int) -> Form:
    """So many calendar days up to the half day; the clocks change in it from 27 days on."""
    return Form(LAST_DAY - timedelta(days=days - 1), LAST_DAY, speed, seed, kills)


def short(speed: float = 60, seed: int = 5) -> Form:
    """The end of one session and the beginning of the next; the clocks change in between."""
    return Form(date(2024, 11, 1), date(2024, 11, 4), speed, seed, kills=1, edge=(35, 55))


def sessions_of(first: date, last: date) -> list[Session]:
    """The NYSE's sessions from ``first`` to ``last``."""
    with warnings.catch_warnings(action="ignore"):  # it is behind pandas in what it calls
        calendar = exchange_calendars.get_calendar(
            "XNYS", start=first.isoformat(), end=(last + timedelta(days=7)).isoformat()
        )
        rows = list(calendar.schedule.iterrows())
    return [
        Session(day.date(), row["open"].to_pydatetime(), row["close"].to_pydatetime())
        for day, row in rows
        if first <= day.date() <= last
    ]
