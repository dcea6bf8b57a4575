"""Who may change something: PIN tries, counted where a restart does not forget them.

Five wrong tries are free; then each one locks for twice as long as the one before, from 30 seconds to
an hour. All seconds here are machine seconds.
"""

import hmac
from dataclasses import dataclass

from orchestra.base import clock, sqlite
from system_databse import system_db_manager

FREE_TRIES = 5
FIRST_LOCK_SECONDS = 30.0
LONGEST_LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class PinTry:
    """What came of a try: valid, or how many are left before a lock, or how long it is locked."""

    valid: bool
    tries_left: int = 0
    locked_seconds: float = 0.0


def try_pin(pin: str) -> PinTry:
    """Compare ``pin`` and count the try, in one transaction; while locked nothing is compared."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        # Unix seconds: a lock outlives the process
        now = clock.machine_now().timestamp()
        row = connection.execute("SELECT failures, locked_until FROM access").fetchone()
        # The clock may have jumped: a lock never lasts longer than the longest one
        locked = min(row["locked_until"] - now, LONGEST_LOCK_SECONDS)
        if locked > 0:
            return PinTry(False, locked_seconds=locked)
        stored = connection.execute("SELECT value FROM system_config WHERE key = 'pin'").fetchone()
        if hmac.compare_digest(pin.encode(), str(stored["value"]).encode()):
            connection.execute("UPDATE access SET failures = 0, locked_until = 0")
            return PinTry(True)
        failures = row["failures"] + 1
        lock = _lock_seconds(failures)
        connection.execute(
            "UPDATE access SET failures = ?, locked_until = ?", (failures, now + lock)
        )
        return PinTry(False, max(0, FREE_TRIES - failures), lock)


def change_pin(pin: str) -> None:
    """Store another PIN and forget the wrong tries of the old one."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute("UPDATE system_config SET value = ? WHERE key = 'pin'", (pin,))
        connection.execute("UPDATE access SET failures = 0, locked_until = 0")


def _lock_seconds(failures: int) -> float:
    if failures < FREE_TRIES:
        return 0.0
    doublings = min(failures - FREE_TRIES, 10)
    return min(FIRST_LOCK_SECONDS * 2.0**doublings, LONGEST_LOCK_SECONDS)
