"""What the log says of requests: each change and each refusal, but no flood of them.

Anybody who reaches the page can have requests refused; that must not fill the disk or hide the rest.
"""

import logging
import threading
from urllib.parse import quote

from orchestra.base import clock

REFUSALS_A_MINUTE = 30

log = logging.getLogger("autotrader.api")


class RequestLog:
    """Counts refusals by the machine minute; those beyond the limit become one line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window_ends = 0.0
        self._refused = 0

    def note(self, method: str, path: str, status: int) -> None:
        """Log a request that changed something or was to; reading is not told."""
        if method in ("GET", "HEAD") or (status >= 400 and not self._has_room()):
            return
        # Quoted: a line break in an address must not write a line of its own
        log.info("%s %s: %s", method, quote(path), status)

    def _has_room(self) -> bool:
        with self._lock:
            if clock.elapsed() >= self._window_ends:
                left_out = self._refused - REFUSALS_A_MINUTE
                if left_out > 0:
                    log.warning("%d more requests were refused in that minute", left_out)
                self._window_ends, self._refused = clock.elapsed() + 60.0, 0
            self._refused += 1
            return self._refused <= REFUSALS_A_MINUTE
