"""Time: the only file that reads the operating system's clock or sleeps.

Market time is real by default. With MARKET_CLOCK_* set it is a function of the machine's unix time that
every process computes alike, so processes with the same settings share one market clock.
Machine seconds (``elapsed``) are monotonic and never scaled.
"""

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path

from orchestra.base import settings
from orchestra.base.market_calendar import MarketCalendar, nyse

LONGEST_NAP_SECONDS = (
    30.0  # a wait looks at the clock again at least this often: it may be set meanwhile
)
SKIP_MARGIN = timedelta(
    minutes=5
)  # closed hours are skipped from this after a close to this before an open

# systemd-timesyncd makes it when it has set the clock from the network, at each start of the machine
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


@dataclass(frozen=True)
class Delay:
    """A wait given in market seconds, but never shorter than some machine seconds."""

    market_seconds: float
    machine_seconds: float


NO_DELAY = Delay(0, 0)
WAKE_UP = Delay(2, 0.050)  # after the minute's start, for its last bar to have arrived
BAR_DUE = Delay(3, 0.150)  # after the minute's start, the latest a bar is waited for


class RealClock:
    """Market time is the machine's time."""

    speed = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds_until(self, moment: datetime) -> float:
        """Machine seconds until market time is ``moment``; negative when it has passed."""
        return (moment - self.now()).total_seconds()


class AcceleratedClock:
    """Market time runs ``speed`` times as fast from ``start``, which was at ``anchor``.

    The anchor is a unix time, or an instant on another scale that ``seconds`` tells. With
    ``open_hours_of`` a calendar, only its sessions and five minutes around each take any time.
    """

    def __init__(
        self,
        start: datetime,
        speed: float,
        anchor: float,
        open_hours_of: MarketCalendar | None = None,
        seconds: Callable[[], float] | None = None,
    ) -> None:
        self.speed = speed
        self.start = start
        self.anchor = anchor
        self._seconds = seconds or time.time
        self._windows: list[tuple[datetime, datetime]] = []
        if open_hours_of is not None:
            self._windows = [
                (session.open - SKIP_MARGIN, session.close + SKIP_MARGIN)
                for session in open_hours_of.sessions
                if session.close + SKIP_MARGIN > start
            ]
        if self._windows:
            first, end = self._windows[0]
            self._windows[0] = (max(first, start), end)
        self._begins = [window[0] for window in self._windows]
        self._passed = [
            0.0,
            *accumulate((end - begin).total_seconds() for begin, end in self._windows),
        ]

    def now(self) -> datetime:
        return self._at((self._seconds() - self.anchor) * self.speed)

    def seconds_until(self, moment: datetime) -> float:
        return self._position(moment) / self.speed - (self._seconds() - self.anchor)

    def _at(self, position: float) -> datetime:
        """Market time after ``position`` market seconds that were not skipped."""
        if not self._windows or position < 0:
            return self.start + timedelta(seconds=position)
        index = bisect_right(self._passed, position) - 1
        if index < len(self._windows):
            return self._begins[index] + timedelta(seconds=position - self._passed[index])
        return self._windows[-1][1] + timedelta(seconds=position - self._passed[-1])

    def _position(self, moment: datetime) -> float:
        if not self._windows or moment < self.start:
            return (moment - self.start).total_seconds()
        index = bisect_right(self._begins, moment) - 1
        if index < 0:
            return 0.0
        begin, end = self._windows[index]
        if moment >= end and index < len(self._windows) - 1:
            return self._passed[index + 1]
        return self._passed[index] + (moment - begin).total_seconds()


class HeldClock:
    """Market time is what ``moment`` says: it passes only as somebody steps it on."""

    speed = 1.0

    def __init__(self, moment: Callable[[], datetime]) -> None:
        self.now = moment

    def seconds_until(self, moment: datetime) -> float:
        return (moment - self.now()).total_seconds()


_held: HeldClock | None = None


@contextmanager
def held(moment: Callable[[], datetime]) -> Iterator[None]:
    """Let market time be what ``moment`` says, in this process: a backtest goes through the past."""
    global _held
    before, _held = _held, HeldClock(moment)
    try:
        yield
    finally:
        _held = before


def _clock() -> RealClock | AcceleratedClock | HeldClock:
    return _held or _chosen()


@cache
def _chosen() -> RealClock | AcceleratedClock:
    chosen = settings.current()
    if chosen.market_clock_start is None and chosen.market_clock_speed == 1:
        return RealClock()
    anchor, steady = chosen.market_clock_anchor, chosen.market_clock_steady_anchor
    if steady is None and anchor is None:  # no other process shares this clock
        anchor = time.time()
    begin = datetime.fromtimestamp(anchor or time.time(), UTC).replace(microsecond=0)
    return AcceleratedClock(
        chosen.market_clock_start or begin,
        chosen.market_clock_speed,
        steady if steady is not None else anchor or 0.0,
        nyse() if chosen.market_clock_skip_closed else None,
        None if steady is None else elapsed,
    )


def reset() -> None:
    """Forget the clock, to be built again from the current settings."""
    _chosen.cache_clear()


def now() -> datetime:
    """Market time, aware UTC."""
    return _clock().now()


def stamp(moment: datetime | None = None) -> str:
    """``moment`` (default: now) as YYYY-MM-DDTHH:MM:SSZ, fractions cut off."""
    moment = now() if moment is None else moment.astimezone(UTC)
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def parse(text: str) -> datetime:
    """The moment a stamp names. Raises ValueError on anything but YYYY-MM-DDTHH:MM:SSZ."""
    # A tenth of strptime's time: the page and each cycle read thousands
    found = datetime.fromisoformat(text) if len(text) == 20 and text[19] == "Z" else None
    if found is None or found.isoformat()[:19] != text[:19]:  # it also reads week dates and blanks
        raise ValueError(f"Expected a stamp like 2024-06-04T14:30:00Z, found {text!r}.")
    return found


def speed() -> float:
    """Market seconds per machine second."""
    return _clock().speed


def is_the_machines() -> bool:
    """Whether market time is the machine's own."""
    return isinstance(_clock(), RealClock)


def is_synchronized() -> bool:
    """Whether market time is the machine's, and the system has set that from the network."""
    return is_the_machines() and SYNCHRONIZED.exists()


def elapsed() -> float:
    """Machine seconds on a monotonic scale; only differences mean anything."""
    return time.monotonic()


def machine_now() -> datetime:
    """The machine's own time, for what is never scaled and outlives a process (backups, lock-outs)."""
    return datetime.now(UTC)


def due(moment: datetime, delay: Delay = NO_DELAY) -> float:
    """The instant, on ``elapsed``'s scale, at which ``delay`` after ``moment`` is over."""
    base = time.monotonic()
    market = _clock().seconds_until(moment + timedelta(seconds=delay.market_seconds))
    machine = _clock().seconds_until(moment) + delay.machine_seconds
    return base + max(market, machine)


def wait_until(
    deadline: datetime,
    stop: threading.Event,
    delay: Delay = NO_DELAY,
    longest: float = math.inf,
) -> bool:
    """Wait for ``delay`` after the market time ``deadline``, or ``longest`` machine seconds.

    True when that is over, False when stopped.
    """
    give_up_at = time.monotonic() + longest
    while not stop.is_set():
        remaining = min(due(deadline, delay), give_up_at) - time.monotonic()
        if remaining <= 0:
            return True
        stop.wait(min(remaining, LONGEST_NAP_SECONDS))
    return False


def pause(machine_seconds: float, stop: threading.Event | None = None) -> bool:
    """Wait so many machine seconds; False when ``stop`` was set meanwhile."""
    return not (stop or threading.Event()).wait(machine_seconds)


def shared_settings() -> settings.Settings:
    """This process's settings with the clock pinned, so that a child that adopts them shares it."""
    chosen, clock = settings.current(), _clock()
    if not isinstance(clock, AcceleratedClock) or chosen.market_clock_steady_anchor is not None:
        return chosen
    return replace(chosen, market_clock_start=clock.start, market_clock_anchor=clock.anchor)
