"""Whether the clock may be traded by: a machine without a battery wakes up in the past.

It is trusted while the broker's clock agrees. One that the system has set from the network is trusted
without the broker's word, but not against it: what sets the time may have failed since, or set a wrong one.
"""

import logging
import math
import threading
from datetime import datetime, timedelta
from typing import Any

from orchestra import missed_minutes
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock, systemd
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, floor_minute
from system_databse import heartbeats, system_db_manager

TOLERANCE_SECONDS = 5.0  # machine seconds between the two clocks
SET_TOLERANCE_SECONDS = 30.0  # of a clock that was set from the network, which speaks for it
LOOK_SECONDS = 30.0  # machine seconds after which an agreement is looked into again
RETRY_SECONDS = 5.0

log = logging.getLogger("autotrader.orchestrator")


class ClockTrust:
    """Holds our clock against the broker's; one object lives as long as the process."""

    def __init__(self, wrapper: AlpacaWrapper) -> None:
        self._wrapper = wrapper
        self._broker_ahead: timedelta | None = None  # of our market time; None: never compared
        self._was_set = False  # from the network, when last looked at
        self._offset = math.inf  # of the machine's clock, when last looked at
        self._looked_at = 0.0  # on clock.elapsed's scale
        self._looking: threading.Thread | None = None
        self._doubted = False
        self._noted_until: datetime | None = None  # broker's time up to which is on record
        self._ran: dict[int, dict[str, Any]] = {}  # the cards that ran at a look since then

    def follow(self) -> bool:
        """Say whether the clock may be traded by; the broker is asked when it is due."""
        is_set, offset = clock.is_synchronized(), _offset()
        stepped = clock.is_the_machines() and abs(offset - self._offset) > TOLERANCE_SECONDS
        if stepped or (is_set and not self._was_set):
            self._broker_ahead = None  # it was of the clock before
        self._was_set, self._offset = is_set, offset
        if stepped or not self._is_right():
            self._look()
            return self._is_right()
        self.look_aside(3 * LOOK_SECONDS)  # a difference is looked into again before it is believed
        return True

    def look_aside(self, after: float = LOOK_SECONDS) -> None:
        """Look again ``after`` so many machine seconds, without waiting for the answer.

        A broker that hangs holds up no minute so, nor is it anything new about the clock.
        """
        asks = self._looking is not None and self._looking.is_alive()
        if not asks and clock.elapsed() - self._looked_at >= after:
            self._looked_at = clock.elapsed()
            self._looking = threading.Thread(target=self._look, name="clock", daemon=True)
            self._looking.start()

    def wait(self, stop: threading.Event, last_minute: datetime | None = None) -> datetime | None:
        """Wait until the clock may be traded by, or ``stop``.

        The open minutes that pass meanwhile, by the broker's clock and ours, are put on record: those
        after ``last_minute``, the last that was kept; without it those that no trader kept as well.
        Returns up to when they are, the minute excluded; None if there was nothing to wait for.
        """
        while not stop.is_set() and not self.follow():
            self._note_doubt(last_minute)
            clock.pause(RETRY_SECONDS, stop)
        return self._note_trust(last_minute) if self._doubted and not stop.is_set() else None

    @property
    def health(self) -> tuple[str, str]:
        """Status and message for the heartbeats."""
        if self._is_right():
            return ("ok", "")
        return ("down", self._message())

    def _is_right(self) -> bool:
        is_set, ahead = clock.is_synchronized(), self._broker_ahead
        if ahead is None:
            return is_set
        tolerance = SET_TOLERANCE_SECONDS if is_set else TOLERANCE_SECONDS
        return abs(ahead) <= timedelta(seconds=tolerance * clock.speed())

    def _look(self) -> None:
        """Compare over the middle of the request. What is known stays where the broker does not answer."""
        before, began = clock.now(), clock.elapsed()
        try:
            theirs = self._wrapper.get_time()
        except ExchangeUnavailable as error:
            log.warning("The clock could not be held against the broker's: %s", error)
            return
        after, took = clock.now(), clock.elapsed() - began
        expected = timedelta(seconds=took * clock.speed())
        if abs(after - before - expected) > timedelta(seconds=clock.speed()):
            return  # our clock was set meanwhile, or passed over closed hours
        self._broker_ahead = theirs - (before + (after - before) / 2)
        self._looked_at = clock.elapsed()

    def _message(self) -> str:
        if self._broker_ahead is None:
            return "The clock is not set, and the broker's cannot be read: no card is asked."
        side = "behind" if self._broker_ahead > timedelta(0) else "ahead of"
        apart = timedelta(seconds=round(abs(self._broker_ahead).total_seconds()))
        return f"The clock is {apart} {side} the broker's: no card is asked until it is set."

    def _note_doubt(self, last_minute: datetime | None) -> None:
        message = self._message()
        if not self._doubted:
            self._doubted = True
            log.error("%s", message)
            heartbeats.record_event("clock", message)
        if self._broker_ahead is not None:
            ours, theirs = clock.now(), clock.now() + self._broker_ahead
            self._note_minutes(theirs, min(ours, theirs), last_minute)
        heartbeats.beat({"orchestrator": ("degraded", message), "clock": self.health})
        systemd.alive(message)

    def _note_trust(self, last_minute: datetime | None) -> datetime:
        now = clock.now()
        self._note_minutes(now, now, last_minute)
        message = "The clock is right again: cards are asked."
        log.warning("%s", message)
        heartbeats.record_event("clock", message)
        heartbeats.beat({"clock": self.health})
        self._doubted, self._noted_until, self._ran = False, None, {}
        return floor_minute(now)

    def _note_minutes(self, began: datetime, until: datetime, last_minute: datetime | None) -> None:
        """Put the open minutes before ``until`` on record, which has passed by both clocks.

        They are counted from ``last_minute``, and at a start from when the doubt ``began``.
        """
        if self._noted_until is None:
            self._noted_until = last_minute + MINUTE if last_minute else floor_minute(began)
        since, until = self._noted_until, floor_minute(until)
        running = {card["id"]: card for card in system_db_manager.get_all_algorithms("running")}
        self._ran |= running
        if since < until:
            if last_minute is None:  # before they hide that nobody kept those until then
                missed_minutes.note_downtime(since)
            missed_minutes.note_untrusted_clock(self._ran.values(), since, until)
            self._noted_until, self._ran = until, running


def _offset() -> float:
    """How far the machine's clock is ahead of its steady one, in seconds: another once it is set."""
    return clock.machine_now().timestamp() - clock.elapsed()
