"""What the service manager's first unit leaves for the others."""

import os
from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.prepare import prepare
from system_databse import heartbeats, system_db_manager
from tests.conftest import Configure


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "START",
        "SPEED",
        "STEADY_ANCHOR",
        "SKIP_CLOSED",
    ):  # prepare() sets them for its process
        monkeypatch.setenv(f"MARKET_CLOCK_{name}", "")
    found = tmp_path / "run"
    found.mkdir()
    return found


def told(folder: Path) -> dict[str, str]:
    lines = (folder / "clock.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_new_demo_begins_with_cards_on_a_clock_that_all_share(folder: Path) -> None:
    before = clock.elapsed()
    prepare(folder)
    shared = told(folder)
    assert shared["MARKET_CLOCK_START"] == "2024-06-03T13:25:00Z"
    assert (shared["MARKET_CLOCK_SPEED"], shared["MARKET_CLOCK_SKIP_CLOSED"]) == ("60", "True")
    assert before <= float(shared["MARKET_CLOCK_STEADY_ANCHOR"]) <= clock.elapsed()
    assert (folder / "simulated").exists()
    cards = system_db_manager.get_all_algorithms()
    assert [card["ticker"] for card in cards] == ["NVDA", "AAPL", "SPY"]
    assert cards[0]["created_at"].startswith("2024-06-03T13:2")


def test_a_demo_goes_on_where_its_trader_stopped(folder: Path, configure: Configure) -> None:
    prepare(folder)
    configure(
        MARKET_CLOCK_START="2024-07-09T15:00:00Z",
        MARKET_CLOCK_SPEED=1e-6,
        MARKET_CLOCK_STEADY_ANCHOR="",
    )
    heartbeats.beat({"orchestrator": ("ok", "")})
    configure(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="", MARKET_CLOCK_STEADY_ANCHOR="")
    again = folder / "again"
    again.mkdir()
    prepare(again)
    assert told(again)["MARKET_CLOCK_START"] == "2024-07-09T15:00:00Z"
    assert len(system_db_manager.get_all_algorithms()) == 3


def put_on_path(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the system, in the place of the one that may not be here."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "activating",
            ("down", "The trader waits for the clock to be set, two minutes at most."),
        ),
        ("active", ("degraded", "The trader is starting.")),
    ],
)
def test_a_trader_that_will_be_silent_is_announced_with_the_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: object
) -> None:
    asked = tmp_path / "asked"
    script = f'echo "$@" >{asked}; echo {said}'
    put_on_path(tmp_path, "systemctl", script, monkeypatch)
    prepare(folder)
    start = heartbeats.heartbeats()[heartbeats.START]
    assert (start.status, start.message) == expected
    assert asked.read_text().split() == [
        *("show", "--property=ActiveState", "--value", "systemd-time-wait-sync.service")
    ]
    assert heartbeats.newest_market_time() is None  # nobody has traded yet


def test_with_keys_there_is_no_demo_and_the_clock_is_the_machines(
    folder: Path, configure: Configure
) -> None:
    configure(ALPACA_API_KEY="K", ALPACA_SECRET="S")
    prepare(folder)
    assert told(folder) == {}
    assert not (folder / "simulated").exists()
    assert system_db_manager.get_all_algorithms() == []
