"""A disk of its own for a test: ``with small_disk(tmp_path / "disk", megabytes=4) as folder: ...``."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestra.base import sqlite

MOUNT_SECONDS = 20


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk there and take it away afterwards; the test is skipped where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOUNT_SECONDS)
    except FileNotFoundError:
        pytest.skip("THE FULL DISK IS NOT TESTED: THERE IS NO mount HERE")
    if done.returncode != 0:
        pytest.skip(f"THE FULL DISK IS NOT TESTED: MOUNTING IS NOT ALLOWED HERE ({done.stderr})")
    try:
        yield folder
    finally:
        sqlite.close_kept()
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=MOUNT_SECONDS)


def resize(folder: Path, megabytes: int) -> None:
    """Make the mounted disk larger or smaller."""
    command = ["mount", "-o", f"remount,size={megabytes}m", str(folder)]
    subprocess.run(command, check=True, timeout=MOUNT_SECONDS)
