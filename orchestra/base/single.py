"""One process at a time beside one database: an flock held for as long as the process lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestra.base.errors import AlreadyRunning


@contextmanager
def only_one(what: str, database: Path) -> Iterator[None]:
    """Hold the place of ``what`` beside ``database``. Raises AlreadyRunning naming the holder's pid.

    The kernel gives the place free when the process ends, however it ends.
    """
    descriptor = _open(what, database)
    try:
        _lock(descriptor, fcntl.LOCK_EX, what, database)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def one_of_many(what: str, database: Path) -> None:
    """Hold a place of ``what`` that others like it share, until this process ends.

    Raises AlreadyRunning while somebody has the place alone.
    """
    descriptor = _open(what, database)
    try:
        _lock(descriptor, fcntl.LOCK_SH, what, database)
    except AlreadyRunning:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


def _open(what: str, database: Path) -> int:
    database.parent.mkdir(parents=True, exist_ok=True)
    path = database.with_name(f"{database.name}.{what}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # what sudo leaves behind must not keep out the one who trades
        owner = database.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _lock(descriptor: int, kind: int, what: str, database: Path) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode() or "unknown"
        raise AlreadyRunning(
            f"Another {what} (pid {holder}) is already running on {database}: stop it first."
        ) from None
