"""Wear on the card: how much each process has had written to the disk, by market day."""

import sqlite3
import threading
from contextlib import suppress
from datetime import date
from pathlib import Path

from orchestra.base import clock, sqlite
from orchestra.base.errors import AutoTraderError
from system_databse import system_db_manager

COUNTED_BY = Path(
    "/proc/self/io"
)  # proc(5): write_bytes is what was sent to the disk, not to a cache
NOTED_SECONDS = 600.0  # machine seconds between two notes of one day
LOOK_SECONDS = 5.0


class Wear:
    """Counts one process, threads and ended children included, from its start."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._noted = 0
        self._noted_at = clock.elapsed()
        self._day = clock.now().date()

    def look(self) -> None:
        """Note what was written if the day is over or the last note is old."""
        if clock.now().date() != self._day or clock.elapsed() - self._noted_at > NOTED_SECONDS:
            self.note()

    def note(self) -> None:
        """Add what was written since the last note to the day of that note."""
        written = bytes_written()
        if written is None:
            return
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            connection.execute(
                "INSERT INTO wear (day, part, bytes) VALUES (?, ?, ?)"
                " ON CONFLICT(day, part) DO UPDATE SET bytes = bytes + excluded.bytes",
                (self._day.isoformat(), self._part, written - self._noted),
            )
        self._noted, self._noted_at, self._day = written, clock.elapsed(), clock.now().date()


def keep_counting(part: str, stop: threading.Event) -> None:
    """Count this process until ``stop``, for one that has no loop of its own."""
    wear = Wear(part)
    while clock.pause(LOOK_SECONDS, stop):
        with suppress(
            AutoTraderError, OSError, sqlite3.Error
        ):  # health tells of that; the count waits
            wear.look()


def written(day: date) -> dict[str, int]:
    """Return the bytes each part has had written on a market day (UTC), as far as noted."""
    rows = system_db_manager.ledger().execute(
        "SELECT part, bytes FROM wear WHERE day = ? ORDER BY part", (day.isoformat(),)
    )
    return {row["part"]: row["bytes"] for row in rows}


def bytes_written() -> int | None:
    """Return what this process has had written since its start; None where the kernel does not count."""
    try:
        lines = COUNTED_BY.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)
