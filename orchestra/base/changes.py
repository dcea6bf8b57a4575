"""Whether a database was changed, by anybody: cheap enough to be asked before each answer.

PRAGMA data_version differs between two looks of one connection when another connection has committed
meanwhile, in this process or another (sqlite.org/pragma.html). A watch's own connection never writes.
"""

import os
import sqlite3
import threading
from pathlib import Path

from orchestra.base import sqlite

State = tuple[int, int]


class Watch:
    """Looks at one database, or at another one once there is another path; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[str, int, int] | None = None
        self._opened = 0

    def state(self, path: Path) -> State:
        """Return what differs from the last look's exactly when the database may have changed.

        A file that was replaced is a change; one that is not there is not created. Raises sqlite3.Error.
        """
        with self._lock:
            try:
                found = os.stat(path)
            except FileNotFoundError:
                return self._look_at(None, path)
            return self._look_at((str(path), found.st_dev, found.st_ino), path)

    def _look_at(self, file: tuple[str, int, int] | None, path: Path) -> State:
        if file != self._file:
            if self._connection is not None:
                self._connection.close()
            self._connection = None if file is None else sqlite.connect(path, read_only=True)
            self._file = file
            self._opened += 1
        if self._connection is None:
            return self._opened, -1
        return self._opened, int(self._connection.execute("PRAGMA data_version").fetchone()[0])
