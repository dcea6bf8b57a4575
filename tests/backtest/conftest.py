"""What the backtest tests share: algorithms of their own, bars in memory or in stocks.db, the command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from database import historical_pull, smart_fetch
from database.bars import Row
from orchestra.__main__ import main
from orchestra.backtest import history
from orchestra.backtest.engine import Decided, Run
from orchestra.backtest.fills import FillRule
from orchestra.backtest.history import History
from orchestra.backtest.play import Past, Wishes, play
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.base.settings import ROOT
from orchestra.subject import Subject
from tests.conftest import Configure
from tests.processes import until

ENTRY = (sys.executable, "-m", "orchestra", "backtest")
NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused
DAY = date(2024, 6, 4)
HEADER = "import card_calculations\nimport system_db_manager\nfrom database import db_manager\n\n"
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def exchange_out_of_reach(configure: Configure) -> None:
    configure(ALPACA_DATA_URL=NOBODY)
    smart_fetch._Exchange.reachable = True
    historical_pull._labels.clear()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an algorithm's file from the body of its ``run``, with a whole ``parameter`` if one is named."""

    def written(body: str, before: str = "", name: str = "guest", parameter: str = "") -> Path:
        declared = f"    parameters = {{'{parameter}': {{'default': 1, 'min': 0, 'max': 99}}}}"
        lines = [
            HEADER + before,
            "class Algorithm:",
            *([declared] if parameter else []),
            "    def __init__(self, ticker, initial_capital):",
            "        self.ticker, self.initial_capital = ticker, initial_capital",
            "    def run(self, current_time, algo_id):",
            *(f"        {line}" for line in body.splitlines()),
            "",
        ]
        path = tmp_path / "mine" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines))
        os.utime(path, (1_700_000_000, 1_700_000_000))  # long at rest
        return path

    return written


def shelf(name: str) -> Path:
    return ROOT / "algorithms" / f"{name}.py"


def row(stamp: str, close: float, opening: float | None = None) -> Row:
    opening = close if opening is None else opening
    return (stamp, opening, max(opening, close) + 1, min(opening, close) - 0.5, close, 100)


def minutes(day: date, count: int) -> list[str]:
    """The stamps of a session's first minutes."""
    session = nyse().session_on(day)
    assert session is not None
    return [clock.stamp(session.open + n * MINUTE) for n in range(count)]


def in_memory(rows: list[Row], *days: date, warmup: int = 0) -> History:
    """A history of these rows over the sessions of ``days``, without any database."""
    sessions = [session for day in days if (session := nyse().session_on(day))]
    past = Past(rows, rows[0][0] if rows else clock.stamp(sessions[0].open), lambda ticker: [])
    return History(sessions, rows, warmup, past, clock.stamp(sessions[-1].close - MINUTE))


def played(
    path: Path, found: History, fill: str = "close", capital: float = 10_000.0, **chosen: float
) -> tuple[Run, list[Decided]]:
    """Run a file over a history; every decision it made."""
    journal: list[Decided] = []
    wishes = Wishes(fill=FillRule(fill), journal=journal)
    subject = Subject(path, "AAPL", capital, chosen)
    run = play(subject, found.past, lambda: history.askings(found), wishes)
    return run, journal


def command(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["backtest", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


@contextmanager
def under_way(there: Path, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, from the moment its algorithm has made the file ``there``."""
    with subprocess.Popen(
        [*ENTRY, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(lambda: there.exists() or process.poll() is not None, what="it is under way")
            assert process.poll() is None
            yield process
        finally:
            process.kill()


def answered(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The object that --json prints, and nothing but it."""
    found = json.loads(command(*arguments, "--json", code=code).stdout)
    assert isinstance(found, dict)
    return found
