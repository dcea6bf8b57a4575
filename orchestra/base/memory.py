"""How much memory processes take, from /proc: PSS, shared pages counted once."""

import os
from pathlib import Path

PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        parent = _parent(entry)
        if parent is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def tree_mb(root: int | None = None) -> float | None:
    """Return MB of PSS of a process, by default this one, and its descendants; None where /proc does
    not tell."""
    total = sum(_pss_kb(pid) for pid in tree(os.getpid() if root is None else root))
    return round(total / 1024, 1) if total else None


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):  # it has just ended
        return None


def _pss_kb(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
