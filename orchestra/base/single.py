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
    database.parent.mkdir(parents=True, exist_ok=True)
    path = database.with_name(f"{database.name}.{what}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode() or "unknown"
            raise AlreadyRunning(
                f"Another {what} (pid {holder}) is already running on {database}: stop it first."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
