"""What the soak did and saw, a JSON line each: written at once, so that an interrupted run can be told."""

import json
import threading
from pathlib import Path
from typing import Any

from orchestra.base import clock

NAME = "soak.jsonl"
Row = dict[str, Any]


class Journal:
    """Appends rows, each with market time ``at`` and machine seconds ``elapsed``. Any thread may."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / NAME).open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def note(self, what: str, **facts: Any) -> None:
        """Write one row."""
        row = {"what": what, "at": clock.stamp(), "elapsed": round(clock.elapsed(), 3), **facts}
        with self._lock:
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> list[Row]:
    """All rows, oldest first; a torn last line is left out."""
    rows = []
    for line in (folder / NAME).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def of_kind(rows: list[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row["what"] in kinds]
