"""How many requests are left this minute, as the exchange's last answer said.

Alpaca allows 200 a minute and says in each answer what is left (X-RateLimit-*). Orders and
reconciliation ignore this; history is fetched only while more than the reserve is left.
"""

from collections.abc import Mapping

from orchestra.base import clock

RESERVED_FOR_ORDERS = 60


class Budget:
    """The rate limit's state as last seen; without any word from the exchange nothing is held back."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._resets_at = 0.0  # on clock.elapsed's scale

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember an answer's X-RateLimit-Remaining and -Reset (unix seconds)."""
        try:
            self._left = int(headers["X-RateLimit-Remaining"])
            wait = float(headers["X-RateLimit-Reset"]) - clock.machine_now().timestamp()
        except (KeyError, ValueError):
            self._left = None
            return
        # A limit counts by the minute: a longer wait means that one of the clocks is off
        self._resets_at = clock.elapsed() + min(max(wait, 0.0), 60.0)

    def seconds_to_wait(self) -> float:
        """Machine seconds until history may be fetched again; 0 when it may be now."""
        if self._left is None or self._left > RESERVED_FOR_ORDERS:
            return 0.0
        return max(0.0, self._resets_at - clock.elapsed())
