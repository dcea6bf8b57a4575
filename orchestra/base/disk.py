"""How much room there is where the databases are."""

import shutil
from collections.abc import Iterable
from pathlib import Path

SCARCE_BYTES = 100_000_000  # a few days of everything the terminal writes
NONE_LEFT_BYTES = 1_000_000


def shortage(paths: Iterable[Path]) -> tuple[str, str] | None:
    """Return status and sentence for the scarcest of the paths' disks; None where there is room."""
    free, folder = min((_free(path.parent), str(path.parent)) for path in paths)
    if free < NONE_LEFT_BYTES:
        return "down", f"The disk is full: nothing can be stored in {folder}."
    if free < SCARCE_BYTES:
        return "degraded", f"The disk is nearly full: {free / 1e6:.0f} MB are left in {folder}."
    return None


def usage(path: Path) -> dict[str, float]:
    """Return MB that a database takes with what SQLite keeps beside it, and MB left on its disk."""
    files = [path.with_name(path.name + beside) for beside in ("", "-wal")]
    taken = sum(each.stat().st_size for each in files if each.exists())
    return {"mb": round(taken / 1e6, 1), "free_mb": round(_free(path.parent) / 1e6, 1)}


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
