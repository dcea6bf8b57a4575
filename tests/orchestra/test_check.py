"""``check`` rehearses files in real processes: good ones, broken ones, and ones that cheat."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from database import db_manager, historical_pull, rehearsal_bars, smart_fetch
from database.recorded_files import load_csv_folder
from orchestra.__main__ import main
from orchestra.base import clock, settings
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.base.settings import ROOT
from tests.conftest import Configure
from tests.exchange_fixture import running_exchange
from tests.orchestra.test_left_behind import is_running

NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused
HEADER = "from database import db_manager\nimport system_db_manager\n"
Report = dict[str, Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, configure: Configure) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    configure(ALPACA_DATA_URL=NOBODY, ALGORITHM_DEADLINE_SECONDS=1)
    smart_fetch._Exchange.reachable = True
    historical_pull._labels.clear()
    return path


def write(folder: Path, body: str, before: str = "") -> Path:
    """A file whose ``run`` starts in line 20."""
    lines = [HEADER + before, "class Algorithm:"]
    lines += ["    def __init__(self, ticker, initial_capital):", "        self.ticker = ticker"]
    lines += ["    def run(self, current_time, algo_id):"]
    top = "\n".join(lines).splitlines()
    top = ["#"] * (19 - len(top)) + top
    path = folder / "guest.py"
    path.write_text("\n".join([*top, *(f"        {line}" for line in body.splitlines()), ""]))
    os.utime(path, (1_700_000_000, 1_700_000_000))  # long at rest
    return path


def checked(algorithm: object, *arguments: str, code: int) -> Report:
    result = CliRunner().invoke(main, ["check", str(algorithm), "AAPL", "--json", *arguments])
    assert result.exit_code == code, result.output
    report = json.loads(result.stdout)
    assert report["ok"] == (code == 0) == (not report["problems"])
    return dict(report)


def test_the_shelf_is_fine() -> None:
    for name in (
        "breakout_channel",
        "buy_and_hold",
        "lot_by_lot",
        "rsi_reversion",
        "sma_crossover",
    ):
        report = checked(name, "--minutes", "120", code=0)
        assert report["algorithm"] == name
        assert (report["bars"]["source"], report["bars"]["asked"]) == ("generated", 120)
        assert sum(report["decisions"].values()) == 120
        assert (report["compared_minutes"], report["warnings"]) == (20, [])
        took = report["milliseconds"]
        assert 0 < took["median"] <= took["p99"] <= took["worst"]
        assert 0 <= report["memory_mb"] < 100


def test_stdout_is_one_object_whatever_the_file_prints(folder: Path) -> None:
    path = write(
        folder,
        "import os; print('from python'); os.write(1, b'raw'); os.system('echo shell')\n"
        "return ('hold', 0)",
    )
    command = [sys.executable, "-m", "orchestra", "check", str(path), "AAPL", "--json"]
    done = subprocess.run([*command, "--minutes", "5"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["printed"] == "from python\n"
    assert report["warnings"] == [
        "It prints; nobody sees that on the wall. A reason is shown on the card."
    ]
    assert not settings.current().system_db_path.exists()


def test_what_it_leaves_changed_is_told(folder: Path) -> None:
    path = write(
        folder,
        "import os, threading; os.chdir('/')\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "return ('hold', 0)",
    )
    assert checked(path, "--minutes", "5", code=0)["warnings"] == [
        "It leaves its worker changed (its folder, threads): such a worker is ended after its run, which"
        " takes time."
    ]


def test_what_its_object_is_to_remember_is_named(folder: Path) -> None:
    """Each minute has a new object; what a method notes for another one in the same run is its own affair."""
    path = write(
        folder,
        "self.bars, self.reason = 1, 'why'\n"
        "self.bought_at = None if self.bought_at else 1\n"
        "return ('hold', 0)",
    )
    path.write_text(
        path.read_text().replace(
            "self.ticker = ticker", "self.ticker, self.bought_at, self.reason = ticker, None, ''"
        )
    )
    assert checked(path, "--minutes", "5", code=0)["warnings"] == [
        "A method sets self.bought_at again, which the next minute does not know: each has a new object."
        " What it must remember comes from its transactions."
    ]


def test_a_look_at_the_machines_clock_is_named(folder: Path) -> None:
    path = write(folder, "import datetime\nnow = datetime.datetime.now()\nreturn ('hold', 0)")
    line = 1 + path.read_text().splitlines().index("        now = datetime.datetime.now()")
    assert checked(path, "--minutes", "5", code=0)["warnings"] == [
        f"It reads this machine's clock: line {line} (datetime.now). In a backtest that is today,"
        " whatever the minute it is asked in: take current_time instead."
    ]


def test_what_it_starts_ends_with_its_check(folder: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    path = write(
        folder,
        "import subprocess; child = subprocess.Popen(['sleep', '300'])\n"
        f"with open({str(pids)!r}, 'a') as file: file.write(f'{{child.pid}} ')\n"
        "return ('hold', 0)",
    )
    checked(path, "--minutes", "2", code=0)
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 6  # two minutes, each asked three times
    await_ends(started)


def test_a_run_ends_itself_where_its_check_was_killed(folder: Path, tmp_path: Path) -> None:
    """Nobody is left who would end it at its deadline."""
    written = tmp_path / "pid"
    path = write(
        folder,
        f"import os, pathlib; pathlib.Path({str(written)!r}).write_text(str(os.getpid()))\n"
        "while True: pass",
    )
    command = [sys.executable, "-m", "orchestra", "check", str(path), "AAPL", "--minutes", "2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # it cannot clear up
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = clock.elapsed() + 60
        while not written.exists() or not written.read_text():
            assert process.poll() is None and clock.elapsed() < deadline
            clock.pause(0.02)
    finally:
        process.kill()
        process.wait()
    await_ends([int(written.read_text())])


def await_ends(pids: list[int]) -> None:
    deadline = clock.elapsed() + 60
    while any(map(is_running, pids)):
        assert clock.elapsed() < deadline
        clock.pause(0.05)


def test_the_report_for_a_person() -> None:
    done = CliRunner().invoke(main, ["check", "buy_and_hold", "AAPL", "--minutes", "30"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Buy and hold (buy_and_hold.py): Buys once")
    assert lines[1] == "Parameters: invest = 100"
    assert "Decisions: 1 buy, 0 sell, 29 hold, 0 failed." in lines
    assert lines[-1] == "Fine."


def test_a_generated_price_is_the_same_every_time() -> None:
    rehearsal_bars.generate("AAPL", 500)
    bars = db_manager.get_data_for_algorithm("AAPL", "last_n_bars", n=1000)
    assert len(bars) == 500
    assert all(bar["open"] == before["close"] for before, bar in pairwise(bars))
    assert len({bar["close"] for bar in bars}) > 50
    again = [bar["close"] for bar in bars]
    db_manager.forget_history("AAPL")
    rehearsal_bars.generate("AAPL", 500)
    bars = db_manager.get_data_for_algorithm("AAPL", "last_n_bars", n=1000)
    assert [bar["close"] for bar in bars] == again


def test_parameters_are_chosen_and_refused() -> None:
    report = checked("sma_crossover", "--minutes", "5", "--set", "short=3", code=0)
    assert report["parameters"] == {"short": 3, "long": 50}
    for wrong in ("short=1", "medium=3", "short"):
        done = CliRunner().invoke(main, ["check", "sma_crossover", "AAPL", "--set", wrong])
        assert done.exit_code != 0 and done.stdout == ""


def test_stored_bars_are_used_and_left_alone(recorded_bars: Path, tmp_path: Path) -> None:
    days = tmp_path / "recorded" / "AAPL"
    days.mkdir(parents=True)
    for day in ("2024-01-02", "2024-01-03"):
        (days / f"{day}.csv").symlink_to(recorded_bars / "AAPL" / f"{day}.csv")
    load_csv_folder(days.parent)
    span = ("2024-01-01T00:00:00Z", "2024-01-04T00:00:00Z")
    before = db_manager.get_historical_data("AAPL", *span)
    report = checked("sma_crossover", code=0)
    assert report["bars"] == {
        "source": "stored",
        "asked": 390,
        "first": "2024-01-03T14:30:00Z",
        "last": "2024-01-03T20:59:00Z",
        "ended_early": False,
        "other_tickers": [],
    }
    oracle = json.loads((recorded_bars / "oracle_public.json").read_text())["segments"]
    segment = next(s for s in oracle if s["segment"] == "AAPL_2024-01-02_2024-02-29")
    crosses = [(stamp, "buy") for stamp in segment["crosses_up"]]
    crosses += [(stamp, "sell") for stamp in segment["crosses_down"]]
    trades = [side for stamp, side in sorted(crosses) if stamp.startswith("2024-01-03")]
    trades = trades[trades.index("buy") :]  # before the first one it holds nothing to sell
    counts = report["decisions"]
    assert (counts["buy"], counts["sell"]) == (trades.count("buy"), trades.count("sell"))
    assert db_manager.get_historical_data("AAPL", *span) == before
    assert not settings.current().system_db_path.exists()


@pytest.mark.parametrize(
    ("body", "error", "traceback"),
    [
        ("return 1 / 0", "guest.py line 20: ZeroDivisionError: division by zero", "return 1 / 0"),
        ("import os; os._exit(3)", "Its process died (exit code 3)", ""),
        ("import sys; sys.exit(3)", "It called sys.exit(3)", ""),
        (
            "import ctypes; ctypes.string_at(0)",
            "Its process died (exit code -11)",
            "line 20 in run",
        ),
        (
            "import os; os.closerange(3, 99); [None for _ in iter(int, 1)]",
            "It closed the pipe that its answer goes to",
            "",
        ),
        ("while True: pass", "It took longer than 1 s and was ended", ""),
        ("return ('buy', 1.5)", "Expected a whole number of shares above zero, was 1.5.", ""),
        (
            "x = bytearray(4 * 1024**3)",
            "guest.py line 20: MemoryError: it took all the memory that ALGORITHM_MEMORY_MB allows",
            "bytearray",
        ),
        (
            "system_db_manager.record_buy(algo_id, 1, 1.0)",
            "guest.py line 20: AutoTraderError: An algorithm does not write the ledger: return"
            " ('buy', shares), ('sell', shares) or ('hold', 0), and what was filled is recorded"
            " for it.",
            "record_buy",
        ),
    ],
)
def test_a_failure_is_told_with_its_line(
    folder: Path, body: str, error: str, traceback: str
) -> None:
    report = checked(write(folder, body), "--minutes", "30", code=1)
    [found] = report["errors"]
    assert (found["error"], found["count"]) == (error, 3)  # then the terminal would pause the card
    assert traceback in found["traceback"]
    assert report["bars"]["ended_early"] and report["bars"]["asked"] == 3
    assert report["decisions"] == {"buy": 0, "sell": 0, "hold": 0, "failed": 3}
    assert error in report["problems"][0]


def test_a_failure_now_and_then_ends_nothing(folder: Path) -> None:
    path = write(
        folder, "if current_time[15] == '7': raise ValueError(current_time)\nreturn 'hold', 0"
    )
    report = checked(path, "--minutes", "30", code=1)
    assert report["decisions"] == {"buy": 0, "sell": 0, "hold": 27, "failed": 3}
    [found] = report["errors"]
    assert found["count"] == 3 and found["first"][15] == "7"  # one kind, though its figures differ


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("class Algorithm(:\n", "It cannot be run: line 1: "),
        ("x = 1\n", "It cannot be run: has no class Algorithm"),
        (
            "class Algorithm:\n    parameters = {'n': 5}\n    def run(self, a, b): ...\n",
            "It cannot be run: Parameter n: expected a dict of default, min, max and title.",
        ),
    ],
)
def test_what_the_catalog_refuses_is_not_run(folder: Path, source: str, problem: str) -> None:
    (folder / "guest.py").write_text(source)
    [found] = checked(folder / "guest.py", code=1)["problems"]
    assert found.startswith(problem)


def test_an_import_that_fails(folder: Path) -> None:
    path = write(folder, "return 'hold', 0", before="import no_such_module")
    [problem] = checked(path, code=1)["problems"]
    assert "No module named 'no_such_module'" in problem


def test_refused_decisions_are_counted_by_their_reason(folder: Path) -> None:
    path = write(folder, "return ('buy', 10**6) if current_time[15] in '02468' else ('sell', 5)")
    report = checked(path, "--minutes", "30", code=1)
    assert sorted(each["count"] for each in report["refused"]) == [15, 15]
    assert sorted(each["reason"].split()[1] for each in report["refused"]) == ["1000000", "asked"]


LATER = """later = db_manager.get_data_for_algorithm(
    self.ticker, 'time_range', start=current_time, end='2030-01-01T00:00:00Z')
"""


@pytest.mark.parametrize(
    "body",
    [
        LATER
        + "return ('buy', 1) if later and later[-1]['close'] > later[0]['close'] else ('hold', 0)",
        LATER + "return ('hold', 0, str(len(later)))",  # it only says what it knows
        LATER.replace("data_for_algorithm", "historical_data").replace("'time_range', ", "")
        + "return ('hold', 0, str(len(later)))",
        LATER + "return ('hold', later[0]['close'] and 0)",  # without the future it fails
        "return ('hold', 0, str(db_manager.get_latest_price(self.ticker)))",  # as of now, not then
    ],
)
def test_an_algorithm_that_asks_for_the_future_is_named(folder: Path, body: str) -> None:
    report = checked(write(folder, body), "--minutes", "60", code=1)
    assert len(report["look_ahead"]) > 3
    assert report["unsteady"] == []
    [named] = [text for text in report["problems"] if text.startswith("It looks ahead: at 20")]
    assert report["look_ahead"][0]["minute"] in named
    assert f"when later bars do not exist ({len(report['look_ahead']) - 1} more like it)." in named


def test_a_range_up_to_current_time_is_no_look_ahead(folder: Path) -> None:
    """The bar of the minute in progress has not ended: it is no more there than on the wall."""
    asked = (
        "len(db_manager.get_data_for_algorithm(self.ticker, 'time_range', start=S, end=E))",
        "len(db_manager.get_historical_data(self.ticker, S, E))",
        "len(db_manager.get_bars_arrays(self.ticker, S, E).close)",
        "db_manager.count_bars(self.ticker, S, E)",
    )
    path = write(
        folder,
        f"S, E = '2020-01-02T00:00:00Z', current_time\nreturn ('hold', 0, str([{', '.join(asked)}]))",
    )
    report = checked(path, "--minutes", "30", code=0)
    assert (report["compared_minutes"], report["look_ahead"]) == (20, [])


def test_one_look_into_the_next_bar_is_found(folder: Path) -> None:
    """It trades rarely, and only where the next bar makes it worth while: those minutes are sampled."""
    path = write(
        folder,
        LATER + "worth = len(later) > 1 and later[0]['close'] - later[0]['open'] > 0.08\n"
        "return ('buy', 1) if worth else ('hold', 0)",
    )
    report = checked(path, code=1)
    assert 0 < report["decisions"]["buy"] < 40
    assert all(each["first"][0] == "buy" for each in report["look_ahead"])
    assert all(each["second"][0] == "hold" for each in report["look_ahead"])
    assert report["look_ahead"]


@pytest.mark.parametrize(
    ("body", "before"),
    [
        ("connection = sqlite3.connect(settings.current().stocks_db_path)", "import sqlite3"),
        ("connection = sqlite.connect(settings.current().stocks_db_path)", ""),
        (
            "connection = sqlite3.dbapi2.connect(settings.current().stocks_db_path)",
            "import sqlite3",
        ),
    ],
)
def test_an_algorithm_that_opens_the_database_itself_is_named(
    folder: Path, body: str, before: str
) -> None:
    before += "\nfrom orchestra.base import settings, sqlite"
    rest = "newest = connection.execute('SELECT max(timestamp), close FROM bars').fetchone()\n"
    rest += "connection.close()\nreturn ('hold', 0, str(newest[1]))"
    report = checked(write(folder, f"{body}\n{rest}", before), "--minutes", "30", code=1)
    assert report["databases_opened"] == [{"line": 20, "database": "stocks.db"}]
    assert (
        "Line 20 opens the database stocks.db itself: ask db_manager and system_db_manager."
        in report["problems"]
    )
    assert report["look_ahead"]  # it saw bars of later minutes, too


@pytest.mark.parametrize(
    ("body", "before"),
    [
        ("import random; return ('hold', 0, '') if random.random() < .5 else ('buy', 1)", ""),
        ("seen.append(1); return ('buy', 1) if len(seen) % 2 else ('hold', 0)", "seen = []"),
    ],
)
def test_an_algorithm_that_answers_by_chance_or_memory_is_unsteady(
    folder: Path, body: str, before: str
) -> None:
    report = checked(write(folder, body, before), "--minutes", "60", code=1)
    assert report["unsteady"] and report["problems"]
    assert any("It is not steady" in problem for problem in report["problems"])


def test_a_reason_may_say_what_it_likes(folder: Path) -> None:
    path = write(folder, "import random; return ('hold', 0, str(random.random()))")
    assert checked(path, "--minutes", "30", code=0)["look_ahead"] == []


def test_each_minute_is_asked_as_the_orchestrator_asks(folder: Path) -> None:
    """A new object, two seconds after the minute; the first minute of a session sees the last one's end."""
    last = nyse().minute_number(clock.parse("2024-06-04T13:35:00Z"))
    moments = [nyse().minute_at(number) for number in range(last - 200, last)]
    db_manager.insert_historical_data(
        "AAPL",
        [
            {"timestamp": clock.stamp(m), **dict.fromkeys(("open", "high", "low", "close"), 9.5)}
            | {"volume": 1}
            for m in moments
        ],
    )
    path = write(
        folder,
        "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=1,"
        " before_timestamp=current_time)\n"
        "held = [(t['shares'], t['price'], t['timestamp'])"
        " for t in system_db_manager.get_transactions(algo_id)]\n"
        "if current_time[11:16] in ('13:30', '13:31'):\n"
        "    raise ValueError(f\"{current_time} {bars[0]['timestamp']} {held}\")\n"
        "return ('buy', 10) if current_time[11:16] == '19:59' else ('hold', 0)",
    )
    report = checked(path, "--minutes", "10", code=1)
    assert report["bars"]["source"] == "stored"
    text = report["errors"][0]["error"]
    assert text.endswith(
        "2024-06-04T13:30:02Z 2024-06-03T19:59:00Z [(10, 9.5, '2024-06-03T19:59:02Z')]"
    )
    assert report["decisions"] == {"buy": 1, "sell": 0, "hold": 7, "failed": 2}
    assert moments[-1] + MINUTE == clock.parse("2024-06-04T13:35:00Z")


MARKET_FILTER = """market = db_manager.get_data_for_algorithm('SPY', 'last_n_bars', n=60,
    before_timestamp=current_time)
own = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=60,
    before_timestamp=current_time)
if len(market) < 60:
    return ('hold', 0, 'no market')
if [bar['close'] for bar in market] == [bar['close'] for bar in own]:
    raise ValueError('one walk for all')
return ('hold', 0, market[-1]['timestamp'])
"""


def test_a_second_ticker_is_there_as_well(folder: Path) -> None:
    report = checked(write(folder, MARKET_FILTER), "--minutes", "30", code=0)
    assert (report["bars"]["source"], report["bars"]["other_tickers"]) == ("generated", ["SPY"])
    assert report["decisions"]["hold"] == 30
    later = MARKET_FILTER.replace(
        "before_timestamp=current_time)\nown", "before_timestamp=None)\nown"
    )
    report = checked(write(folder, later), "--minutes", "30", code=1)
    assert report["look_ahead"] and not report["unsteady"]  # SPY's later bars are gone, too
    done = CliRunner().invoke(main, ["check", str(folder / "guest.py"), "AAPL", "--minutes", "5"])
    assert "It also asked for SPY." in done.stdout.splitlines()


def test_a_second_ticker_is_fetched_where_bars_are_real(folder: Path) -> None:
    with running_exchange():
        report = checked(write(folder, MARKET_FILTER), "--minutes", "30", code=0)
        assert (report["bars"]["source"], report["bars"]["other_tickers"]) == ("stored", ["SPY"])
        assert db_manager.newest_bar("SPY") is not None


def test_what_the_exchange_has_is_fetched_first() -> None:
    """With a market clock of its own, which the algorithm's process shares."""
    with running_exchange():
        report = checked("sma_crossover", "--minutes", "90", code=0)
        assert report["bars"]["source"] == "stored"
        # 10:30 in New York, and 30 minutes of the day before
        assert report["bars"]["first"] == "2024-06-03T19:30:00Z"
        assert report["bars"]["last"] == "2024-06-04T14:29:00Z"
        assert report["compared_minutes"] == 20


def test_the_guides_own_example_is_fine(folder: Path) -> None:
    guide = (ROOT / "algorithms" / "README.md").read_text()
    (folder / "my_idea.py").write_text(guide.split("```python\n")[1].partition("```")[0])
    arguments = ("--minutes", "60", "--set", "rise=0.1")
    report = checked(folder / "my_idea.py", *arguments, code=0)
    assert (report["title"], report["parameters"]) == ("My idea", {"rise": 0.1})
    assert report["decisions"] == {"buy": 0, "sell": 0, "hold": 60, "failed": 0}


def test_the_guides_second_example_trades_and_keeps_nothing_overnight(folder: Path) -> None:
    guide = (ROOT / "algorithms" / "README.md").read_text()
    (folder / "my_idea.py").write_text(guide.split("```python\n")[2].partition("```")[0])
    report = checked(folder / "my_idea.py", "--minutes", "390", code=0)
    counted = report["decisions"]
    assert counted["buy"] > 0
    assert 0 <= counted["buy"] - counted["sell"] <= 1


@pytest.mark.parametrize("place", ["..", "."])
def test_a_file_beside_or_above_the_project_s_own_is_as_good_as_any(
    tmp_path: Path, place: str
) -> None:
    project = tmp_path / "autotrader"
    for package in ("algorithms", "database", "orchestra", "system_databse"):
        shutil.copytree(ROOT / package, project / package, ignore=shutil.ignore_patterns("*.db*"))
    (project / place / "idea.py").write_text(
        "import card_calculations\nimport numpy\nimport system_db_manager\n"
        "from database import db_manager\n\n\n"
        "class Algorithm:\n"
        "    def __init__(self, ticker, initial_capital): self.ticker = ticker\n"
        "    def run(self, current_time, algo_id):\n"
        "        db_manager.get_data_for_algorithm(\n"
        "            self.ticker, 'last_n_bars', n=1, before_timestamp=current_time)\n"
        "        held = card_calculations.calculate_position(algo_id)\n"
        "        return ('buy', 1) if numpy.sum([held]) == 0 else ('hold', 0)\n"
    )
    command = [sys.executable, "-m", "orchestra", "check", f"{place}/idea.py", "AAPL", "--json"]
    done = subprocess.run([*command, "--minutes", "3"], cwd=project, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert (report["problems"], report["warnings"]) == ([], [])
    assert report["decisions"] == {"buy": 1, "sell": 0, "hold": 2, "failed": 0}


def test_a_file_that_is_not_there() -> None:
    done = CliRunner().invoke(main, ["check", "nothing", "AAPL"])
    assert done.exit_code == 2
    assert "There is neither a file nothing nor an algorithm nothing.py." in done.stderr
