"""The one file that opens SQLite, and the one idiom for a transaction."""

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.base import clock
from orchestra.base.errors import StorageBlocked, StorageFull, StorageLocked

BUSY_TIMEOUT_SECONDS = 5.0  # the page, which waits ten for an answer, gets one
# Of each connection; by itself 2 MB, filled over days: the system has the file anyway
CACHE_KB = 512
# Of a new file: a commit of money writes a few rows in several pages, bars are read in long runs
PAGE_BYTES = {"FULL": 2048, "NORMAL": 4096}
LOOKED_AGAIN_SECONDS = 0.0001  # a burst of reads looks but once whether the file was replaced
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(slots=True)
class _Kept:
    """A connection, with the process that opened it, the file, and when the file was last looked at."""

    connection: sqlite3.Connection
    process: int
    inode: int
    looked_at: float

    def is_in_place(self, path: Path | str) -> bool:
        self.looked_at = clock.elapsed()
        return _inode(path) == self.inode


class _Local(threading.local):
    """One thread's connections, by path, synchronous and read_only."""

    def __init__(self) -> None:
        self.connections: dict[tuple[str, str, bool], _Kept] = {}


_local = _Local()


def connect(
    path: Path | str, *, synchronous: str = "FULL", read_only: bool = False
) -> sqlite3.Connection:
    """Open a database in WAL mode with foreign keys on and rows readable by name.

    ``synchronous`` is FULL for money, NORMAL for what can be fetched again.
    ``read_only`` leaves the file openable for SQLite's own housekeeping but refuses every write.
    A new file is its owner's alone, and with it what SQLite keeps beside it.
    """
    if not read_only:
        _make(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = {-CACHE_KB}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return connection
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES[synchronous]}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except sqlite3.Error as error:
        connection.close()
        blocked = _blocked(error, path)
        if blocked is not None:
            raise blocked from error
        raise
    return connection


def _make(path: Path | str) -> None:
    """Make the file where there is none, readable by nobody else: SQLite itself would ask the umask alone."""
    with suppress(OSError):  # SQLite says what is wrong, and says it as ever
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def close_to_others(path: Path) -> None:
    """Take from everybody but its owner what an older version let them read of a database."""
    for beside in ("", "-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + beside).chmod(0o600)


def kept(
    path: Path | str, *, synchronous: str = "FULL", read_only: bool = False, create: bool = True
) -> sqlite3.Connection:
    """Return this thread's connection to ``path``, opened once and kept.

    A file that was replaced, or a process that forked, gets a fresh connection. Without ``create`` a
    file that is not there raises FileNotFoundError.
    """
    key = (str(path), synchronous, read_only)
    found = _local.connections.get(key)
    if found is not None and found.process != os.getpid():
        found = None  # it belongs to the process that forked this one
    if found is not None:
        # A ledger, which is never created here, is looked at each time
        if create and clock.elapsed() - found.looked_at < LOOKED_AGAIN_SECONDS:
            return found.connection
        if found.is_in_place(path):
            return found.connection
    if not create and _inode(path) == 0:
        raise FileNotFoundError(path)
    if found is not None:
        found.connection.close()
    connection = connect(path, synchronous=synchronous, read_only=read_only)
    _local.connections[key] = _Kept(connection, os.getpid(), _inode(path), clock.elapsed())
    return connection


def close_kept(folder: Path | None = None) -> None:
    """Close this thread's kept connections, or only those to files in a folder."""
    for key, found in list(_local.connections.items()):
        if folder is None or Path(key[0]).parent == folder:
            if found.process == os.getpid():
                found.connection.close()
            del _local.connections[key]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one write transaction: all of it is kept, or nothing.

    BEGIN IMMEDIATE takes the write lock at once, so a block never fails half-way on a busy file.
    Raises StorageFull where the disk has no room for it, StorageLocked where somebody else keeps the lock.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    except sqlite3.OperationalError as error:
        blocked = _blocked(error, connection.execute("PRAGMA database_list").fetchone()[2])
        if blocked is not None:
            raise blocked from error
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all reads of a block see one state of the database, whoever writes meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def is_damaged(error: BaseException) -> bool:
    """Whether SQLite says that the file is no database, or not a whole one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def is_full(error: BaseException) -> bool:
    """Whether the disk had no room for what was to be written."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    code = getattr(error, "sqlite_errorcode", 0)
    return code == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def is_sound(connection: sqlite3.Connection) -> bool:
    """Read the whole file and say whether it hangs together."""
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        if is_damaged(error):
            return False
        raise


def copy(source: Path, target: Path) -> None:
    """Copy a database, as of one moment, into one file of the owner's alone, also while it is written.

    The file is on the disk when this returns. Raises StorageFull, sqlite3.Error.
    """
    target.touch(mode=0o600)
    try:
        with (
            closing(connect(source, read_only=True)) as original,
            closing(sqlite3.connect(target, isolation_level=None)) as copied,
        ):
            original.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")  # nothing of it in a second file
    except sqlite3.OperationalError as error:
        blocked = _blocked(error, target)
        if blocked is not None:
            raise blocked from error
        raise
    settle(target)


def settle(path: Path) -> None:
    """Write a file through to the disk, and have it read from there from now on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system knows it
            os.fsync(folder)
    finally:
        os.close(folder)


def faults(path: Path) -> str:
    """Read a whole database that nobody uses and say what is wrong with it; empty when nothing is."""
    try:
        with closing(connect(path, read_only=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                return "; ".join(found)
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
            return "" if orphan is None else f"a row of {orphan[0]} belongs to no {orphan[2]}"
    except sqlite3.DatabaseError as error:
        return str(error)


def move_aside(path: Path, stamp: str, why: str = "corrupt") -> Path:
    """Rename a database, with what SQLite keeps beside it, to NAME.corrupt-STAMP, or another ``why``.

    Who has it open goes on with the old file until ``kept`` is asked again.
    """
    for found in _local.connections.values():
        found.looked_at = 0.0
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    for beside in ("-wal", "-shm", ""):  # the file itself last: until then it stays one database
        source = path.with_name(path.name + beside)
        if source.exists():
            source.rename(aside.with_name(aside.name + beside))
    return aside


def _blocked(error: sqlite3.Error, path: Path | str) -> StorageBlocked | None:
    """Name what keeps ``path`` from being written, where that passes."""
    if is_full(error):
        free = shutil.disk_usage(Path(path).parent).free
        return StorageFull(
            f"The disk is full: {path} cannot be written ({free // 1024:,} kB are free). Nothing of it is"
            " lost; free some space and it goes on."
        )
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return StorageLocked(
            f"Another program holds {path} locked: nothing can be written to it. Save or close what is"
            " open on it (an SQLite browser or shell, say) and it goes on; nothing of it is lost."
        )
    return None


def _inode(path: Path | str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
