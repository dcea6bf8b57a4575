"""A sweep that ends before it is done: what was done is kept, a sentence says why, nothing is left."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from orchestra.__main__ import main
from orchestra.backtest.sweep import Work
from orchestra.backtest.sweep_workers import ClusterWorkers
from orchestra.base import clock
from orchestra.base.settings import ROOT
from tests.backtest.conftest import Write
from tests.backtest.dask_cluster import needs_distributed, running_cluster
from tests.backtest.test_command import climb, store
from tests.conftest import Configure
from tests.orchestra.test_left_behind import is_running

PATIENCE_SECONDS = 60.0
ENTRY = (sys.executable, "-m", "orchestra", "sweep")
TIMES = ("--start", "2024-06-03", "--end", "2024-06-04", "--parts", "1")
LAST_MINUTE = "2024-06-05T13:30"
DIED = "A process of the sweep has died: the algorithm ended it, or memory ran out."
Sweep = subprocess.Popen[str]
Guest = Callable[[str], Path]


@pytest.fixture
def guest(write: Write, tmp_path: Path, configure: Configure) -> Guest:
    """Write an algorithm with one parameter, ``at``, that leaves a file when a choice of it is done.

    ``here`` is the test's folder.
    """
    configure(ALGORITHM_DEADLINE_SECONDS=600)  # what hangs does so as long as the test wants it to
    (tmp_path / "done").mkdir()
    store(climb(780))

    def written(body: str) -> Path:
        return write(
            f"{body}\n"
            f"if current_time[:16] == {LAST_MINUTE!r}: (here / 'done' / str(self.at)).touch()\n"
            "return ('hold', 0)",
            before=f"import os, pathlib, subprocess, sys, time\nhere = pathlib.Path({str(tmp_path)!r})\n",
            parameter="at",
        )

    return written


@contextmanager
def running(path: Path, *arguments: object) -> Iterator[Sweep]:
    """Run a sweep of ``at`` with --json, its temporary files in a folder of its own."""
    temporary = path.parent / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [*ENTRY, str(path), "AAPL", "--json", *TIMES, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while not is_so():
        assert clock.elapsed() < deadline
        clock.pause(0.02)


def await_done(folder: Path, count: int) -> None:
    wait_for(lambda: len(list((folder / "done").iterdir())) >= count)
    clock.pause(1)  # for the last answer to have come


def told(process: Sweep, code: int) -> tuple[dict[str, Any], str]:
    """What it prints, and what it says about it."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    return json.loads(output), errors


def kept(found: dict[str, Any]) -> set[int]:
    return {each["parameters"]["at"] for each in found["choices"]}


HANGS = """
if self.at > 3:
    child = subprocess.Popen(['sleep', '300'])
    (here / 'pids').write_text(f'{os.getpid()} {child.pid}')
    while True: pass
""".strip()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_also_a_run_that_never_comes_back(
    guest: Guest, tmp_path: Path, times: int
) -> None:
    """What was done is kept; no process, no folder is left, nothing of what the algorithm started."""
    path, table = guest(HANGS), tmp_path / "sweep.csv"
    with running(path, "--set", "at=1:30:1", "--workers", 1, "--csv", table) as process:
        wait_for((tmp_path / "pids").exists)
        await_done(tmp_path, 3)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            clock.pause(0.1)  # two of one kind that are pending at once are one
        found, _ = told(process, 0)
    assert kept(found) == {1, 2, 3}
    assert found["notes"] == ["It was interrupted: 3 of 30 choices are done."]
    assert len(table.read_text().splitlines()) == 1 + 3
    worker, child = map(int, (tmp_path / "pids").read_text().split())
    wait_for(lambda: not is_running(worker) and not is_running(child))
    assert list((path.parent / "temporary").iterdir()) == []


def test_a_sweep_that_is_killed_leaves_no_process(guest: Guest, tmp_path: Path) -> None:
    with running(guest(HANGS), "--set", "at=4", "--workers", 1) as process:
        wait_for(lambda: (tmp_path / "pids").exists() and bool((tmp_path / "pids").read_text()))
        process.kill()
        worker, child = map(int, (tmp_path / "pids").read_text().split())
        wait_for(lambda: not is_running(worker) and not is_running(child))


def test_a_process_that_dies_leaves_what_was_done(guest: Guest, tmp_path: Path) -> None:
    path, table = guest("if self.at == 3: os._exit(3)"), tmp_path / "sweep.csv"
    with running(path, "--set", "at=1:6:1", "--workers", 1, "--csv", table) as process:
        found, errors = told(process, 1)
    assert kept(found) == {1, 2}
    assert found["notes"] == [f"{DIED} 2 of 6 choices are done."]
    assert f"Error: {DIED}" in errors
    with table.open() as file:
        assert sorted(row["at"] for row in csv.DictReader(file)) == ["1", "2"]
    assert list((path.parent / "temporary").iterdir()) == []


def test_a_process_that_dies_before_anything_is_done_is_a_sentence(guest: Guest) -> None:
    path = guest("os._exit(3)")
    done = CliRunner().invoke(main, ["sweep", str(path), "AAPL", *TIMES, "--workers", "1"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Error: {DIED}" in done.stderr


DIES = """
if self.at == 5:
    while len(list((here / 'done').iterdir())) < 4: time.sleep(0.02)
    time.sleep(1)
    os._exit(3)
""".strip()
CLUSTER_DIED = "Workers of the Dask cluster have died, one after the other, of the same choice"


@needs_distributed
@pytest.mark.parametrize(
    ("failures", "sentence"), [("0", CLUSTER_DIED), ("3", "the workers have died that held it")]
)
def test_a_cluster_whose_workers_die_leaves_what_was_done(
    guest: Guest, tmp_path: Path, failures: str, sentence: str
) -> None:
    """The choice that ends its worker is given to the next one, as often as the scheduler allows."""
    path, table = guest(DIES), tmp_path / "sweep.csv"
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": failures}
    with running_cluster(tmp_path, **allowed) as cluster:
        more = ("--scheduler", cluster.address, "--csv", table)
        with running(path, "--set", "at=1:5:1", *more) as process:
            found, errors = told(process, 1)
    assert kept(found) == {1, 2, 3, 4}
    [note] = found["notes"]
    assert sentence in note and note.endswith(" 4 of 5 choices are done.")
    assert sentence in errors
    assert len(table.read_text().splitlines()) == 1 + 4


@needs_distributed
def test_a_cluster_whose_scheduler_goes_away_leaves_what_was_done(
    guest: Guest, tmp_path: Path
) -> None:
    path = guest("while self.at > 3: time.sleep(0.02)")
    with running_cluster(tmp_path, workers=1) as cluster:
        more = ("--set", "at=1:9:1", "--scheduler", cluster.address)
        with running(path, *more) as process:
            await_done(tmp_path, 3)
            cluster.scheduler.kill()
            found, errors = told(process, 1)
    assert kept(found) == {1, 2, 3}
    sentence = f"The Dask scheduler {cluster.address} has gone away."
    assert found["notes"] == [f"{sentence} 3 of 9 choices are done."]
    assert f"Error: {sentence}" in errors


@needs_distributed
def test_ctrl_c_over_a_cluster_keeps_what_was_done(guest: Guest, tmp_path: Path) -> None:
    path = guest("while self.at > 3: time.sleep(0.02)")
    with running_cluster(tmp_path, workers=1) as cluster:
        more = ("--set", "at=1:9:1", "--scheduler", cluster.address)
        with running(path, *more) as process:
            await_done(tmp_path, 3)
            process.send_signal(signal.SIGINT)
            found, _ = told(process, 0)
    assert kept(found) == {1, 2, 3}
    assert found["notes"] == ["It was interrupted: 3 of 9 choices are done."]


@needs_distributed
def test_ctrl_c_before_a_question_has_left_prints_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_cluster(tmp_path, workers=1) as cluster:
        by = ClusterWorkers(cast(Work, "any will do"), cluster.address)
        asked, met = threading.Event(), threading.Event()

        def keep_busy() -> None:
            """Hold the client's loop, so that the question waits behind this, until Ctrl-C was met."""
            assert asked.wait(PATIENCE_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)
            assert met.wait(PATIENCE_SECONDS)

        by._client.loop.add_callback(keep_busy)
        with pytest.raises(KeyboardInterrupt):
            asked.set()
            by._look()
        met.set()
        by.close()
    assert caplog.records == []


@needs_distributed
@pytest.mark.parametrize(
    ("workers", "environment", "why"),
    [(0, {}, "No valid workers found"), (1, {"PYTHONPATH": ""}, "No module named 'orchestra'")],
)
def test_a_cluster_that_cannot_do_the_work_is_a_sentence(
    guest: Guest, tmp_path: Path, workers: int, environment: dict[str, str], why: str
) -> None:
    """There is no worker, or its workers do not have this code."""
    path = guest("pass")
    with (
        running_cluster(tmp_path, workers, **environment) as cluster,
        running(path, "--scheduler", cluster.address) as process,
    ):
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output) == (2, "")
    assert f"The Dask cluster {cluster.address} takes no work: " in errors and why in errors
    assert "Traceback" not in errors


def test_stdout_is_one_object_whatever_the_file_prints(guest: Guest) -> None:
    path = guest("print('from python'); os.write(1, b'raw'); os.system('echo shell')")
    with running(path) as process:
        found, errors = told(process, 0)
    assert kept(found) == {1}
    assert "raw" not in errors
    assert list((path.parent / "temporary").iterdir()) == []


def test_what_its_author_does_to_the_file_meanwhile_costs_no_answer(
    guest: Guest, tmp_path: Path
) -> None:
    path, table = (
        guest("(here / 'mine' / 'guest.py').write_text('def half(')"),
        tmp_path / "sweep.csv",
    )
    with running(path, "--set", "at=1:2:1", "--workers", 1, "--csv", table) as process:
        found, _ = told(process, 0)
    assert kept(found) == {1, 2}
    assert len(table.read_text().splitlines()) == 1 + 2


def test_a_file_that_cannot_be_written_costs_no_answer(guest: Guest, tmp_path: Path) -> None:
    """The report is printed first: it may have taken hours."""
    path, table = guest("pass"), tmp_path / "nowhere" / "sweep.csv"
    with running(path, "--csv", table) as process:
        found, errors = told(process, 1)
    assert kept(found) == {1}
    assert f"Error: {table} cannot be written: No such file or directory." in errors
