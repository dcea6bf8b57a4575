"""Fifty requests at once while the trader runs: every one is answered, and the minute is kept."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from orchestra.base.settings import ROOT
from system_databse import system_db_manager
from tests.conftest import FIGURES, Record
from tests.processes import Terminal, running_terminal

TICKERS = ("AAPL", "MSFT", "NVDA", "AMZN")
NAP_SECONDS = 0.05


def newest_cycle() -> str:
    row = system_db_manager.ledger().execute("SELECT MAX(minute) FROM cycles").fetchone()
    return row[0] or ""


def lateness(after: str, until: str) -> list[float]:
    rows = system_db_manager.ledger().execute(
        "SELECT late_ms FROM cycles WHERE minute > ? AND minute <= ?", (after, until)
    )
    return [row["late_ms"] for row in rows]


def skipped(after: str, until: str, ran: list[float]) -> int:
    """How many of the session's minutes had no cycle."""
    return (clock.parse(until) - clock.parse(after)) // MINUTE - len(ran)


def bare_lateness(seconds: float) -> list[float]:
    """How late this machine wakes a thread that only waits, in milliseconds, meanwhile."""
    found, until = [], clock.elapsed() + seconds
    while clock.elapsed() < until:
        due = clock.elapsed() + NAP_SECONDS
        clock.pause(NAP_SECONDS)
        found.append((clock.elapsed() - due) * 1000)
    return found


def load(terminal: Terminal, seconds: float) -> "subprocess.Popen[str]":
    port = terminal.api_url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.attacks.fifty", port, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_fifty_at_once_are_answered_and_no_minute_is_late_for_it(
    tmp_path: Path, seconds: int, record_property: Record
) -> None:
    for ticker in TICKERS:
        system_db_manager.create_algorithm(ticker, "lot_by_lot", 20_000)
    with running_terminal(tmp_path, ("exchange", "api", "orchestrator")) as terminal:
        terminal.wait_for(newest_cycle, 60, "the first cycle")
        begin = newest_cycle()
        quiet_bare = statistics.median(bare_lateness(seconds))
        middle = newest_cycle()
        clients = load(terminal, seconds)
        loaded_bare = statistics.median(bare_lateness(seconds))
        answers = json.loads(clients.communicate(timeout=120)[0])
        end = newest_cycle()
        said = terminal.log("api") + terminal.log("orchestrator")
    quiet, loaded = lateness(begin, middle), lateness(middle, end)
    record_property(
        FIGURES,
        f"{seconds} s: {answers}; lateness ms, p50 and max, quiet {statistics.median(quiet):.1f}"
        f" {max(quiet):.1f}, loaded {statistics.median(loaded):.1f} {max(loaded):.1f};"
        f" bare wait p50 {quiet_bare:.1f}, {loaded_bare:.1f}",
    )
    assert answers["200"] > 50
    assert set(answers) <= {"200", "closed"}, answers
    assert "database is locked" not in said and "Traceback" not in said
    assert skipped(middle, end, loaded) <= skipped(begin, middle, quiet) + 1
    # A wait of the trader's may be as late as any wait on this machine is, and somewhat more
    floor = max(statistics.median(quiet), loaded_bare, 1.0)
    assert statistics.median(loaded) <= 10 * floor
