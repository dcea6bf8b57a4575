"""Notices, from another process, when the trader gives no sign of life any more, and when it does again."""

from orchestra.base import clock
from system_databse import heartbeats
from system_databse.heartbeats import SILENT_AFTER_SECONDS, START_SECONDS


class Silence:
    """Counts by this process's own seconds: a clock that is set at boot makes nobody silent.

    ``lasts`` while the trader is silent.
    """

    def __init__(self) -> None:
        self._last: str | None = None
        self._heard_at = clock.elapsed()
        self.lasts = False

    def look(self) -> list[str]:
        """Return what is to be told: that it fell silent, once, and that it runs again."""
        beats = heartbeats.heartbeats()
        beat = beats.get("orchestrator")
        patience = START_SECONDS if heartbeats.START in beats else SILENT_AFTER_SECONDS
        last = beat.machine_time if beat is not None else None
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
