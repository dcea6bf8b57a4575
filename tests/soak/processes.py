"""The process tree of the terminal: who is who, and how much memory and how many descriptors each has."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process by its role; ``pss_kb`` shares what is shared, ``descriptors`` are open files."""

    role: str
    pid: int
    pss_kb: int
    descriptors: int


def measured(part: str, pid: int) -> list[Process]:
    """A started part and all that it has started, each measured; what ends meanwhile is left out."""
    found = []
    for role, each in _tree(part, pid):
        try:
            found.append(
                Process(role, each, _pss(each), len(list((PROC / str(each) / "fd").iterdir())))
            )
        except (OSError, StopIteration):
            continue
    return found


def workers(part: str, pid: int) -> list[int]:
    """The pids under a part that do its work: algorithm workers, or gunicorn's worker."""
    return [each for role, each in _tree(part, pid) if "worker" in role]


def _tree(part: str, pid: int) -> list[tuple[str, int]]:
    found = [(part, pid)]
    for child in _children(pid):
        if part == "gunicorn":
            found.append(("gunicorn's worker", child))
            continue
        command = _command(child)
        if "resource_tracker" in command:
            found.append(("resource tracker", child))
        elif "forkserver" in command:
            found.append(("forkserver", child))
            found += [("an algorithm's worker", each) for each in _children(child)]
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
        return [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _pss(pid: int) -> int:
    rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    return int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
