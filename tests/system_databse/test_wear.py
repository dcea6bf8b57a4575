"""How much was written to the disk, by part and market day."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from orchestra.base.settings import ROOT
from system_databse import wear
from tests.exchange_fixture import set_clock

TUESDAY, WEDNESDAY = date(2024, 6, 4), date(2024, 6, 5)
WRITES = """
import os, sys
from system_databse import wear
counting = wear.Wear("trader")
with open(sys.argv[1], "wb") as file:
    file.write(os.urandom(4_000_000))
    os.fsync(file.fileno())
counting.note()
"""


def counts(folder: Path) -> bool:
    """Whether the kernel counts what is written here: it does not in a folder in memory."""
    before = wear.bytes_written()
    if before is None:
        return False
    with (folder / "probe").open("wb") as file:
        file.write(os.urandom(100_000))
        os.fsync(file.fileno())
    return (wear.bytes_written() or 0) - before >= 100_000


def test_what_a_process_writes_is_counted(tmp_path: Path) -> None:
    if not counts(tmp_path):
        pytest.skip("the kernel counts no bytes written to this folder")
    set_clock("2024-06-04T14:30:00Z")
    for _ in range(2):
        command = [sys.executable, "-c", WRITES, str(tmp_path / "file")]
        subprocess.run(command, cwd=ROOT, check=True)
    found = wear.written(TUESDAY)
    assert found.keys() == {"trader"}
    assert 8_000_000 <= found["trader"] < 12_000_000


def test_a_day_gets_what_was_written_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's counter is a file, so another file can stand for it."""
    counter = tmp_path / "io"
    monkeypatch.setattr(wear, "COUNTED_BY", counter)
    set_clock("2024-06-04T19:59:00Z")
    counter.write_text("rchar: 5\nwrite_bytes: 1000\ncancelled_write_bytes: 7\n")
    counting = wear.Wear("api")
    counting.look()
    assert wear.written(TUESDAY) == {}  # not old enough to be noted
    counting.note()
    assert wear.written(TUESDAY) == {"api": 1000}
    counter.write_text("write_bytes: 1500\n")
    set_clock("2024-06-05T13:30:00Z")
    counting.look()  # the day is over
    assert (wear.written(TUESDAY), wear.written(WEDNESDAY)) == ({"api": 1500}, {})
    counter.write_text("write_bytes: 1700\n")
    counting.note()
    wear.Wear("api").note()  # started again: its own count begins at its start
    assert wear.written(WEDNESDAY) == {"api": 200 + 1700}


def test_a_kernel_that_does_not_count_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wear, "COUNTED_BY", tmp_path / "nowhere")
    set_clock("2024-06-04T14:30:00Z")
    wear.Wear("api").note()
    assert wear.written(TUESDAY) == {}
