"""Once a night, while the market is closed, in a process of its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestra import nightly
from orchestra.base import clock, settings, sqlite
from system_databse import backups, heartbeats, system_db_manager
from tests.conftest import Configure
from tests.processes import running_terminal, until


def backed_up_at(moment: datetime) -> None:
    heartbeats.beat({"backups": ("ok", "")})
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        # The age is taken from the machine's clock, which cannot be told the time
        shifted = moment + (clock.machine_now() - NOW)
        connection.execute("UPDATE heartbeats SET machine_time = ?", (shifted.isoformat(),))


NOW = datetime(2024, 6, 5, 3, 0, tzinfo=UTC)  # the night from Tuesday to Wednesday, after 23:00


@pytest.mark.parametrize(
    ("newest", "due"),
    [
        (datetime(2024, 6, 4, 23, 1, tzinfo=UTC), False),  # tonight's
        (datetime(2024, 6, 5, 2, 59, tzinfo=UTC), False),
        (datetime(2024, 6, 4, 22, 59, tzinfo=UTC), True),  # before tonight
        (datetime(2024, 6, 1, 12, 0, tzinfo=UTC), True),
        (datetime(2030, 1, 1, tzinfo=UTC), True),  # its clock was wrong
    ],
)
def test_it_is_due_once_a_night(newest: datetime, due: bool) -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    backed_up_at(newest)
    assert nightly.is_due(NOW) is due


def test_before_23_oclock_the_night_before_counts() -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    backed_up_at(NOW - timedelta(hours=4, minutes=30))  # Tuesday 22:30
    with_newer_night = nightly.is_due(NOW)
    assert with_newer_night
    assert not nightly.is_due(NOW - timedelta(hours=4, minutes=15))  # Tuesday 22:45


def test_a_ledger_without_cards_has_nothing_to_lose() -> None:
    assert not nightly.is_due(NOW)
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    assert nightly.is_due(NOW)
    heartbeats.amend("backups", "degraded", "The first try failed.")
    assert nightly.is_due(NOW)  # a try that failed is no backup


def test_a_timer_tries_again_where_the_second_copy_is_lacking() -> None:
    assert not nightly.is_wanting()
    heartbeats.beat({"backups": ("ok", "")})
    assert not nightly.is_wanting()
    heartbeats.amend("backups", "degraded", "BACKUP_SECOND_DIR is not there.")
    assert nightly.is_wanting()


def test_it_is_made_and_a_failure_is_told_and_waited_on(
    tmp_path: Path, configure: Configure
) -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    (tmp_path / "file").write_text("")
    configure(BACKUP_DIR=tmp_path / "file")
    failing = nightly.NightlyBackup()
    failing.follow()
    until(lambda: failing.follow() or "backups" in heartbeats.heartbeats())
    assert "BACKUP_DIR" in heartbeats.heartbeats()["backups"].message
    until(lambda: failing.follow() or failing._process is None)
    failing.follow()
    assert failing._process is None  # not again at once
    configure(BACKUP_DIR=tmp_path / "backups")
    working = nightly.NightlyBackup()
    working.follow()
    until(lambda: working.follow() or heartbeats.heartbeats()["backups"].status == "ok")
    until(lambda: working.follow() or working._process is None)
    working.follow()
    assert working._process is None
    [taken] = backups.listed(settings.current().backup_dir)
    assert taken.ledger == "system"


def test_the_running_terminal_backs_itself_up_after_the_close(tmp_path: Path) -> None:
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    with running_terminal(tmp_path, MARKET_CLOCK_START="2024-06-04T19:55:00Z") as terminal:
        folder = settings.current().backup_dir
        [taken] = terminal.wait_for(lambda: folder.exists() and backups.listed(folder))
        told = {"status": "ok", "message": f"{taken.path.name} is verified."}
        terminal.wait_for(
            lambda: terminal.get("/api/health")["parts"]["backups"].items() >= told.items()
        )
        assert "Tonight's backup begins" in terminal.log()
        terminal.stop("orchestrator")
