"""The minutes in which an algorithm is asked: the wall's own, as stamps made in bulk."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from itertools import chain, cycle, islice, repeat

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, MarketCalendar, Session

AFTER_THE_MINUTE = timedelta(
    seconds=2
)  # the cycle's wake-up; a prime step takes every hour in turn
TIMED_EVERY = 23  # minutes; of these runs the time is taken

# The newest minute whose bar has ended, the stamp the algorithm is given, whether its time is taken
Asking = tuple[str, str, bool]


def after_each_minute(
    calendar: MarketCalendar, sessions: list[Session]
) -> Iterator[Iterator[Asking]]:
    """For each session, one asking after each of its minutes: the last one at the next session's open."""
    for session in sessions:
        following = calendar.next_open(session.open) or session.close
        last = (
            clock.stamp(following - MINUTE),
            clock.stamp(following + AFTER_THE_MINUTE),
            False,
        )
        yield chain(islice(_in(session), 1, None), [last])


def in_each_minute(sessions: list[Session]) -> Iterator[Iterator[Asking]]:
    """For each session, one asking in each of its minutes, as the orchestrator does on that day."""
    return map(_in, sessions)


def _in(session: Session) -> Iterator[Asking]:
    day, opening = session.day.isoformat(), session.open
    ended, given = _times(opening.hour, opening.minute, session.minutes)
    timed = cycle(chain([True], repeat(False, TIMED_EVERY - 1)))
    return zip([day + time for time in ended], [day + time for time in given], timed, strict=False)


@cache
def _times(hour: int, minute: int, count: int) -> tuple[list[str], list[str]]:
    """The stamps of a session's askings without their day, which is one day in UTC."""
    opening = hour * 60 + minute
    ended = [_time(opening + n - 1, "00") for n in range(count)]
    return ended, [_time(opening + n, f"{AFTER_THE_MINUTE.seconds:02}") for n in range(count)]


def _time(minute: int, seconds: str) -> str:
    return f"T{minute // 60:02}:{minute % 60:02}:{seconds}Z"
