"""Keeps stocks.db usable: a damaged or missing one makes way for a new one, and the owner is told.

Its contents can be fetched again; system.db, which cannot be replaced, is never touched here.
"""

import logging
import os
import sqlite3
from pathlib import Path

from database import db_manager, schema
from orchestra.base import clock, settings, sqlite
from system_databse import heartbeats

CHECKED_UP_TO_BYTES = (
    256_000_000  # a second or two; damage in a larger file is found when it is read
)
TOLD_SECONDS = 3600.0  # machine seconds that health speaks of it

log = logging.getLogger("autotrader.database")


class StocksGuard:
    """Watches over one process's stocks.db, in the orchestrator alone."""

    def __init__(self) -> None:
        self._inode = 0
        self._message = ""
        self._told_at = 0.0

    @property
    def health(self) -> tuple[str, str]:
        """Status and message for the part ``databases``."""
        if self._message and clock.elapsed() - self._told_at < TOLD_SECONDS:
            return "degraded", self._message
        return "ok", ""

    def open(self) -> None:
        """Create or check stocks.db at start. Raises ForeignContents, StorageBlocked."""
        existed = _path().exists()
        if existed and not _is_sound():
            self.replace()
        else:
            db_manager.initialize_database()
            if not existed and heartbeats.newest_market_time() is not None:
                self._tell(f"{_path().name} was missing: a new one was made.")
        self._inode = _inode()

    def follow(self) -> bool:
        """Make good a file that is gone or was exchanged since it was last looked at; True if so."""
        if _inode() == self._inode:
            return False
        db_manager.initialize_database()
        self._inode = _inode()
        self._tell(f"{_path().name} was taken away while in use: a new one was made.")
        return True

    def examine(self) -> bool:
        """Read the whole file, since somebody met damage; True when it was replaced."""
        if sqlite_says_sound():
            return False
        self.replace()
        return True

    def replace(self) -> None:
        """Move a damaged file aside and make a new one."""
        aside = sqlite.move_aside(_path(), f"{clock.machine_now():%Y%m%dT%H%M%SZ}")
        # Told before the new one is filled, which takes seconds: killed meanwhile, nobody else would
        self._tell(
            f"{_path().name} was damaged: it was moved aside as {aside.name} and a new one is made."
        )
        db_manager.initialize_database()
        self._inode = _inode()

    def _tell(self, what: str) -> None:
        self._message = f"{what} Its history is fetched again; the ledger is not concerned."
        self._told_at = clock.elapsed()
        log.error("%s", self._message)
        heartbeats.record_event("stocks", self._message)


def sqlite_says_sound() -> bool:
    """Read all of stocks.db and say whether it hangs together."""
    try:
        return sqlite.is_sound(schema.stocks())
    except sqlite3.DatabaseError as error:
        if sqlite.is_damaged(error):
            return False
        raise


def _is_sound() -> bool:
    if _path().stat().st_size <= CHECKED_UP_TO_BYTES:
        return sqlite_says_sound()
    try:
        schema.stocks()
    except sqlite3.DatabaseError as error:
        if not sqlite.is_damaged(error):
            raise
        return False
    return True


def _path() -> Path:
    return settings.current().stocks_db_path


def _inode() -> int:
    try:
        return os.stat(_path()).st_ino
    except FileNotFoundError:
        return 0
