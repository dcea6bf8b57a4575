"""Algorithms in real worker processes: good ones, and ones that misbehave beside them."""

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import algorithms
from orchestra.base import clock, sqlite
from orchestra.decision import Decision
from orchestra.loader import load_algorithm
from orchestra.runner import AlgorithmRunner
from orchestra.worker import Result, Task
from system_databse import card_parameters, create_system_db, system_db_manager

_seconds = itertools.count()
GOOD = (
    "class Algorithm:\n    def __init__(self, ticker, initial_capital):\n        self.t = ticker\n"
)


def write(folder: Path, name: str, body: str, before: str = "") -> None:
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    path = folder / f"{name}.py"
    path.write_text(f"{before}\n{GOOD}    def run(self, current_time, algo_id):\n{lines}")
    rest(path)


def rest(path: Path) -> None:
    """Let a file look as if it had been written a while ago, each time a second later."""
    written = 1_700_000_000 + next(_seconds)
    os.utime(path, (written, written))


def task(number: int, name: str, current_time: str = "2024-06-04T14:30:02Z") -> Task:
    return Task(number, name, "NVDA", 10000.0, current_time)


@pytest.fixture
def folder(tmp_path: Path, configure) -> Path:
    path = tmp_path / "algorithms"
    path.mkdir()
    configure(ALGORITHMS_DIR=path, ALGORITHM_DEADLINE_SECONDS=3)
    return path


@pytest.fixture
def runner(folder: Path) -> Iterator[AlgorithmRunner]:
    with AlgorithmRunner(workers=2) as started:
        yield started


def results(runner: AlgorithmRunner, tasks: list[Task]) -> dict[int, Result]:
    return {r.algorithm_id: r for r in runner.run(tasks) if r is not None}


def test_each_card_gets_its_answer(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "echo", "return ('buy', algo_id, f'{self.t} {current_time}')")
    found = results(runner, [task(n, "echo") for n in range(1, 9)])
    assert {n: r.answer for n, r in found.items()} == {
        n: Decision("buy", n, "NVDA 2024-06-04T14:30:02Z") for n in range(1, 9)
    }


def test_misbehaviour_costs_only_its_own_card(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "good", "return ('hold', 0)")
    write(folder, "raises", "return 1 / 0")
    write(folder, "hangs", "while True: pass")
    write(folder, "exits", "import sys; sys.exit(3)")
    write(folder, "dies", "import os; os._exit(3)")
    write(folder, "nonsense", "return ('buy', 1.5)")
    write(folder, "import_fails", "return ('hold', 0)", before="import no_such_module")
    write(folder, "prints", "print('x' * 10**6); return ('hold', 0)")
    (folder / "syntax.py").write_text("class Algorithm(:\n")
    rest(folder / "syntax.py")
    names = [
        "good raises good hangs good exits good dies nonsense import_fails prints syntax absent good"
    ][0].split()
    found = results(runner, [task(n, name) for n, name in enumerate(names)])
    outcome = {
        name: (found[n].answer is not None, found[n].failure) for n, name in enumerate(names)
    }
    healthy = [found[n].answer for n, name in enumerate(names) if name == "good"]
    assert healthy == [Decision("hold", 0)] * 5
    assert "ZeroDivisionError" in outcome["raises"][1]
    assert outcome["hangs"][1] == "It took longer than 3 s and was ended"
    assert outcome["exits"][1] == "It called sys.exit(3)"
    assert outcome["dies"][1] == "Its process died (exit code 3)"
    assert outcome["nonsense"][1] == "Expected a whole number of shares above zero, was 1.5."
    assert "no_such_module" in outcome["import_fails"][1]
    assert outcome["prints"] == (True, "")
    assert "SyntaxError" in outcome["syntax"][1]
    assert "There is no file absent.py" in outcome["absent"][1]


def test_a_changed_file_decides_at_once(folder: Path, runner: AlgorithmRunner) -> None:
    for shares in (1, 2, 3):
        write(folder, "mine", f"return ('buy', {shares})")
        found = results(runner, [task(n, "mine") for n in range(4)])
        assert {r.answer for r in found.values()} == {Decision("buy", shares)}


def test_what_it_imports_from_its_folder_decides_at_once_too(
    folder: Path, runner: AlgorithmRunner
) -> None:
    paths = f"import sys\nsys.path.append({str(folder)!r})\n"
    write(folder, "first", "return ('buy', common.shares())", before=f"{paths}import common")
    write(folder, "second", "return ('buy', shares())", before=f"{paths}from common import shares")
    tasks = [task(n, ("first", "second")[n % 2]) for n in range(8)]
    for shares in (1, 2, 3):
        (folder / "common.py").write_text(f"def shares():\n    return {shares}\n")
        rest(folder / "common.py")
        found = results(runner, tasks)
        assert {r.answer for r in found.values()} == {Decision("buy", shares)}
    (folder / "common.py").write_text("def shares():\n    return {}['clos']\n")
    rest(folder / "common.py")
    told = {r.summary.partition(" line ")[::2] for r in results(runner, tasks).values()}
    assert {own for own, _ in told} == {"first.py", "second.py"}
    assert all(where.endswith(", common.py line 2: KeyError: 'clos'") for _, where in told)
    (folder / "common.py").unlink()
    assert {r.summary for r in results(runner, tasks).values()} == {
        "first.py line 3: ModuleNotFoundError: No module named 'common'",
        "second.py line 3: ModuleNotFoundError: No module named 'common'",
    }


def test_what_it_imports_by_the_roadmaps_form_is_as_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algorithms, "__path__", [str(folder)])  # the project's own folder it is
    forms = "from algorithms import _common\nfrom algorithms._common import SHARES\n"
    write(folder, "third", "return ('buy', _common.SHARES + SHARES)", before=forms)
    for shares in (1, 2):
        (folder / "_common.py").write_text(f"SHARES = {shares}\n")
        rest(folder / "_common.py")
        card = load_algorithm("third")("NVDA", 10_000)
        assert card.run("2024-06-04T14:30:02Z", 1) == ("buy", 2 * shares)
        assert load_algorithm("third") is type(card)


def test_the_owners_import_lines_work_and_are_one_module(
    folder: Path, runner: AlgorithmRunner
) -> None:
    write(
        folder,
        "imports",
        "import system_databse.system_db_manager as dotted\n"
        "same = dotted is system_db_manager and callable(db_manager.get_data_for_algorithm)\n"
        "return ('hold', 0, str(same))",
        before="import sys\nsys.path.append('..')\nfrom database import db_manager\n"
        "import system_db_manager\nimport card_calculations",
    )
    answer = results(runner, [task(1, "imports")])[1]
    assert answer.answer == Decision("hold", 0, "True"), answer.failure


def test_an_algorithm_reads_its_transactions_but_writes_nothing(
    folder: Path, runner: AlgorithmRunner
) -> None:
    card = system_db_manager.create_algorithm("NVDA", "mine", 1000)
    system_db_manager.record_buy(card, 7, 10.0)
    imports = "import system_db_manager\nfrom orchestra.alpaca_wrapper import AlpacaWrapper"
    write(
        folder,
        "reads",
        "return ('sell', system_db_manager.get_transactions(algo_id)[0]['shares'])",
        before=imports,
    )
    write(folder, "writes", "system_db_manager.record_buy(algo_id, 1, 1.0)", before=imports)
    write(folder, "trades", "AlpacaWrapper()", before=imports)
    found = {
        name: results(runner, [task(card, name)])[card] for name in ("reads", "writes", "trades")
    }
    assert found["reads"].answer == Decision("sell", 7)
    assert "does not write the ledger" in found["writes"].failure
    assert "places no orders" in found["trades"].failure
    assert len(system_db_manager.get_transactions(card)) == 1


def test_a_worker_that_died_while_idle_is_replaced(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "pid", "import os; return ('hold', 0, str(os.getpid()))")
    first = results(runner, [task(n, "pid") for n in range(2)])
    killed = {int(result.answer.reason) for result in first.values() if result.answer}
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for worker in runner._workers:
        if worker.process.pid in killed:
            worker.process.join()
    again = results(runner, [task(n, "pid") for n in range(2)])
    assert all(result.answer is not None for result in again.values())


def test_slow_cards_hold_up_nobody(folder: Path, runner: AlgorithmRunner) -> None:
    """Five hang; the others are answered before any of them is given up, and first from then on."""
    write(folder, "hangs", "while True: pass")
    write(folder, "good", "return ('hold', 0)")
    tasks = [task(n, "hangs") for n in range(5)] + [task(n, "good") for n in range(5, 12)]
    first = [r.algorithm_id for r in runner.run(tasks) if r is not None]
    assert set(first[:7]) == set(range(5, 12))
    assert sorted(first) == list(range(12))
    again = list(runner.run(tasks))
    assert {r.algorithm_id for r in again[:7] if r is not None} == set(range(5, 12))


def test_cards_behind_a_slow_one_are_asked_by_another_and_once(
    folder: Path, tmp_path: Path, configure: Any
) -> None:
    """Quick at first, so they are given out in batches; then two turn slow, until all others are done."""
    configure(ALGORITHM_DEADLINE_SECONDS=30)
    done = tmp_path / "done"
    write(folder, "good", "import os; return ('hold', 0, str(os.getpid()))")
    write(folder, "mine", "import os; return ('hold', 0, str(os.getpid()))")
    tasks = [task(n, "mine" if n % 8 == 0 else "good") for n in range(16)]
    with AlgorithmRunner(workers=2) as runner:
        quick = results(runner, tasks)
        wait = f"while not os.path.exists({str(done)!r}): time.sleep(0.02)"
        write(folder, "mine", f"import os, time\n{wait}\nreturn ('hold', 0)")
        for _ in range(2):
            came = []
            for result in runner.run(tasks):
                came += [result] if result is not None else []
                if len(came) == 14:
                    done.touch()
            assert sorted(r.algorithm_id for r in came) == list(range(16))
            assert {r.algorithm_id for r in came[14:]} == {0, 8}
            assert all(r.answer is not None for r in came)
            done.unlink()
    assert len({r.answer.reason for r in quick.values() if r.answer}) == 2


def test_memory_and_output_are_capped(
    folder: Path, runner: AlgorithmRunner, configure: Any
) -> None:
    write(folder, "greedy", "x = bytearray(4 * 1024**3); return ('hold', 0)")
    write(folder, "floods", "for n in range(10**5): print('x' * 100)\nreturn ('hold', 0)")
    write(folder, "good", "return ('hold', 0)")
    found = results(runner, [task(1, "greedy"), task(2, "floods"), task(3, "good")])
    assert found[1].summary == (
        "greedy.py line 6: MemoryError: it took all the memory that ALGORITHM_MEMORY_MB allows"
    )
    assert found[2].answer == Decision("hold", 0)
    assert len(found[2].output) == 2000
    assert found[3].answer == Decision("hold", 0)


def test_a_summary_names_the_algorithms_own_line(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "raises", "import json\nreturn json.loads('{')")
    (folder / "syntax.py").write_text("class Algorithm:\n    def run(:\n")
    rest(folder / "syntax.py")
    found = results(runner, [task(1, "raises"), task(2, "syntax")])
    assert found[1].summary.startswith("raises.py line 7: JSONDecodeError: ")
    assert found[2].summary.startswith("syntax.py line 2: ")


def test_parameters_and_the_objects_own_reason(folder: Path, runner: AlgorithmRunner) -> None:
    write(folder, "mine", "self.reason = f'{self.short} of {self.t}'\nreturn ('hold', 0)")
    asked = Task(1, "mine", "NVDA", 10000.0, "2024-06-04T14:30:02Z", {"short": 7})
    assert results(runner, [asked])[1].answer == Decision("hold", 0, "7 of NVDA")


def test_a_whole_number_is_a_float_where_any_number_is_taken(
    folder: Path, runner: AlgorithmRunner
) -> None:
    """The ledger keeps both as numbers; a backtest of the same card has the declared kind."""
    one, other = ({"default": each, "min": 1, "max": 9} for each in (2, 1.5))
    write(folder, "mine", "return ('hold', 0, f'{self.lots!r} {self.take!r}')")
    path = folder / "mine.py"
    path.write_text(f"{path.read_text()}\n    parameters = {{'lots': {one}, 'take': {other}}}\n")
    rest(path)
    create_system_db.create_database()
    algo_id = system_db_manager.create_algorithm("NVDA", "mine", 10_000)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        card_parameters.insert(connection, algo_id, {"lots": 2, "take": 2.0})
    stored = card_parameters.all_parameters()[algo_id]
    asked = Task(1, "mine", "NVDA", 10000.0, "2024-06-04T14:30:02Z", stored)
    assert results(runner, [asked])[1].answer == Decision("hold", 0, "2 2.0")


@pytest.mark.parametrize(("seconds", "ends"), [(0.8, True), (20, False)])
def test_a_new_file_is_not_run_before_it_is_written(
    folder: Path, runner: AlgorithmRunner, configure: Any, seconds: float, ends: bool
) -> None:
    """It grows line by line, and would run at any time."""
    configure(ALGORITHM_DEADLINE_SECONDS=15)
    path, done = folder / "mine.py", threading.Event()

    def copy() -> None:
        with path.open("w", buffering=1) as file:
            file.write(
                f"{GOOD}    def run(self, current_time, algo_id):\n        answer = 'half'\n"
            )
            until = clock.elapsed() + seconds
            while clock.elapsed() < until and not done.wait(0.05):
                file.write("        answer += ' '\n")
                file.write("        if False: return ('hold', 0, answer)\n")
            file.write("        return ('hold', 0, 'whole')\n")

    thread = threading.Thread(target=copy)
    path.touch()
    thread.start()
    try:
        [result] = results(runner, [task(1, "mine")]).values()
    finally:
        done.set()
        thread.join()
    if ends:
        assert result.answer == Decision("hold", 0, "whole"), result.failure
    else:
        assert result.failure == "mine.py is still being written: it runs when that is done"
