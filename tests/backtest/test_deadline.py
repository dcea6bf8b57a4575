"""A run that does not come back fails by the wall's deadline, and the next minute is asked as ever."""

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestra.__main__ import main
from orchestra.runner import AlgorithmRunner
from orchestra.worker import Task
from tests.backtest.conftest import Write, answered, command
from tests.backtest.test_allowance import ran
from tests.backtest.test_command import ONE_DAY, climb, store
from tests.conftest import Configure

ENDED = "It took longer than 0.5 s and was ended"
HANGS = {
    "a loop": "while True: pass",
    "a wait": "time.sleep(3600)",
    "a loop that goes on whatever happens": "while True:\n"
    "    try: time.sleep(0.01)\n"
    "    except Exception: pass",
}


@pytest.fixture(autouse=True)
def short(configure: Configure) -> None:
    configure(ALGORITHM_DEADLINE_SECONDS=0.5)
    store(climb(390))


def hanging(write: Write, body: str, when: str, **more: str) -> Path:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return write(f"if {when}:\n{lines}\nreturn ('buy', 1)", "import time\n", **more)


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_a_run_that_hangs_costs_its_minute(write: Write, body: str) -> None:
    path = hanging(write, body, "current_time[11:16] == '14:00'")
    found = answered(path, "AAPL", *ONE_DAY)
    assert (found["stopped"], found["asked"]) == ("", 390)
    assert "2024-06-04T14:00:02Z" not in [each["timestamp"] for each in found["trades"]]
    assert "2024-06-04T14:01:02Z" in [each["timestamp"] for each in found["trades"]]
    [failed] = [note for note in found["notes"] if note.startswith("Failed")]
    assert failed.startswith("Failed 1 time: guest.py line ") and failed.endswith(ENDED)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_is_what_the_wall_says(write: Write, configure: Configure) -> None:
    configure(ALGORITHMS_DIR=hanging(write, "while True: pass", "True").parent)
    with AlgorithmRunner(workers=1) as runner:
        [found] = runner.run([Task(1, "guest", "AAPL", 1000.0, "2024-06-04T14:00:02Z")])
    assert found is not None and found.summary == ENDED


def test_three_on_end_end_it(write: Write) -> None:
    path = hanging(write, "while True: pass", "current_time > '2024-06-04T14'")
    found = answered(path, "AAPL", *ONE_DAY, code=1)
    assert found["stopped"] == f"failed 3 times in a row: guest.py line 12: TookTooLong: {ENDED}"
    assert len(found["trades"]) == 29


def test_a_choice_of_a_sweep_that_hangs_costs_the_others_nothing(write: Write) -> None:
    path = hanging(write, "while True: pass", "self.at == 2", parameter="at")
    found = json.loads(ran("sweep", path, "--set", "at=1:3:1", "--parts", "1", "--workers", "1"))
    assert {each["parameters"]["at"] for each in found["choices"]} == {1, 3}
    [failed] = found["failed"]
    assert failed["failure"].endswith(f"{ENDED}.")


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_a_file_that_hangs_while_it_is_imported(write: Write, body: str) -> None:
    path = write("return ('hold', 0)", f"import time\n{body}\n")
    done = command(path, "AAPL", *ONE_DAY, code=1)
    assert "Error: guest.py line " in done.stderr and f"TookTooLong: {ENDED}" in done.stderr
    assert done.stdout == ""
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_sweep_of_a_file_that_hangs_while_it_is_imported(write: Write) -> None:
    path = write("return ('hold', 0)", "while True: pass\n")
    done = CliRunner().invoke(
        main, ["sweep", str(path), "AAPL", *map(str, ONE_DAY), "--parts", "1"]
    )
    assert done.exit_code == 2
    assert f"TookTooLong: {ENDED}" in " ".join(done.stderr.replace("│", " ").split())
