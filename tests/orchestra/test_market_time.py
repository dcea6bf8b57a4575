"""A command at the keyboard looks at the market as of the terminal's own time, not the machine's."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from database import contents
from orchestra.__main__ import main
from orchestra.base import clock, sqlite
from orchestra.base.settings import ROOT
from system_databse import heartbeats
from tests.conftest import Configure

STOPPED_AT = "2024-07-09T15:00:00Z"
MARKET_CLOCK = ("START", "SPEED", "STEADY_ANCHOR", "SKIP_CLOSED")


@pytest.fixture
def demo(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated terminal whose trader was last heard of at ``STOPPED_AT``."""
    for name in MARKET_CLOCK:  # the command sets them for its process
        monkeypatch.setenv(f"MARKET_CLOCK_{name}", "")
    configure(MARKET_CLOCK_START=STOPPED_AT, MARKET_CLOCK_SPEED=1e-6)
    heartbeats.beat({"orchestrator": ("ok", "")})
    configure(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="")


def test_the_newest_session_is_the_market_s(demo: None) -> None:
    told = CliRunner().invoke(main, ["report", "--json"])
    assert json.loads(told.output)["day"] == "2024-07-09"
    assert timedelta() <= clock.now() - clock.parse(STOPPED_AT) < timedelta(minutes=1)
    tomorrow = CliRunner().invoke(main, ["replay", "2024-07-10"])
    assert "no session on 2024-07-10" in tomorrow.output


def test_recorded_files_have_no_clock_of_their_own(demo: None) -> None:
    contents.claim_source("csv")
    CliRunner().invoke(main, ["report"])
    assert clock.is_the_machines()


@pytest.mark.parametrize("has_keys", [True, False])
def test_elsewhere_it_is_the_machine_s(configure: Configure, has_keys: bool) -> None:
    if has_keys:
        configure(ALPACA_API_KEY="K", ALPACA_SECRET="S")
        heartbeats.beat({"orchestrator": ("ok", "")})
    CliRunner().invoke(main, ["report"])
    assert clock.is_the_machines()


def test_a_damaged_ledger_is_one_sentence(demo: None, tmp_path: Path) -> None:
    sqlite.close_kept()
    for path in tmp_path.glob("system.db-*"):
        path.unlink()
    (tmp_path / "system.db").write_bytes(b"no database " * 1000)
    told = subprocess.run(
        [sys.executable, "-m", "orchestra", "report"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.returncode == 1
    assert told.stderr.startswith("A database cannot be read (file is not a database)")
    assert told.stderr.count("\n") == 1
