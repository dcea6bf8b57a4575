"""200 requests a minute, as Alpaca counts them, told in each answer's X-RateLimit headers."""

import threading

from orchestra.base import clock

REQUESTS_A_MINUTE = 200
WINDOW_SECONDS = 60.0  # machine time: the limit protects a machine


class RateLimit:
    """Counts the requests of each minute. On an accelerated clock as many more are allowed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window_ends = 0.0
        self._used = 0

    @property
    def limit(self) -> int:
        """Requests allowed in a machine minute."""
        return round(REQUESTS_A_MINUTE * max(1.0, clock.speed()))

    def spend(self) -> tuple[bool, dict[str, str]]:
        """Count a request; say whether it is allowed, and the headers of its answer."""
        with self._lock:
            elapsed = clock.elapsed()
            if elapsed >= self._window_ends:
                self._window_ends = elapsed + WINDOW_SECONDS
                self._used = 0
            self._used += 1
            resets = clock.machine_now().timestamp() + self._window_ends - elapsed
            return self._used <= self.limit, {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(max(0, self.limit - self._used)),
                "X-RateLimit-Reset": str(int(resets) + 1),
            }
