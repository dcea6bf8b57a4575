"""Copies of the ledger: taken while it is traded on, verified, kept for 14 days and 12 months.

A backup is one SQLite file, named for its ledger and for the machine's UTC time at which it was taken; a
zip beside it holds what else a machine needs (``backed_up_files``).
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import (
    LedgerDamaged,
    NotFound,
    SettingsError,
    StorageBlocked,
    StorageFull,
)
from system_databse import backed_up_files

DAYS_KEPT = 14
MONTHS_KEPT = 12
BEFORE_CHANGES_KEPT = 3
NAME_FORM = re.compile(r"(?P<ledger>.+)-(?P<stamp>\d{8}T\d{6}Z)(?P<label>-before-schema-\d+)?\.db")
PART_FORM = re.compile(
    r".+-\d{8}T\d{6}Z.*\.(db|zip)\.\d+\.part"
)  # others' downloads are called .part too
CLOCK_DOUBT = timedelta(hours=1)  # a backup dated further ahead was taken with a wrong clock
LEFT_BEHIND = timedelta(days=1)  # a part of this age belongs to no backup that is being taken


@dataclass(frozen=True)
class Backup:
    """A verified copy. ``taken_at`` is the machine's time, UTC."""

    path: Path
    ledger: str
    taken_at: datetime
    label: str


def take(database: Path, label: str = "") -> Backup:
    """Copy the ledger into BACKUP_DIR, verify the copy, and drop what is older than is kept.

    Raises NotFound, LedgerDamaged (older copies stay), SettingsError, StorageBlocked.
    """
    if not database.exists():
        raise NotFound(f"There is no {database} to back up.")
    folder = settings.current().backup_dir
    stamp = f"{clock.machine_now():%Y%m%dT%H%M%SZ}"
    name = f"{database.stem}-{stamp}{label}.db"
    try:
        with _unfinished(folder, name) as part:
            sqlite.copy(database, part)
            found = sqlite.faults(part)
            if found:
                raise LedgerDamaged(
                    f"{database} is damaged: its copy does not hang together ({found}). Older"
                    " backups are untouched: python -m orchestra restore"
                )
            path = _finish(part, folder / name)
        files = backed_up_files.beside(path)
        with _unfinished(folder, files.name) as part:
            backed_up_files.pack(part)
            _finish(part, files)
        taken = Backup(path, database.stem, datetime.fromisoformat(stamp), label)
        _prune(taken)
    except OSError as error:
        if isinstance(error, StorageBlocked):
            raise
        if sqlite.is_full(error):
            raise StorageFull(
                f"The disk is full: there is no room for a backup in {folder}."
            ) from error
        raise SettingsError(
            f"BACKUP_DIR {folder} cannot be written ({error.strerror or error}): make it writable,"
            " or name another folder in .env."
        ) from error
    return taken


def copy_to_second(taken: Backup) -> str:
    """Copy a backup into BACKUP_SECOND_DIR, if there is one; return why not, empty when it is there."""
    folder = settings.current().backup_second_dir
    if folder is None:
        return ""
    missing = f"BACKUP_SECOND_DIR {folder} is not there: is the disk plugged in and mounted?"
    try:
        if not folder.is_dir():
            return missing
        if folder.stat().st_dev == taken.path.stat().st_dev:
            return f"BACKUP_SECOND_DIR {folder} is on BACKUP_DIR's own disk: is the other mounted?"
        with _unfinished(folder, taken.path.name) as part:
            shutil.copyfile(taken.path, part)
            sqlite.settle(part)
            found = sqlite.faults(part)
            if found:
                return f"The copy in BACKUP_SECOND_DIR {folder} cannot be read back: {found}."
            copied = _finish(part, folder / taken.path.name)
        files = backed_up_files.beside(taken.path)
        with _unfinished(folder, files.name) as part:
            shutil.copyfile(files, part)
            _finish(part, folder / files.name)
        _prune(replace(taken, path=copied))
    except (OSError, sqlite3.Error) as error:
        return f"BACKUP_SECOND_DIR {folder} cannot be written: {error}."
    return ""


def listed(folder: Path, ledger: str | None = None) -> list[Backup]:
    """Return the backups in a folder, newest first; of one ledger (``system``), or of all."""
    found = []
    for path in folder.glob("*.db"):
        named = NAME_FORM.fullmatch(path.name)
        if named is None or (ledger is not None and named["ledger"] != ledger):
            continue
        with suppress(ValueError):  # the digits are no date
            taken_at = datetime.fromisoformat(named["stamp"])
            found.append(Backup(path, named["ledger"], taken_at, named["label"] or ""))
    return sorted(found, key=lambda each: (each.taken_at, each.path.name), reverse=True)


def trusted(found: list[Backup]) -> list[Backup]:
    """Of backups, newest first, put those last that were taken with a clock ahead of now."""
    latest = clock.machine_now() + CLOCK_DOUBT
    return sorted(found, key=lambda each: each.taken_at > latest)


@contextmanager
def _unfinished(folder: Path, name: str) -> Iterator[Path]:
    """Give a file to write to that is no backup yet, and leave nothing of it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in filter(lambda path: PART_FORM.fullmatch(path.name), folder.glob("*.part")):
        with suppress(FileNotFoundError):  # its own process has just finished it
            age = clock.machine_now().timestamp() - left.stat().st_mtime
            if age > LEFT_BEHIND.total_seconds():
                left.unlink()
    part = folder / f"{name}.{os.getpid()}.part"
    try:
        part.touch(mode=0o600)
        yield part
    finally:
        part.unlink(missing_ok=True)


def _finish(part: Path, path: Path) -> Path:
    part.replace(path)
    sqlite.settle(path)
    return path


def _prune(taken: Backup) -> None:
    """Keep the newest of each of the last days and months, and the last before schema changes.

    ``taken`` stays whatever its date: the clock may have been set back. What it dated ahead meanwhile
    comes last, or it would take the places of the true days for years.
    """
    found = trusted(listed(taken.path.parent, taken.ledger))
    before_changes = [each.path for each in found if each.label][:BEFORE_CHANGES_KEPT]
    kept = {taken.path, *before_changes}
    for form, most in (("%Y%m%d", DAYS_KEPT), ("%Y%m", MONTHS_KEPT)):
        newest: dict[str, Path] = {}
        for each in found:
            if not each.label:
                newest.setdefault(f"{each.taken_at:{form}}", each.path)
        kept.update(list(newest.values())[:most])
    for each in found:
        if each.path not in kept:
            each.path.unlink(missing_ok=True)
            backed_up_files.beside(each.path).unlink(missing_ok=True)
