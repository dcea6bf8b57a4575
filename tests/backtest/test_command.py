"""The command as an author runs it: its object, table, files and picture, and what ends it early."""

import csv
import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from database import db_manager
from orchestra.backtest.fills import FillRule
from orchestra.backtest.result import backtest
from orchestra.base import clock, settings
from orchestra.base.market_calendar import nyse
from orchestra.base.settings import ROOT
from orchestra.subject import Subject
from tests.backtest.conftest import (
    DAY,
    ENTRY,
    Write,
    answered,
    command,
    in_memory,
    minutes,
    row,
    under_way,
)
from tests.conftest import Configure
from tests.exchange_fixture import running_exchange

BASICS = {"return", "max_drawdown", "trades", "win_rate", "exposure", "buy_and_hold"}
RESEARCH = {"cagr", "volatility", "sharpe", "sortino", "calmar", "alpha", "beta", "turnover"}
needs_research = pytest.mark.skipif(
    find_spec("empyrical") is None or find_spec("matplotlib") is None,
    reason="the research requirements are not installed",
)


def store(closes: list[float], last: str = "2024-06-04T19:59:00Z", ticker: str = "AAPL") -> None:
    """Store bars of these closes, each opening where the one before closed; the newest at ``last``."""
    end = nyse().minute_number(clock.parse(last)) + 1
    openings = [closes[0], *closes]
    db_manager.insert_historical_data(
        ticker,
        [
            {
                "timestamp": clock.stamp(nyse().minute_at(end - len(closes) + n)),
                "open": opening,
                "high": max(opening, close),
                "low": min(opening, close),
                "close": close,
                "volume": 10,
            }
            for n, (opening, close) in enumerate(zip(openings, closes, strict=False))
        ],
    )


def climb(count: int) -> list[float]:
    return [100 + n / 4 for n in range(count)]


ONE_DAY = ("--start", DAY, "--end", DAY)
ONCE = "due = current_time[11:16] == '13:40'\nreturn ('buy', 3, 'now') if due else ('hold', 0)"


def test_the_object(write: Write) -> None:
    store(climb(390))
    found = answered(write(ONCE), "AAPL", *ONE_DAY, "--capital", 1000, "--no-research")
    measures, took = found.pop("measures"), found.pop("took")
    assert took["run_seconds"] > 0 and took["seconds"] > 0
    assert found == {
        "ticker": "AAPL",
        "algorithm": "guest",
        "parameters": {},
        "start": "2024-06-04",
        "end": "2024-06-04",
        "capital": 1000.0,
        "fill": "close",
        "slippage_bps": 0.0,
        "warmup": 0,
        "bars": 390,
        "trades": [
            {
                "bar": "2024-06-04T13:39:00Z",
                "timestamp": "2024-06-04T13:40:02Z",
                "type": "buy",
                "shares": 3,
                "price": 102.25,
            }
        ],
        "end_cash": 693.25,
        "end_shares": 3,
        "last_close": 197.25,
        "end_equity": 1285.0,
        "pnl": 285.0,
        "asked": 390,
        "stopped": "",
        "notes": [],
    }
    assert measures.keys() == BASICS
    assert measures["return"] == pytest.approx(0.285)
    assert (measures["trades"], measures["exposure"]) == (1, 380 / 390)
    kept = measures["buy_and_hold"]
    assert kept["return"] == pytest.approx(10 * 97.25 / 1000)
    assert (kept["max_drawdown"], kept["trades"]) == (0.0, 1)


def test_filled_at_the_next_open_and_worse(write: Write) -> None:
    store(climb(390))
    path = write("return ('buy', 1) if current_time[11:16] == '13:40' else ('hold', 0)")
    more = ("--fill", "open", "--slippage-bps", "10")
    [trade] = answered(path, "AAPL", *ONE_DAY, *more)["trades"]
    assert (trade["price"], trade["timestamp"]) == (102.3523, "2024-06-04T13:40:02Z")
    told = command(path, "AAPL", *ONE_DAY, *more).stdout
    assert "filled at the next bar's open, 10 bps worse." in told


def test_nothing_before_the_start_is_read_unless_it_is_asked_for(write: Write) -> None:
    store(climb(500))
    path = write(
        "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=1000)\n"
        "ranged = db_manager.get_data_for_algorithm(self.ticker, 'time_range',"
        " start='2018-01-02T00:00:00Z', end=current_time)\n"
        "return ('buy', len(bars)) if current_time[11:16] == '13:31' and bars == ranged"
        " else ('hold', 0)"
    )
    bars = [
        answered(path, "AAPL", *ONE_DAY, "--capital", 1e6, *more)["trades"][0]["shares"]
        for more in ((), ("--warmup", 7), ("--warmup", 1000))
    ]
    assert bars == [1, 8, 111]
    assert answered(path, "AAPL", *ONE_DAY, "--warmup", 7, "--capital", 1e6)["bars"] == 390


def test_the_table_and_the_files(write: Write, tmp_path: Path) -> None:
    store(climb(390))
    told = command(write(ONCE), "AAPL", *ONE_DAY, "--csv", tmp_path / "out").stdout
    assert told.startswith(
        "guest on AAPL, 1 session 2024-06-04 to 2024-06-04, $10,000.00, filled at the last close."
    )
    assert "return                     +2.85 %        +97.25 %" in told
    assert "In the end $10,285.00: $9,693.25 and 3 shares at 197.25; P&L +$285.00." in told
    with (tmp_path / "out" / "trades.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["bar", "timestamp", "type", "shares", "price"],
            ["2024-06-04T13:39:00Z", "2024-06-04T13:40:02Z", "buy", "3", "102.25"],
        ]
    with (tmp_path / "out" / "equity.csv").open() as file:
        points = list(csv.reader(file))
    assert points[0] == ["timestamp", "equity", "buy_and_hold"]
    assert len(points) == 391
    assert points[-1] == ["2024-06-04T19:59:00Z", "10285.000000", "19725.000000"]


@needs_research
def test_measures_of_the_trade_and_a_picture(tmp_path: Path) -> None:
    store(climb(3 * 390))
    picture = tmp_path / "equity.png"
    arguments = ("buy_and_hold", "AAPL", "--end", DAY, "--plot", picture)
    measures = answered(*arguments, "--start", "2024-05-31")["measures"]
    assert measures.keys() == BASICS | RESEARCH
    assert measures["buy_and_hold"].keys() == BASICS - {"buy_and_hold"} | RESEARCH - {"turnover"}
    # Three sessions: (1 + r) ** (252 / 3) - 1, and it is its own yardstick
    assert measures["cagr"] == pytest.approx((1 + measures["return"]) ** 84 - 1)
    assert (measures["beta"], measures["alpha"]) == (pytest.approx(1), pytest.approx(0))
    assert measures["sharpe"] > 0 and measures["max_drawdown"] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


@needs_research
def test_measures_of_a_run_that_ended_early_are_those_of_its_days(write: Write) -> None:
    """Of three sessions it goes through two: the figures of a year do not count the third one."""
    store(climb(3 * 390))
    path = write(
        "if current_time > '2024-06-03T14': raise ValueError('enough')\n"
        "return ('buy', 1) if current_time[:16] == '2024-05-31T14:00' else ('hold', 0)"
    )
    found = [
        answered(path, "AAPL", "--start", "2024-05-31", "--end", end, code=1)
        for end in ("2024-06-03", DAY)
    ]
    assert found[0]["bars"] == found[1]["bars"]
    assert found[0]["measures"] == found[1]["measures"]
    assert found[0]["measures"]["turnover"] > 0


def test_a_file_that_cannot_be_written_costs_no_answer(write: Write, tmp_path: Path) -> None:
    store(climb(390))
    (tmp_path / "out").touch()  # no folder
    done = command(write(ONCE), "AAPL", *ONE_DAY, "--csv", tmp_path / "out" / "x", "--json", code=1)
    assert json.loads(done.stdout)["pnl"] == 285.0
    assert f"{tmp_path / 'out' / 'x'} cannot be written: Not a directory." in done.stderr


@needs_research
def test_the_measures_load_nothing_of_scipy() -> None:
    """It is 60 MB; what an algorithm imports afterwards is the real one."""
    script = (
        "import sys; from orchestra.backtest import research; research._empyrical();"
        " print([name for name in sys.modules if name.startswith('scipy')]);"
        " import scipy.stats; print(scipy.stats.skew([1, 2, 3]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "0.0"], done.stderr


def test_by_default_the_newest_sessions_up_to_now(configure: Any) -> None:
    with running_exchange():  # 10:30 in New York on a Tuesday
        found = answered("buy_and_hold", "AAPL")
    assert (found["start"], found["end"]) == ("2024-05-07", "2024-06-04")
    assert found["asked"] == found["bars"] == 19 * 390 + 60
    assert found["notes"] == []


def test_what_is_missing_is_fetched_first() -> None:
    """Bars that the simulated exchange serves, for a ticker nobody knew here; with its warm-up."""
    with running_exchange():
        arguments = ("--start", "2024-05-30", "--end", "2024-05-31", "--warmup", 5)
        found = answered("buy_and_hold", "MSFT", *arguments)
        stored = db_manager.get_historical_data(
            "MSFT", "2024-05-30T00:00:00Z", "2024-05-31T23:00:00Z"
        )
    assert (found["bars"], len(stored), found["warmup"]) == (780, 780, 5)
    assert found["trades"][0]["price"] == stored[0]["close"]
    assert found["last_close"] == stored[-1]["close"]


def test_what_cannot_be_fetched_is_said(write: Write) -> None:
    store(climb(100))
    found = answered(write("return ('hold', 0)"), "AAPL", *ONE_DAY)
    assert (found["bars"], found["asked"]) == (100, 390)
    [note] = found["notes"]
    assert note.startswith("290 minutes of history are missing and count as without a trade: ")
    store(climb(389))
    path = write("return ('buy', 10**6) if current_time[11:16] == '14:00' else ('hold', 0)")
    missing, refused = answered(path, "AAPL", *ONE_DAY)["notes"]
    assert missing.startswith("1 minute of history is missing and counts as without a trade: ")
    assert refused.startswith("Not filled 1 time: refused: 1000000 cost ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing", "AAPL"), "There is neither a file nothing nor an algorithm nothing.py."),
        (("buy_and_hold", "aapl"), "Expected a ticker like NVDA or BRK.B, found 'aapl'."),
        (("buy_and_hold", "AAPL", *ONE_DAY), "There are no bars of AAPL from 2024-06-04"),
        (
            ("buy_and_hold", "AAPL", "--start", "2024-06-08", "--end", "2024-06-09"),
            "There is no session from 2024-06-08 to 2024-06-09.",
        ),
        (("sma_crossover", "AAPL", "--set", "short=1"), "expected a whole number from 2 to 200"),
        (("sma_crossover", "AAPL", "--set", "medium=1"), "no parameter 'medium'"),
        (("buy_and_hold", "AAPL", "--capital", "nan"), "Expected a number, found nan."),
        (("buy_and_hold", "AAPL", "--capital", "inf"), "inf is not in the range 0<x<="),
        (("buy_and_hold", "AAPL", "--slippage-bps", "inf"), "inf is not in the range 0<=x<=10000."),
        (("sma_crossover", "AAPL", "--set", "short"), "Expected NAME=NUMBER, found 'short'."),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = command(*arguments, code=2)
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""


def test_a_file_that_does_not_parse(write: Write) -> None:
    done = command(write("return ("), "AAPL", code=2)
    assert "guest.py cannot be run: line " in done.stderr


def test_a_file_that_cannot_be_imported(write: Write) -> None:
    store(climb(390))
    done = command(write("return 1", "import no_such_module\n"), "AAPL", *ONE_DAY, code=1)
    assert "guest.py line 5: ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


def test_three_failures_in_a_row_end_it_as_they_pause_a_card(write: Write) -> None:
    store(climb(390))
    path = write("if current_time[15] in '789': raise ValueError(current_time)\nreturn ('buy', 1)")
    found = answered(path, "AAPL", *ONE_DAY, code=1)
    assert len(found["trades"]) == 6  # 13:31 to 13:36
    assert (found["asked"], found["bars"]) == (9, 9)
    why = "failed 3 times in a row: guest.py line 10: ValueError: 2024-06-04T13:39:02Z"
    assert found["stopped"] == why
    assert found["notes"][0] == f"It {why}, after bar 2024-06-04T13:38:00Z."


def test_a_failure_now_and_then_ends_nothing(write: Write) -> None:
    store(climb(390))
    path = write("import sys\nif current_time[15] == '7': sys.exit(3)\nreturn ('buy', 10**6)")
    found = answered(path, "AAPL", *ONE_DAY)
    assert (found["stopped"], found["asked"]) == ("", 390)
    assert "Failed 39 times: It called sys.exit(3)" in found["notes"]
    assert any(note.startswith("Not filled 351 times, first: refused: ") for note in found["notes"])


def test_stdout_is_one_object_whatever_the_file_prints(write: Write) -> None:
    store(climb(390))
    path = write(
        "import os; print('from python'); os.write(1, b'raw'); os.system('echo shell')\n"
        "return ('hold', 0)"
    )
    done = subprocess.run(
        [*ENTRY, str(path), "AAPL", "--json", *map(str, ONE_DAY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["asked"] == 390
    assert not settings.current().system_db_path.exists()


def test_fills_that_are_none_at_an_open_are_counted(write: Write) -> None:
    """Bars in every second minute only, and none after the last one."""
    rows = [row(stamp, 100 + n, 90 + n) for n, stamp in enumerate(minutes(DAY, 390))]
    found = in_memory(rows[:10] + rows[10::2], DAY)
    path = write(
        "return ('buy', 1) if current_time[11:16] in '13:35 13:41 13:42 20:00' else ('hold', 0)"
    )
    subject = Subject(path, "AAPL", 10_000.0, {})
    result = backtest(subject, found, FillRule("open"))
    assert [each.price for each in result.run.trades] == [95.0, 110.0, 102.0]
    assert result.notes == [
        "1 of 3 trades were filled at the last close instead: there is no bar of their minute."
    ]
    assert backtest(subject, found, FillRule("close")).notes == []


@pytest.mark.parametrize(
    ("before", "read", "named"),
    [
        ("from datetime import datetime, timezone", "datetime.now(timezone.utc)", "datetime.now"),
        ("import datetime as dt", "dt.datetime.utcnow()", "datetime.utcnow"),
        ("from datetime import datetime as dt", "dt.now()", "dt.now"),
        ("import time", "time.time()", "time.time"),
        ("import pandas as pd", "pd.Timestamp.now()", "Timestamp.now"),
    ],
)
def test_an_algorithm_that_reads_the_machines_clock_is_told_where(
    write: Write, before: str, read: str, named: str
) -> None:
    store(climb(390))
    path = write(f"now = {read}\nreturn ('hold', 0)", f"{before}\n")
    sentence = (
        f"It reads this machine's clock: line 11 ({named}). In a backtest that is today, whatever the"
        " minute it is asked in: take current_time instead."
    )
    assert answered(path, "AAPL", *ONE_DAY)["notes"] == [sentence]


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("import time", "clock.now(), time.localtime(0), datetime.fromisoformat(current_time)"),
        ("", "time = datetime.fromisoformat(current_time)\nopened = time.time()"),
        ("", "self.time = datetime.fromisoformat(current_time)\nopened = self.time.time()"),
    ],
)
def test_the_markets_clock_and_a_given_time_are_not_the_machines(
    write: Write, before: str, body: str
) -> None:
    store(climb(390))
    imports = "from datetime import datetime\nfrom orchestra.base import clock\n"
    path = write(f"{body}\nreturn ('hold', 0)", f"{before}\n{imports}")
    assert answered(path, "AAPL", *ONE_DAY)["notes"] == []


@pytest.mark.parametrize("edit", ["write_text('def half(')", "unlink(missing_ok=True)"])
def test_what_its_author_does_to_the_file_meanwhile_costs_no_answer(
    write: Write, edit: str
) -> None:
    store(climb(390))
    path = write(
        f"pathlib.Path(__file__).{edit}\ndatetime.now()\nreturn ('hold', 0)",
        "import pathlib\nfrom datetime import datetime\n",
    )
    found = answered(path, "AAPL", *ONE_DAY)
    assert found["asked"] == 390
    [note] = found["notes"]
    assert note.startswith("It reads this machine's clock: line 13 (datetime.now).")


WAITING = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"


@pytest.mark.parametrize("code", [0, 1])
def test_a_thread_that_an_algorithm_has_left_keeps_nobody(write: Write, code: int) -> None:
    store(climb(390))
    path = write("return ('hold', 0)" if code == 0 else "raise ValueError", WAITING)
    done = subprocess.run(
        [*ENTRY, str(path), "AAPL", "--json", *map(str, ONE_DAY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["asked"] == (390 if code == 0 else 3)


@pytest.mark.parametrize(
    ("before", "code", "asked", "sentence"),
    [
        ("import no_such_module", 1, None, "Error: guest.py line 7: ModuleNotFoundError: "),
        ("", 1, 390, "guest.py/there cannot be written: Not a directory."),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
            *(2, None, "Usage: python -m orchestra backtest [OPTIONS] ALGORITHM TICKER\nTry "),
        ),
    ],
)
def test_nor_does_it_where_the_command_ends_with_an_error(
    write: Write, before: str, code: int, asked: int | None, sentence: str
) -> None:
    store(climb(390))
    path = write("return ('hold', 0)", f"{WAITING}{before}\n")
    done = subprocess.run(
        [*ENTRY, str(path), "AAPL", "--json", *map(str, ONE_DAY), "--csv", str(path / "there")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert (json.loads(done.stdout)["asked"] if done.stdout else None) == asked


WAITS = """
import os, pathlib
here = pathlib.Path({folder!r})
if current_time[11:16] == '14:00':
    (here / 'there').touch()
    while not (here / 'go').exists(): {nap}
return ('buy', 1) if current_time[11:16] < '14:00' else ('hold', 0)
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_ctrl_c_keeps_what_was_done(
    write: Write, tmp_path: Path, hangs: bool, configure: Configure
) -> None:
    """Once: it ends after the minute it is in. Twice: also where that one never comes back."""
    configure(ALGORITHM_DEADLINE_SECONDS=600)
    store(climb(390))
    path = write(WAITS.format(folder=str(tmp_path), nap="pass").strip())
    with under_way(tmp_path / "there", path, "AAPL", "--json", *ONE_DAY) as process:
        process.send_signal(signal.SIGINT)
        if hangs:
            clock.pause(0.5)  # two of one kind that are pending at once are one
            process.send_signal(signal.SIGINT)
        else:
            clock.pause(0.2)
            (tmp_path / "go").touch()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = json.loads(output)
    assert found["stopped"] == "interrupted"
    assert len(found["trades"]) == 29
    assert found["asked"] == found["bars"] == 30
    assert found["notes"] == ["It was interrupted, after bar 2024-06-04T13:59:00Z."]


def test_the_last_minute_of_a_session_is_asked_about_at_the_next_open(write: Write) -> None:
    store(climb(780))
    path = write(
        "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=1,"
        " before_timestamp=current_time)\n"
        "last = bars[0]['timestamp'][11:16] == '19:59'\n"
        "return ('buy', 1) if last else ('hold', 0)"
    )
    trades = answered(path, "AAPL", "--start", "2024-06-03", "--end", DAY)["trades"]
    assert [(t["bar"], t["timestamp"]) for t in trades] == [
        ("2024-06-03T19:59:00Z", "2024-06-04T13:30:02Z"),
        ("2024-06-04T19:59:00Z", "2024-06-05T13:30:02Z"),
    ]


@needs_research
def test_a_trade_before_the_first_bar_of_the_picture_stands_at_its_beginning(write: Write) -> None:
    """It is decided on a bar of the warm-up: in the session's first minutes nobody traded."""
    from matplotlib.figure import Figure

    from orchestra.backtest import plot

    rows = [row(stamp, 100 + n) for n, stamp in enumerate(minutes(DAY, 60))]
    found = in_memory(rows[:2] + rows[10:], DAY, warmup=2)
    path = write("return ('buy', 1) if current_time[11:16] == '13:33' else ('hold', 0)")
    result = backtest(Subject(path, "AAPL", 10_000.0, {}), found, FillRule())
    axes = Figure().subplots()
    plot._draw_worth(axes, result)
    buys, _ = axes.collections
    assert [list(point) for point in buys.get_offsets()] == [[0, 10_009.0]]
