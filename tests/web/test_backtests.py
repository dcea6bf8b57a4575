"""Backtests over HTTP: a real process for each, one at a time, which gives way to trading."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from database import db_manager
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.base.settings import ROOT
from orchestra.simulator import Exchange
from orchestra.web import backtests
from system_databse import cycle_journal
from tests.conftest import Configure
from tests.exchange_fixture import set_clock
from tests.processes import until
from tests.web import conftest as web
from tests.web.conftest import Api, assert_error, ended, new_api

NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused
BODY = {"ticker": "AAPL", "algorithm_type": "buy_and_hold", "initial_capital": 10_000}
HANGS = """
class Algorithm:
    def __init__(self, ticker, initial_capital): ...
    def run(self, current_time, algo_id):
        while True: pass
"""
NICENESS = os.nice(0)  # of the tests themselves


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has much else to do nothing here takes too long."""
    monkeypatch.setattr(backtests, "NICE", min(NICENESS + 1, 19))
    monkeypatch.setattr(backtests, "LONGEST_SECONDS", 600)
    monkeypatch.setattr(web, "PATIENCE_SECONDS", 600.0)


def store(sessions: int) -> list[str]:
    """Store bars that climb by a cent a minute in the newest sessions before 2024-06-04, 10:30."""
    end = nyse().minute_number(clock.parse("2024-06-04T14:29:00Z")) + 1
    stamps = [clock.stamp(nyse().minute_at(n)) for n in range(end - 390 * sessions - 60, end)]
    db_manager.insert_historical_data(
        "AAPL",
        [
            {
                "timestamp": stamp,
                "open": 100 + n / 100,
                "high": 100 + (n + 1) / 100,
                "low": 100 + n / 100,
                "close": 100 + (n + 1) / 100,
                "volume": 1,
            }
            for n, stamp in enumerate(stamps)
        ],
    )
    return stamps


def asked(api: Api, **changes: object) -> dict[str, Any]:
    response = api.post("/api/backtests", BODY | changes)
    assert response.status_code == 202, response.text
    begun = response.json
    assert begun is not None
    assert (begun["status"], begun["result"], begun["error"]) == ("running", None, None)
    return ended(api, begun["id"])


def test_the_newest_sessions_in_a_few_figures(locked: Api, configure: Configure) -> None:
    """Without the PIN: nothing of it is traded."""
    configure(ALPACA_DATA_URL=NOBODY)
    stamps = store(19)
    found = asked(locked)
    assert (found["status"], found["error"]) == ("done", None)
    result = found["result"]
    assert (result["sessions"], result["start"], result["end"]) == (20, "2024-05-07", "2024-06-04")
    # Bought at the open of the second bar, 100.01; the last close is 174.70
    assert (result["fill"], result["trades"]) == ("open", 1)
    assert result["pnl"] == pytest.approx(99 * 74.69)
    assert result["return"] == pytest.approx(99 * 74.69 / 10_000)
    assert result["max_drawdown"] == 0
    assert result["buy_and_hold"]["return"] == pytest.approx(result["return"])
    points = result["spark"]
    assert 90 <= len(points) <= 100
    assert points[-1] == [stamps[-1], pytest.approx(10_000 + 99 * 74.69)]
    assert result["notes"] == []


def test_history_that_nobody_asked_for_is_fetched(api: Api, exchange: Exchange) -> None:
    found = asked(api, ticker="MSFT")
    assert found["status"] == "done"
    bars = db_manager.count_bars("MSFT", "2024-05-07T00:00:00Z", "2024-06-04T14:30:00Z")
    assert bars == 19 * 390 + 60


def test_a_ticker_without_history_is_a_sentence(locked: Api, configure: Configure) -> None:
    configure(ALPACA_DATA_URL=NOBODY)
    found = asked(locked, ticker="NONE")
    assert (found["status"], found["result"]) == ("failed", None)
    assert found["error"].startswith("There are no bars of NONE from 2024-05-07 to 2024-06-04")


@pytest.fixture
def mine(tmp_path: Path, configure: Configure) -> Callable[[str], None]:
    def write(code: str) -> None:
        path = tmp_path / "mine" / "mine.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # long at rest

    configure(ALGORITHMS_DIR=tmp_path / "mine", ALPACA_DATA_URL=NOBODY)
    return write


def test_what_fails_says_so(mine: Callable[[str], None], locked: Api) -> None:
    mine(HANGS.replace("while True: pass", "return 1 / 0"))
    store(19)
    found = asked(new_api(), algorithm_type="mine")
    assert found["status"] == "failed"
    assert found["error"] == (
        "It failed 3 times in a row: mine.py line 5: ZeroDivisionError: division by zero."
    )
    mine(HANGS.replace("while True: pass", "import os; os._exit(1)"))
    assert asked(new_api(), algorithm_type="mine")["error"].startswith("It ended without an answer")
    mine(HANGS.replace("while True: pass", "return bytearray(4 * 1024**3)"))
    assert "MemoryError" in asked(new_api(), algorithm_type="mine")["error"]
    mine(HANGS.replace("while True: pass", "raise KeyboardInterrupt('late')"))
    assert asked(new_api(), algorithm_type="mine")["error"] == (
        "It failed 3 times in a row: mine.py line 5: KeyboardInterrupt: late."
    )


def test_a_thread_that_it_has_left_keeps_nobody(mine: Callable[[str], None], locked: Api) -> None:
    waits = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    mine(waits + HANGS.replace("while True: pass", "return ('hold', 0)"))
    store(19)
    found = asked(locked, algorithm_type="mine")
    assert (found["status"], found["error"]) == ("done", None)


def test_what_is_gravest_is_said_first(mine: Callable[[str], None], locked: Api) -> None:
    """The dialog has room for one sentence: that it failed in half of its minutes."""
    mine(
        HANGS.replace(
            "while True: pass",
            "if current_time[15] in '02468': raise ValueError(current_time)\n"
            "        return ('buy', 10**6)",
        )
    )
    store(18)
    failed, missing, refused = asked(locked, algorithm_type="mine")["result"]["notes"]
    # Every second minute of 19 sessions and an hour
    assert failed == ("Failed 3,735 times, first: mine.py line 5: ValueError: 2024-05-07T13:32:02Z")
    assert missing.startswith("390 minutes of history are missing and count as without a trade: ")
    assert refused.startswith("Not filled 3,")


def test_what_an_algorithm_says_to_stderr_is_nobodys_to_keep(
    mine: Callable[[str], None], locked: Api
) -> None:
    """The page's server would hold it all in memory."""
    code = "import os, sys; print('x' * 1000, file=sys.stderr); os.write(2, b'raw')"
    mine(HANGS.replace("while True: pass", f"{code}; return ('hold', 0)"))
    store(19)
    request = json.dumps({**BODY, "algorithm_type": "mine", "parameters": {}, "seconds": 600})
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "preview", request],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["result"]["trades"] == 0


def test_what_an_algorithm_starts_ends_with_its_backtest(
    mine: Callable[[str], None], locked: Api
) -> None:
    """It holds the process's output open, and nobody may wait for that."""
    start = "import subprocess\nCHILD = subprocess.Popen(['sleep', '300'])\n"
    mine(start + HANGS.replace("while True: pass", "return ('hold', 0, str(CHILD.pid))"))
    store(19)
    api = new_api()
    assert asked(api, algorithm_type="mine")["status"] == "done"
    mine(start + HANGS)
    again = api.post("/api/backtests", BODY | {"algorithm_type": "mine"})
    assert again.status_code == 202
    cycle_journal.record(clock.now(), 900.0, 1.0)
    assert ended(api, (again.json or {})["id"])["status"] == "stopped"


def test_one_that_is_ended_leaves_no_file(
    mine: Callable[[str], None], locked: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    begun = tmp_path / "begun"
    mine(HANGS.replace("while", f"open({str(begun)!r}, 'w').close()\n        while"))
    store(19)
    api = new_api()
    number = (api.post("/api/backtests", BODY | {"algorithm_type": "mine"}).json or {})["id"]
    until(begun.exists, web.PATIENCE_SECONDS, what="its first run has begun")
    cycle_journal.record(clock.now(), 900.0, 1.0)
    assert ended(api, number)["status"] == "stopped"
    assert list(temporary.iterdir()) == []


def await_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until the cycles of now have been looked at from beginning to end."""
    looks: list[datetime] = []
    look = cycle_journal.lateness

    def counted(first: datetime, last: datetime) -> dict[str, float]:
        looks.append(last)
        return look(first, last)

    with monkeypatch.context() as patch:
        patch.setattr(cycle_journal, "lateness", counted)
        until(lambda: len(looks) > 1, web.PATIENCE_SECONDS, what="the cycles are looked at")


def test_one_at_a_time_and_it_gives_way_to_a_late_cycle(
    mine: Callable[[str], None], locked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine(HANGS)
    store(19)
    api = new_api()
    first = api.post("/api/backtests", BODY | {"algorithm_type": "mine"})
    assert first.status_code == 202
    busy = api.post("/api/backtests", BODY | {"algorithm_type": "mine"})
    assert_error(busy, 429, "busy")
    assert busy.headers["Retry-After"] == "1"
    number = (first.json or {})["id"]
    cycle_journal.record(clock.now() - MINUTE, 9_000.0, 1.0)  # late before it was started
    cycle_journal.record(clock.now(), 100.0, 1.0)  # a usual one
    await_looks(monkeypatch)
    assert api.read(f"/api/backtests/{number}")["status"] == "running"
    cycle_journal.record(clock.now(), 900.0, 1.0)
    found = ended(api, number)
    assert (found["status"], found["result"]) == ("stopped", None)
    assert found["error"] == "Stopped: the trading minute was late, and comes first."
    again = api.post("/api/backtests", BODY | {"algorithm_type": "mine"})
    assert again.status_code == 202
    cycle_journal.record(clock.now(), 900.0, 1.0)
    ended(api, (again.json or {})["id"])


@pytest.mark.parametrize(("begun", "wakes"), [("14:30:01", "14:30"), ("14:30:03", "14:31")])
def test_the_cycle_that_wakes_up_next_is_the_first_it_may_have_made_late(
    mine: Callable[[str], None],
    locked: Api,
    begun: str,
    wakes: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each wakes up two seconds after its minute has begun."""
    mine(HANGS)
    store(19)
    set_clock(f"2024-06-04T{begun}Z")
    api = new_api()
    response = api.post("/api/backtests", BODY | {"algorithm_type": "mine"})
    number = (response.json or {})["id"]
    cycle_journal.record(clock.parse(f"2024-06-04T{wakes}:00Z") - MINUTE, 900.0, 1.0)
    await_looks(monkeypatch)
    assert api.read(f"/api/backtests/{number}")["status"] == "running"
    with clock.held(lambda: clock.parse("2024-06-04T14:31:03Z")):
        cycle_journal.record(clock.parse(f"2024-06-04T{wakes}:00Z"), 900.0, 1.0)
        assert ended(api, number)["status"] == "stopped"


def test_it_gives_way_to_all_else_by_its_priority(mine: Callable[[str], None], locked: Api) -> None:
    mine(HANGS.replace("while True: pass", "import os; raise ValueError(os.nice(0))"))
    store(19)
    error = asked(locked, algorithm_type="mine")["error"]
    assert error.endswith(f"ValueError: {backtests.NICE}.")


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    "patched", [(sys, "executable", "/no/such/python"), (threading.Thread, "start", no_thread)]
)
def test_one_that_could_not_be_begun_stands_in_nobodys_way(
    locked: Api, monkeypatch: pytest.MonkeyPatch, patched: tuple[Any, str, Any]
) -> None:
    store(19)
    with monkeypatch.context() as patch:
        patch.setattr(*patched)
        assert_error(locked.post("/api/backtests", BODY), 500, "internal_error")
    assert locked.read("/api/backtests/1")["status"] == "failed"
    assert asked(locked)["status"] == "done"


def test_what_makes_no_sense_is_refused(locked: Api) -> None:
    for change, status, code in (
        ({"ticker": "1"}, 400, "bad_input"),
        ({"initial_capital": 0}, 400, "bad_input"),
        ({"algorithm_type": "none"}, 404, "no_such_algorithm"),
        ({"parameters": {"invest": 1000}}, 400, "bad_input"),
        ({"parameters": {"nothing": 1}}, 400, "bad_input"),
    ):
        assert_error(locked.post("/api/backtests", BODY | change), status, code)
    assert_error(locked.get("/api/backtests/1"), 404, "not_found")
