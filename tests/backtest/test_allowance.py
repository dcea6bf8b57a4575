"""A command that runs algorithms beside the trader leaves it the machine: its time, and its memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base.settings import ROOT
from tests.backtest.conftest import Write, answered
from tests.backtest.test_command import ONE_DAY, climb, store
from tests.conftest import Configure

ALLOWED = "it took all the memory that ALGORITHM_MEMORY_MB allows"


def ran(name: str, path: Path, *more: str) -> str:
    """What a command in a process of its own prints with --json."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "orchestra",
            name,
            path,
            "AAPL",
            *map(str, ONE_DAY),
            "--json",
            *more,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["backtest", "sweep"])
def test_it_gives_way_to_trading(write: Write, tmp_path: Path, name: str) -> None:
    store(climb(390))
    path = write(
        f"pathlib.Path({str(tmp_path / 'nice')!r}).write_text(str(os.nice(0)))\nreturn ('hold', 0)",
        "import os, pathlib\n",
    )
    ran(name, path, *(["--parts", "1"] if name == "sweep" else []))
    assert int((tmp_path / "nice").read_text()) == max(10, os.nice(0))


def test_what_takes_more_memory_than_it_may_fails_as_on_the_wall(
    write: Write, configure: Configure
) -> None:
    configure(ALGORITHM_MEMORY_MB=64)
    store(climb(390))
    body = "if current_time[15] == '7': return ('buy', len(bytearray(80 * 1024**2)))"
    found = answered(write(f"{body}\nreturn ('hold', 0)"), "AAPL", *ONE_DAY)
    assert found["notes"] == [f"Failed 39 times: guest.py line 10: MemoryError: {ALLOWED}"]
    found = answered(
        # So much is mapped anew each time; less could come of what this process has already
        write("kept.append(bytearray(48 * 1024**2))\nreturn ('hold', 0)", "kept = []\n"),
        "AAPL",
        *ONE_DAY,
        code=1,
    )
    assert found["asked"] == 1 + 3
    assert found["stopped"] == f"failed 3 times in a row: guest.py line 11: MemoryError: {ALLOWED}"


def test_a_choice_of_a_sweep_that_takes_more_costs_the_others_nothing(
    write: Write, configure: Configure
) -> None:
    configure(ALGORITHM_MEMORY_MB=64)
    store(climb(390))
    path = write("kept = bytearray(self.size * 1024**2)\nreturn ('hold', 0)", parameter="size")
    found = json.loads(ran("sweep", path, "--set", "size=1:81:80", "--parts", "1"))
    assert [each["parameters"] for each in found["choices"]] == [{"size": 1}]
    [failed] = found["failed"]
    assert failed["failure"].endswith(f"MemoryError: {ALLOWED}.")


def test_what_was_done_is_kept_where_a_run_leaves_no_memory_to_go_on_with(
    write: Write, configure: Configure
) -> None:
    configure(ALGORITHM_MEMORY_MB=32)
    store(climb(390))
    path = write(
        "if current_time[11:16] == '14:00':\n"
        "    size = 2**24\n"
        "    while size > 4:\n"
        "        try: kept.append(' ' * size)\n"
        "        except MemoryError: size //= 2\n"
        "return ('buy', 1, str(len(kept)))",
        "kept = []\n",
    )
    found = answered(path, "AAPL", *ONE_DAY, "--no-research", code=1)
    assert found["stopped"].startswith("failed") and found["stopped"].endswith(ALLOWED)
    assert len(found["trades"]) >= 29


def test_other_tickers_bars_are_not_the_algorithms(write: Write, configure: Configure) -> None:
    """A year of one is 65 MB."""
    configure(ALGORITHM_MEMORY_MB=12)
    tickers = ("MSFT", "NVDA", "TSLA", "AMZN")
    for ticker in ("AAPL", *tickers):
        store(climb(20 * 390), ticker=ticker)
    path = write(
        f"bars = [db_manager.get_latest_price(each) for each in {tickers}]\nreturn ('buy', 1)"
    )
    found = json.loads(ran("backtest", path, "--start", "2024-05-07"))
    assert (found["stopped"], found["asked"]) == ("", 20 * 390)
