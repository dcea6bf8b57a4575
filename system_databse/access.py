"""Who may change something: PIN tries, counted where a restart does not forget them.

Five wrong tries are free; then each one locks for twice as long as the one before, from 30 seconds to
an hour. All seconds here are machine seconds. The wall and the network are counted apart: whoever guesses
from a phone cannot lock out the one who stands at the wall and must stop a card.
"""

import hmac
import re
import sqlite3
from dataclasses import dataclass

from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput
from system_databse import heartbeats, system_db_manager

FREE_TRIES = 5
FIRST_LOCK_SECONDS = 30.0
LONGEST_LOCK_SECONDS = 3600.0
WALL, NETWORK = "wall", "network"  # where a PIN was typed
PIN_FORM, PIN_WORDS = re.compile(r"[0-9]{4,12}"), "4 to 12 digits"  # of a new one


@dataclass(frozen=True)
class PinTry:
    """What came of a try: valid, or how many are left before a lock, or how long it is locked."""

    valid: bool
    tries_left: int = 0
    locked_seconds: float = 0.0


def try_pin(pin: str, place: str = WALL) -> PinTry:
    """Compare ``pin`` and count the try, in one transaction; while locked nothing is compared."""
    failures, locked = _state(system_db_manager.ledger(), place)
    if 0 < locked <= _lock_seconds(failures):
        # Without the write lock: a flood of tries must not keep the trader waiting for it
        return PinTry(False, locked_seconds=locked)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        failures, locked = _state(connection, place)
        earned = _lock_seconds(failures)
        if locked > earned:  # the clock was set back meanwhile: the lock begins anew, and ends
            locked = earned
            _set(connection, failures, earned, place)
        if locked > 0:
            return PinTry(False, locked_seconds=locked)
        stored = connection.execute("SELECT value FROM system_config WHERE key = 'pin'").fetchone()
        if hmac.compare_digest(pin.encode(), str(stored["value"]).encode()):
            _set(connection, 0, 0.0, place)
            return PinTry(True)
        lock = _lock_seconds(failures + 1)
        _set(connection, failures + 1, lock, place)
        if lock > 0:
            heartbeats.insert_event(
                connection,
                "access",
                f"{failures + 1} wrong PINs in a row at the {place}: locked there for {lock:.0f} s.",
            )
        return PinTry(False, max(0, FREE_TRIES - failures - 1), lock)


def check_form(pin: str) -> None:
    """Raise BadInput where this may not be a new PIN."""
    if not PIN_FORM.fullmatch(pin):
        raise BadInput(f"Expected a PIN of {PIN_WORDS}.")


def change_pin(pin: str) -> None:
    """Store another PIN and forget the wrong tries of the old one. Raises BadInput."""
    check_form(pin)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute("UPDATE system_config SET value = ? WHERE key = 'pin'", (pin,))
        for place in (WALL, NETWORK):
            _set(connection, 0, 0.0, place)


def _state(connection: sqlite3.Connection, place: str) -> tuple[int, float]:
    """The wrong tries in a row, and how long the lock they earned still lasts by the clock."""
    row = connection.execute(
        "SELECT failures, locked_until FROM access WHERE place = ?", (place,)
    ).fetchone()
    return row["failures"], row["locked_until"] - clock.machine_now().timestamp()


def _set(connection: sqlite3.Connection, failures: int, lock_seconds: float, place: str) -> None:
    # Unix seconds: a lock outlives the process
    until = clock.machine_now().timestamp() + lock_seconds if lock_seconds > 0 else 0.0
    connection.execute(
        "UPDATE access SET failures = ?, locked_until = ? WHERE place = ?", (failures, until, place)
    )


def _lock_seconds(failures: int) -> float:
    if failures < FREE_TRIES:
        return 0.0
    doublings = min(failures - FREE_TRIES, 10)
    return min(FIRST_LOCK_SECONDS * 2.0**doublings, LONGEST_LOCK_SECONDS)
