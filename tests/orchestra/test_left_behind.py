"""What a run leaves in its worker, or does to it, and to what it tells: none of it reaches another card."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from orchestra.base.settings import ROOT
from orchestra.decision import Decision
from orchestra.runner import AlgorithmRunner
from system_databse import decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.orchestra.test_runner import results, task, write

WHO = "import os; return ('hold', 0, str(os.getpid()))"
LOOKED_FOR = {"signals", "open files", "memory"}  # after the last run of those asked together
BEFORE = "from database import db_manager\nKEPT = []"
PATIENCE_SECONDS = 20.0
TERMINAL = """
from orchestra.runner import AlgorithmRunner
from orchestra.worker import Task
list(AlgorithmRunner(workers=1).run([Task(1, "hangs", "NVDA", 1.0, "2024-06-04T14:30:02Z")]))
"""
LEAVES = {
    "its folder": "import os; os.chdir('/')",
    "threads": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "child processes": "import subprocess; subprocess.Popen(['sleep', '300'])",
    "signals": "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))",
    "open files": "import os; [os.open(os.devnull, os.O_RDONLY) for _ in range(300)]",
    "replaced functions": "db_manager.get_latest_price = lambda ticker: 1.0",
    "memory": "KEPT.append(b'x' * 60_000_000)",
}


@pytest.fixture
def folder(tmp_path: Path, configure: Any) -> Path:
    path = tmp_path / "algorithms"
    path.mkdir()
    configure(ALGORITHMS_DIR=path, ALGORITHM_DEADLINE_SECONDS=2, ALGORITHM_MEMORY_MB=100)
    return path


@pytest.fixture
def runner(folder: Path) -> Iterator[AlgorithmRunner]:
    with AlgorithmRunner(workers=1) as started:
        yield started


@pytest.mark.parametrize("what", LEAVES.values(), ids=LEAVES)
def test_a_worker_that_was_changed_is_not_used_again(
    folder: Path, runner: AlgorithmRunner, what: str
) -> None:
    write(folder, "good", WHO)
    write(folder, "leaves", f"{what}\n{WHO}", BEFORE)
    found = results(runner, [task(1, "good"), task(2, "leaves")])
    found |= results(runner, [task(3, "good")])
    first, own, after = (found[n].answer for n in (1, 2, 3))
    assert first == own != after
    assert after is not None and after.action == "hold"


@pytest.mark.parametrize("what", sorted(LEAVES.keys() - LOOKED_FOR))
def test_not_even_by_those_that_were_asked_together_with_it(
    folder: Path, runner: AlgorithmRunner, what: str
) -> None:
    write(folder, "good", WHO)
    write(folder, "leaves", f"{LEAVES[what]}\n{WHO}", BEFORE)
    found = results(runner, [task(n, "leaves" if n == 2 else "good") for n in range(1, 6)])
    pids = [found[n].answer for n in range(1, 6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] == pids[4]
    assert pids[4] is not None and pids[4].action == "hold"


def test_an_alarm_goes_off_in_no_other_run(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "wakes", f"import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)\n{WHO}")
    write(folder, "good", f"import time; time.sleep(0.3)\n{WHO}")
    found = results(runner, [task(1, "wakes"), task(2, "good")])
    found |= results(runner, [task(3, "good")])
    assert found[1].answer == found[2].answer == found[3].answer is not None


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("then", ["return ('hold', 0)", "child.wait()", "os._exit(3)"])
def test_what_a_run_has_started_ends_with_its_worker(
    folder: Path, runner: AlgorithmRunner, tmp_path: Path, then: str
) -> None:
    write(
        folder,
        "starts",
        "import os, pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n{then}",
    )
    results(runner, [task(1, "starts")])
    child = int((tmp_path / "pid").read_text())
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while is_running(child) and clock.elapsed() < deadline:
        clock.pause(0.02)
    assert not is_running(child)


def test_a_fork_that_comes_back_from_its_run_answers_for_nobody(
    folder: Path, runner: AlgorithmRunner
) -> None:
    write(folder, "forks", "import os; os.fork(); return ('buy', algo_id)")
    write(folder, "good", "return ('sell', algo_id)")
    for _ in range(2):
        found = results(runner, [task(n, "forks" if n < 4 else "good") for n in range(1, 7)])
        expected = [Decision("buy" if n < 4 else "sell", n) for n in range(1, 7)]
        assert [found[n].answer for n in range(1, 7)] == expected


def test_a_run_that_closes_its_pipe_and_hangs_holds_up_nobody(
    folder: Path, runner: AlgorithmRunner
) -> None:
    write(folder, "closes", "import os, time; os.closerange(3, 1024); time.sleep(300)")
    write(folder, "good", "return ('hold', 0)")
    found = results(runner, [task(1, "closes"), task(2, "good")])
    assert found[1].failure == "It closed the pipe that its answer goes to"
    assert found[2].answer == Decision("hold", 0)


def test_an_answer_goes_into_no_file_that_has_its_pipes_number(
    folder: Path, runner: AlgorithmRunner, tmp_path: Path
) -> None:
    ledger = tmp_path / "some.db"
    ledger.write_bytes(b"money")
    body = (
        "import os; os.closerange(3, 1024)\n"
        f"[os.open({str(ledger)!r}, os.O_RDWR) for _ in range(20)]\n"
        "return ('hold', 0)"
    )
    write(folder, "closes", body)
    [found] = results(runner, [task(1, "closes")]).values()
    assert found.failure == "Its process died (exit code 1)"
    assert ledger.read_bytes() == b"money"


def test_what_was_under_way_when_a_minute_broke_off_answers_in_no_other(
    folder: Path, runner: AlgorithmRunner
) -> None:
    write(folder, "slow", "import time; time.sleep(0.3); return ('buy', 99)")
    write(folder, "good", "return ('hold', 0)")
    minute = runner.run([task(1, "good"), task(2, "slow")])
    assert next(minute) is not None  # and then, say, the disk is full
    assert {n: r.answer for n, r in results(runner, [task(3, "good")]).items()} == {
        3: Decision("hold", 0)
    }


def test_a_spare_that_died_is_replaced_before_it_is_needed(
    folder: Path, runner: AlgorithmRunner
) -> None:
    spare = runner._workers[-1].process
    spare.kill()
    spare.join()
    assert runner.health[0] == "degraded"
    write(folder, "good", "return ('hold', 0)")
    deadline = clock.elapsed() + PATIENCE_SECONDS  # the server it came from may yet have to say so
    while runner.health[0] != "ok" and clock.elapsed() < deadline:
        results(runner, [task(1, "good")])
    assert runner.health == ("ok", "5 workers are ready; 1 were replaced since the start.")


def test_the_server_that_workers_are_forked_from_may_die(
    folder: Path, runner: AlgorithmRunner
) -> None:
    """As the kernel's choice, where memory runs out."""
    write(folder, "good", "return ('hold', 0)")
    worker = Path(f"/proc/{runner._workers[0].process.pid}/stat").read_text()
    server = int(worker.rpartition(")")[2].split()[1])
    os.kill(server, signal.SIGKILL)
    while is_running(server):
        clock.pause(0.02)
    for _ in range(2):
        assert results(runner, [task(1, "good")])[1].answer == Decision("hold", 0)
    assert runner.health[0] == "ok"


def test_an_answer_of_an_algorithms_own_type_is_not_imported_by_the_terminal(
    folder: Path, runner: AlgorithmRunner
) -> None:
    enum = "import enum\nclass Action(str, enum.Enum):\n    BUY = 'buy'"
    write(folder, "typed", "return (Action.BUY, 1)", enum)
    assert results(runner, [task(1, "typed")])[1].answer == Decision("buy", 1)
    assert "algorithms.typed" not in sys.modules


def test_what_cannot_be_stored_is_made_so(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "half", "return ('hold', 0, 'half \\ud83d')")
    write(folder, "long", "raise ValueError('x' * 10**6 + '\\ud83d')")
    write(folder, "many", "return ('buy', 1e20)")
    names = ("half", "long", "many")
    found = results(runner, [task(n, name) for n, name in enumerate(names)])
    assert found[0].answer == Decision("hold", 0, "half ?")
    assert found[1].summary.startswith("long.py line 6: ValueError: xxx")
    assert found[1].failure.startswith("Traceback (most recent call last):")
    assert len(found[1].summary) < 400 and len(found[1].failure) < 5000
    assert found[2].summary == "Expected at most 9,007,199,254,740,992 shares, was 1e+20."
    card = system_db_manager.create_algorithm("NVDA", "half", 1000)
    minute = "2024-06-04T14:30:00Z"
    reason = " ".join([found[0].answer.reason, found[1].summary, found[2].summary])
    row = JournalledDecision(card, minute, None, "buy", 2**53, reason, "bar", 1.0)
    decision_journal.record([row])
    assert decision_journal.asked_in(minute) == {card}


def test_whatever_is_raised_is_told_with_its_line(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "cancelled", "import asyncio; raise asyncio.CancelledError('late')")
    [found] = results(runner, [task(1, "cancelled")]).values()
    assert found.summary == "cancelled.py line 6: CancelledError: late"
    assert "Traceback" in found.failure


def test_its_output_is_asked_what_a_stream_is_asked(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "asks", "import sys; return ('hold', 0, str(sys.stdout.isatty()))")
    assert results(runner, [task(1, "asks")])[1].answer == Decision("hold", 0, "False")


def test_a_run_ends_itself_where_its_terminal_was_killed(folder: Path, tmp_path: Path) -> None:
    """Nobody is left who would end it at its deadline."""
    written = tmp_path / "pid"
    write(
        folder,
        "hangs",
        f"import os, pathlib; pathlib.Path({str(written)!r}).write_text(str(os.getpid()))\n"
        "while True: pass",
    )
    terminal = subprocess.Popen([sys.executable, "-c", TERMINAL], cwd=ROOT)
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while not (written.exists() and written.read_text()) and clock.elapsed() < deadline:
        clock.pause(0.02)
    terminal.kill()
    terminal.wait()
    pid = int(written.read_text())
    assert is_running(pid)
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while is_running(pid) and clock.elapsed() < deadline:
        clock.pause(0.1)
    assert not is_running(pid)
