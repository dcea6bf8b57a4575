"""Notices, from another process, when the trader gives no sign of life any more, and when it does again."""

import sqlite3

from orchestra.base import clock
from orchestra.base.errors import AutoTraderError
from system_databse import heartbeats
from system_databse.heartbeats import SILENT_AFTER_SECONDS, START_SECONDS

LEDGER_FAILS = (AutoTraderError, OSError, sqlite3.Error)  # to be read, or to be written


class Silence:
    """Counts by this process's own seconds: a clock that is set at boot makes nobody silent.

    ``lasts`` while the trader is silent; so it is while the ledger, which it speaks through, cannot be read.
    """

    def __init__(self) -> None:
        self._last: str | None = None
        self._heard_at = clock.elapsed()
        self.lasts = False

    def look(self) -> list[str]:
        """Return what is to be told: that it fell silent, once, and that it runs again."""
        last, patience = self._last, SILENT_AFTER_SECONDS
        try:
            beats = heartbeats.heartbeats()
        except LEDGER_FAILS:
            pass
        else:
            beat = beats.get("orchestrator")
            last = beat.machine_time if beat is not None else None
            patience = START_SECONDS if heartbeats.START in beats else SILENT_AFTER_SECONDS
        silent_for = clock.elapsed() - self._heard_at
        if last != self._last:
            self._last, self._heard_at = last, clock.elapsed()
            if self.lasts:
                self.lasts = False
                return [f"The trader runs again, after {silent_for / 60:.0f} minutes."]
        elif silent_for > patience and not self.lasts:
            self.lasts = True
            return [
                f"The trader has given no sign of life for {silent_for:.0f} s: no card is asked."
            ]
        return []
