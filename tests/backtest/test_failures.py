"""Whatever a run raises costs it that minute: in a backtest, a sweep and a replay as on the wall."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.base.settings import ROOT
from orchestra.runner import AlgorithmRunner
from orchestra.worker import Task
from tests.backtest.conftest import Write, answered, command, under_way
from tests.backtest.test_command import ONE_DAY, climb, store
from tests.conftest import Configure

BEFORE = "import asyncio, sys\nclass Own(BaseException): pass\n"
RAISED = [
    ("asyncio.CancelledError('late')", "guest.py line 12: CancelledError: late"),
    ("GeneratorExit('late')", "guest.py line 12: GeneratorExit: late"),
    ("Own('late')", "guest.py line 12: Own: late"),
    ("KeyboardInterrupt('late')", "guest.py line 12: KeyboardInterrupt: late"),
    ("SystemExit(3)", "It called sys.exit(3)"),
]
UNREADABLE = "class Own(BaseException):\n    def __str__(self): raise Own\n"


@pytest.mark.parametrize(("raised", "sentence"), RAISED)
def test_a_backtest_goes_on_with_the_next_minute(write: Write, raised: str, sentence: str) -> None:
    store(climb(390))
    body = f"if current_time[15] == '7': raise {raised}\nreturn ('hold', 0)"
    found = answered(write(body, BEFORE), "AAPL", *ONE_DAY)
    assert (found["stopped"], found["asked"]) == ("", 390)
    assert found["notes"] == [f"Failed 39 times: {sentence}"]


def test_the_wall_says_the_same(write: Write, configure: Configure) -> None:
    names = []
    for number, (raised, _) in enumerate(RAISED):
        names.append(f"guest{number}")
        folder = write(f"raise {raised}", BEFORE, name=names[-1]).parent
    configure(ALGORITHMS_DIR=folder)
    tasks = [
        Task(number, name, "AAPL", 1000.0, "2024-06-04T14:00:02Z")
        for number, name in enumerate(names)
    ]
    with AlgorithmRunner(workers=1) as runner:
        found = {each.algorithm_id: each.summary for each in runner.run(tasks) if each is not None}
    for number, (_, sentence) in enumerate(RAISED):
        assert found[number] == sentence.replace("guest.py", f"guest{number}.py")


@pytest.mark.parametrize(("raised", "sentence"), RAISED)
def test_a_file_that_raises_it_while_it_is_imported(
    write: Write, raised: str, sentence: str
) -> None:
    store(climb(390))
    path = write("return ('hold', 0)", f"{BEFORE}raise {raised}\n")
    done = command(path, "AAPL", *ONE_DAY, code=1)
    assert f"Error: {sentence.replace('line 12', 'line 7')}" in done.stderr


def test_an_error_that_cannot_be_written_out(write: Write, configure: Configure) -> None:
    store(climb(390))
    path = write("raise Own", UNREADABLE)
    sentence = "Own, which cannot be written out"
    assert answered(path, "AAPL", *ONE_DAY, code=1)["stopped"].endswith(f"in a row: {sentence}")
    configure(ALGORITHMS_DIR=path.parent)
    with AlgorithmRunner(workers=1) as runner:
        [found] = runner.run([Task(1, "guest", "AAPL", 1000.0, "2024-06-04T14:00:02Z")])
    assert found is not None and found.summary == sentence


def test_an_answer_of_a_million_figures_is_not_shown_whole(write: Write) -> None:
    store(climb(390))
    found = answered(write("return list(range(10**6))"), "AAPL", *ONE_DAY, code=1)
    assert "Expected ('buy', shares)" in found["stopped"] and len(found["stopped"]) < 400


def test_the_sentence_that_an_answer_fails_with_ends_once(write: Write) -> None:
    store(climb(390))
    found = answered(write("return ('buy', float('nan'))"), "AAPL", *ONE_DAY, code=1)
    why = "failed 3 times in a row: Expected a whole number of shares above zero, was nan"
    assert found["stopped"] == why
    assert found["notes"][0] == f"It {why}, after bar 2024-06-04T13:32:00Z."


def test_failures_that_differ_by_their_figures_are_counted_together(write: Write) -> None:
    store(climb(390))
    path = write(
        "if current_time[15] == '7': raise ValueError(current_time)\nreturn ('buy', 10**6)"
    )
    assert answered(path, "AAPL", *ONE_DAY)["notes"] == [
        "Failed 39 times, first: guest.py line 10: ValueError: 2024-06-04T13:37:02Z",
        "Not filled 351 times, first: refused: 1000000 cost 100000000.00, cash is 10000.00",
    ]


def test_a_sweep_goes_on_with_the_next_minute(write: Write) -> None:
    store(climb(390))
    body = "if current_time[15] == '7': raise KeyboardInterrupt\nreturn ('hold', 0)"
    more = ("--parts", "1", "--workers", "1", "--json")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "orchestra",
            "sweep",
            write(body),
            "AAPL",
            *map(str, ONE_DAY),
            *more,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["choices"]) == 1


def test_ctrl_c_while_the_file_is_imported(write: Write, tmp_path: Path) -> None:
    """It ends before the first minute, and does not wait for a second Ctrl-C."""
    store(climb(390))
    path = write(
        "(here / 'ran').touch()\nreturn ('hold', 0)",
        f"import pathlib\nhere = pathlib.Path({str(tmp_path)!r})\n(here / 'there').touch()\n"
        "while not (here / 'go').exists(): pass\n",
    )
    with under_way(tmp_path / "there", path, "AAPL", *ONE_DAY) as process:
        process.send_signal(signal.SIGINT)
        clock.pause(0.2)
        (tmp_path / "go").touch()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "It was stopped before the first bar: interrupted." in errors
    assert not (tmp_path / "ran").exists()
