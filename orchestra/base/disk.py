"""How much room there is where the terminal writes, and whether it may write there at all."""

import os
from collections.abc import Iterable
from pathlib import Path

SCARCE_BYTES = 100_000_000  # a few days of everything the terminal writes
NONE_LEFT_BYTES = 1_000_000
MOUNTS = Path("/proc/self/mountinfo")


def condition(folders: Iterable[Path]) -> tuple[str, str]:
    """Return status (ok, degraded, down) and a sentence for the worst of the folders' disks."""
    free, folder = min((_free(folder), str(folder)) for folder in folders)
    if free < 0:
        return (
            "down",
            f"Nothing can be written in {folder}: the system has made its disk read-only.",
        )
    if free < NONE_LEFT_BYTES:
        return "down", f"The disk is full: nothing can be stored in {folder}."
    if free < SCARCE_BYTES:
        return "degraded", f"The disk is nearly full: {free / 1e6:.0f} MB are left in {folder}."
    return "ok", f"{free / 1e9:.1f} GB are free in {folder}."


def usage(path: Path) -> dict[str, float]:
    """Return MB that a database takes with what SQLite keeps beside it, and MB left on its disk."""
    files = [path.with_name(path.name + beside) for beside in ("", "-wal")]
    taken = sum(each.stat().st_size for each in files if each.exists())
    return {"mb": round(taken / 1e6, 1), "free_mb": round(_free(path.parent) / 1e6, 1)}


def _free(folder: Path) -> int:
    """Bytes that can be written there; 0 without a file's name to be had, -1 where it is read-only."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY or _failed(folder):
        return -1
    if disk.f_files and not disk.f_favail:
        return 0
    return disk.f_bavail * disk.f_frsize


def _failed(folder: Path) -> bool:
    """Whether the kernel writes nothing there since an error: ext4 from Linux 6.15 on says it here alone.

    The fields are those of proc_pid_mountinfo(5): the third is the device, the last its options.
    """
    mounts = MOUNTS.read_text(errors="replace")
    if "emergency_ro" not in mounts:
        return False
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    rows = map(str.split, mounts.splitlines())
    return any(row[2] == number and "emergency_ro" in row[-1].split(",") for row in rows)
