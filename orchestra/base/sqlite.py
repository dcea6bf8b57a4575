"""The one file that opens SQLite, and the one idiom for a transaction."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_TIMEOUT_SECONDS = 10.0

_local = threading.local()


def connect(
    path: Path | str, *, synchronous: str = "FULL", read_only: bool = False
) -> sqlite3.Connection:
    """Open a database in WAL mode with foreign keys on and rows readable by name.

    ``synchronous`` is FULL for money, NORMAL for what can be fetched again.
    ``read_only`` leaves the file openable for SQLite's own housekeeping but refuses every write.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return connection
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def kept(
    path: Path | str, *, synchronous: str = "FULL", read_only: bool = False
) -> sqlite3.Connection:
    """Return this thread's connection to ``path``, opened once and kept.

    A file that was replaced, or a process that forked, gets a fresh connection.
    """
    connections = getattr(_local, "connections", None)
    if connections is None:
        connections = _local.connections = {}
    key = (str(path), synchronous, read_only)
    identity = (os.getpid(), _inode(path))
    found = connections.get(key)
    if found is not None and found[0] == identity:
        return found[1]  # type: ignore[no-any-return]
    if found is not None and found[0][0] == identity[0]:
        found[1].close()
    connection = connect(path, synchronous=synchronous, read_only=read_only)
    connections[key] = ((os.getpid(), _inode(path)), connection)
    return connection


def close_kept() -> None:
    """Close this thread's kept connections."""
    for identity, connection in getattr(_local, "connections", {}).values():
        if identity[0] == os.getpid():
            connection.close()
    _local.connections = {}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one write transaction: all of it is kept, or nothing.

    BEGIN IMMEDIATE takes the write lock at once, so a block never fails half-way on a busy file.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _inode(path: Path | str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
