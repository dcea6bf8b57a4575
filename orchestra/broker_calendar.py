"""The broker's calendar: asked for every hour of a day's work, and right where it differs from ours."""

import logging
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from alpaca.trading.requests import GetCalendarRequest

from database.calendar import calendar, correct
from orchestra import exchange
from orchestra.base import clock
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import (
    NEW_YORK,
    USUAL_CLOSE,
    USUAL_OPEN,
    Session,
    new_york,
    nyse,
)
from system_databse import heartbeats

DAYS_AHEAD = 30
MOST_CLOSED = 5  # of ours at once, that is believed: in September 2001 it was four
MORNING = 8  # o'clock in New York: asked at the first look of a day, and each hour from here on
RETRY_SECONDS = 300.0  # machine seconds after a broker that did not answer
UNCOMPARED_RETRY_SECONDS = 5.0  # while ours was never compared: an early close may lie in it

log = logging.getLogger("autotrader.orchestrator")
Differences = dict[date, Session | None]


class BrokerCalendar:
    """Compares the next 30 days before the open, as well as at start.

    And each hour after: the NYSE has closed, and closed early, on a few minutes' notice.
    """

    def __init__(self) -> None:
        self._compared: tuple[date, int] | None = None
        self._not_before = 0.0  # on clock.elapsed's scale

    def follow(self, *, once_a_day: bool = False) -> None:
        """Compare if it is due, and correct ours; an unreachable broker is asked again later.

        ``once_a_day``: a cycle waits for it, and for no more than the day's first answer.
        """
        local = clock.now().astimezone(NEW_YORK)
        due = (local.date(), max(local.hour, MORNING - 1))
        if due == self._compared or clock.elapsed() < self._not_before:
            return
        if once_a_day and self._compared is not None and self._compared[0] == due[0]:
            return
        try:
            found = broker_sessions(local.date(), local.date() + timedelta(days=DAYS_AHEAD))
        except ExchangeUnavailable as error:
            is_known = self._compared is not None
            wait = RETRY_SECONDS if is_known else UNCOMPARED_RETRY_SECONDS
            self._not_before = clock.elapsed() + wait
            log.warning("The broker's calendar could not be read: %s", error)
            return
        adopt(found, local.date())
        self._compared = due  # what could not be stored is asked for again

    def forget(self) -> None:
        """Have it compared again at the next look: stocks.db is a new one."""
        self._compared = None


def adopt(found: Mapping[date, Session], first: date) -> None:
    """Correct our calendar by the broker's sessions from ``first`` on, and say what changed."""
    differences = _differences(found, first)
    if not differences:
        return
    changes = [_told(day, session) for day, session in differences.items()]
    correct(differences)
    message = f"The broker's calendar differs from ours and wins: {'; '.join(changes)}."
    log.warning("%s", message)
    heartbeats.record_event("calendar", message)


def broker_sessions(first: date, last: date) -> dict[date, Session]:
    """The broker's sessions from ``first`` to ``last``.

    Raises ExchangeUnavailable, also for an answer without any, with odd hours, or with a part of them:
    believed, it would close the market.
    """
    with exchange.answering():
        request = GetCalendarRequest(start=first, end=last)
        answer: Any = exchange.trading_client().get_calendar(request)
        sessions = {session.day: session for session in map(_session, answer)}
    if not sessions:
        raise ExchangeUnavailable(f"The broker knows no session from {first} to {last}.")
    closed = [each.day for each in nyse().sessions_between(first, last) if each.day not in sessions]
    if len(closed) > MOST_CLOSED:
        raise ExchangeUnavailable(
            f"The broker's calendar lacks {len(closed)} sessions from {first} to {last}."
        )
    return sessions


def _session(row: Mapping[str, str]) -> Session:
    day = date.fromisoformat(row["date"])
    session = Session(day, new_york(day, row["open"]), new_york(day, row["close"]))
    if not new_york(day, USUAL_OPEN) <= session.open < session.close <= new_york(day, USUAL_CLOSE):
        raise ValueError(f"{day} from {row['open']} to {row['close']}")
    return session


def _differences(found: Mapping[date, Session], first: date) -> Differences:
    """The days whose sessions differ, up to the end of our calendar's file."""
    last = min(first + timedelta(days=DAYS_AHEAD), nyse().sessions[-1].day)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return {day: found.get(day) for day in days if found.get(day) != calendar().session_on(day)}


def _told(day: date, session: Session | None) -> str:
    ours = calendar().session_on(day)
    if session is None:
        return f"{day} is closed"
    hours = f"{_wall_time(session.open)} to {_wall_time(session.close)}"
    before = "closed" if ours is None else f"{_wall_time(ours.open)} to {_wall_time(ours.close)}"
    return f"{day} is open {hours} New York (ours: {before})"


def _wall_time(moment: datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%H:%M}"
