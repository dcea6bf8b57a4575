"""The real server under schemathesis: it answers whatever it is sent as its own description says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from database import db_manager
from system_databse import card_states, decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import OPEN_MARKET, STANDING_STILL
from tests.processes import Terminal, running_terminal

CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()")
STILL = {"MARKET_CLOCK_START": OPEN_MARKET, "MARKET_CLOCK_SPEED": STANDING_STILL}
PATIENCE_SECONDS = 900


def add_a_lived_in_card(terminal: Terminal, capital: float) -> int:
    """A card with bars, trades and decisions, so that no list of it is empty."""
    number = int(terminal.add_card("AAPL", capital=capital)["id"])
    for minute in range(3):
        stamp = f"2024-06-04T14:2{minute}:00Z"
        db_manager.insert_minute_data("AAPL", stamp, 100.0, 101.0, 99.0, 100.5, 10)
        asked = JournalledDecision(number, stamp, None, "hold", 0, "no cross", "bar", 1.5)
        decision_journal.record([asked])
    system_db_manager.record_buy(number, 3, 100.25)
    system_db_manager.record_sell(number, 1, 101)
    return number


def attack(terminal: Terminal, folder: Path, examples: int, seed: int) -> None:
    terminal.wait_for(lambda: terminal.call("GET", "/api/account/cash").ok, what="cash is known")
    for capital in (1000, 2000, 3000):
        card_states.set_state(add_a_lived_in_card(terminal, capital), "paused", "a reason")
    what = ["run", f"{terminal.api_url}/api/openapi.json"]
    pin = ["--header", f"Authorization: Bearer {terminal.token()}"]
    chosen = ["--max-examples", str(examples), "--seed", str(seed), "--no-color", "--no-shrink"]
    done = subprocess.run(
        [*COMMAND, "--config-file", str(CONFIG), *what, *pin, *chosen],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stateful" in done.stdout and "passed" in done.stdout
    assert "Traceback" not in terminal.log("api")


def test_whatever_is_sent_is_answered_as_described(tmp_path: Path) -> None:
    with running_terminal(tmp_path, ("exchange", "api"), **STILL) as terminal:
        attack(terminal, tmp_path, examples=3, seed=20240604)


@pytest.mark.long
def test_much_more_of_the_same(tmp_path: Path) -> None:
    with running_terminal(tmp_path, ("exchange", "api"), **STILL) as terminal:
        attack(terminal, tmp_path, examples=200, seed=7)
