"""What the trader does while the disk is full: it waits, and the minutes that it could not store are told."""

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from orchestra import missed_minutes
from orchestra.base import clock, systemd
from orchestra.base.errors import StorageFull
from orchestra.base.market_calendar import floor_minute
from system_databse import heartbeats

RETRY_SECONDS = 5.0
START_GOES_ON = "EXTEND_TIMEOUT_USEC=60000000"  # a start that only waits is given a minute more

log = logging.getLogger("autotrader.orchestrator")


def when_there_is_room(work: Callable[[], object], stop: threading.Event) -> None:
    """Do ``work``, again and again while the disk is full: ending would only mean being restarted."""
    while not stop.is_set():
        try:
            work()
            return
        except StorageFull as error:
            log.error("Trading waits. %s", error)
            systemd.notify(f"WATCHDOG=1\n{START_GOES_ON}")
            clock.pause(RETRY_SECONDS, stop)


class FullDisk:
    """Since when nothing could be stored."""

    def __init__(self) -> None:
        self._since: str | None = None

    def wait(self, error: StorageFull, stop: threading.Event) -> None:
        """Say once, in the log, that it is full, and wait; the page looks at the disk itself."""
        if self._since is None:
            self._since = clock.stamp()
            log.error("%s", error)
            with contextlib.suppress(StorageFull):
                heartbeats.record_event("disk", str(error))
        systemd.alive("The disk is full.")
        clock.pause(RETRY_SECONDS, stop)

    def note_minutes(self, until: datetime) -> None:
        """Put the minutes up to ``until``, itself excluded, on record that could not be stored."""
        if self._since is not None:
            missed_minutes.note_unstored(clock.parse(self._since), until)

    def note_room(self) -> None:
        """Say that something could be stored again, where nothing could."""
        if self._since is not None:
            self.note_minutes(floor_minute(clock.now()))  # the running minute's cycle is to come
            message = f"The disk was full from {self._since} to {clock.stamp()}."
            heartbeats.record_event("disk", message)
            log.warning("%s", message)
            self._since = None
