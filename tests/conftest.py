"""Every test gets settings, clock and databases of its own, in a temporary folder."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from orchestra import allowance
from orchestra.base import clock, settings, sqlite
from tests.ledger import crash_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
RECORDED_BARS = SHARED / "data" / "bars"

# A shell's background job ignores Ctrl-C, and so would every process a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)
# Those of our commands that are run in this process leave it its priority
allowance.NICE = 0

FIGURES = "figures"  # record_property(FIGURES, text) has it printed at the end of the run

Configure = Callable[..., None]
Record = Callable[[str, object], None]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests measured, and the crash matrix; here, as several processes may have run them."""
    crashes = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, noted in report.user_properties:
                if name == crash_table.PROPERTY:
                    crashes += [crash_table.Found(*each) for each in noted]
                elif name == FIGURES:
                    terminalreporter.section(report.nodeid)
                    terminalreporter.line(noted)
    if crashes:
        terminalreporter.section("crash matrix")
        for line in crash_table.table(crashes):
            terminalreporter.line(line)


def forget_settings() -> None:
    settings.adopt(None)
    clock.reset()


@pytest.fixture(autouse=True)
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Isolate the test from the machine's .env; called, it changes settings: configure(API_PORT=1)."""
    for each in fields(settings.Settings):
        monkeypatch.setenv(each.name.upper(), "")

    def change(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        forget_settings()

    change(
        SYSTEM_DB=tmp_path / "system.db",
        STOCKS_DB=tmp_path / "stocks.db",
        LOG_DIR=tmp_path / "logs",
        BACKUP_DIR=tmp_path / "backups",
        SIMULATOR_DB=tmp_path / "simulator.db",
    )
    yield change
    sqlite.close_kept()
    forget_settings()


@pytest.fixture
def recorded_bars() -> Path:
    """The folder of recorded minutes; the test is skipped where it is absent."""
    if not RECORDED_BARS.is_dir():
        pytest.skip("no recorded bars beside the project (shared/data/bars)")
    return RECORDED_BARS
