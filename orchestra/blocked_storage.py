"""What the trader does while nothing can be stored: it waits, and the minutes it could not store are told.

The disk is full, or another program holds a database locked.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from orchestra import missed_minutes
from orchestra.base import clock, systemd
from orchestra.base.errors import StorageBlocked, StorageFull
from orchestra.base.market_calendar import floor_minute
from system_databse import heartbeats

RETRY_SECONDS = 5.0
START_GOES_ON = "EXTEND_TIMEOUT_USEC=60000000"  # a start that only waits is given a minute more

log = logging.getLogger("autotrader.orchestrator")


def when_it_can_be_stored(work: Callable[[], object], stop: threading.Event) -> None:
    """Do ``work``, again and again while nothing can be stored: ending would only mean being restarted."""
    while not stop.is_set():
        try:
            work()
            return
        except StorageBlocked as error:
            log.error("Trading waits. %s", error)
            systemd.notify(f"WATCHDOG=1\n{START_GOES_ON}")
            clock.pause(RETRY_SECONDS, stop)


class BlockedStorage:
    """Since when nothing could be stored, and why."""

    def __init__(self) -> None:
        self._began: datetime | None = None
        self._since = self._why = self._kind = ""

    def wait(self, error: StorageBlocked, began: datetime, stop: threading.Event) -> None:
        """Say once, in the log, why, and wait; the page looks at the disk itself.

        ``began`` is when the work began that failed: a lock is waited for, maybe into another minute.
        """
        if self._began is None:
            self._began, self._since, self._why = began, clock.stamp(), error.why
            self._kind = "disk" if isinstance(error, StorageFull) else "locked"
            log.error("%s", error)
            with contextlib.suppress(StorageBlocked):
                heartbeats.record_event(self._kind, str(error))
        systemd.alive(f"Waiting: {error.why}.")
        clock.pause(RETRY_SECONDS, stop)

    def note_minutes(self, until: datetime) -> None:
        """Put the minutes up to ``until``, itself excluded, on record that could not be stored."""
        if self._began is not None:
            missed_minutes.note_unstored(self._began, until, self._why)

    def note_end(self) -> None:
        """Say that something could be stored again, where nothing could."""
        if self._began is not None:
            self.note_minutes(floor_minute(clock.now()))  # the running minute's cycle is to come
            why = self._why[0].upper() + self._why[1:]
            message = f"{why} from {self._since} to {clock.stamp()}."
            heartbeats.record_event(self._kind, message)
            log.warning("%s", message)
            self._began = None
