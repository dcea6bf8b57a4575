"""The ledger and the market data are their owner's alone, whatever the umask."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from database import db_manager
from orchestra.base import settings, sqlite
from system_databse import create_system_db, system_db_manager

READABLE = 0o022  # the usual umask: others may read what is made


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(READABLE)
    yield
    os.umask(before)


def modes(path: Path) -> dict[str, int]:
    """Of a database and of what SQLite keeps beside it."""
    return {
        each.name.removeprefix(path.name): each.stat().st_mode & 0o777
        for each in path.parent.glob(f"{path.name}*")
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return create_system_db.create_database(tmp_path / "a ledger.db")


def test_new_databases_are_private_with_all_that_belongs_to_them() -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    db_manager.insert_minute_data("NVDA", "2024-06-04T14:20:00Z", 100.0, 101.0, 99.0, 100.5, 10)
    for path in (settings.current().system_db_path, settings.current().stocks_db_path):
        assert modes(path) == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


def test_a_ledger_that_others_could_read_is_closed_at_the_next_start(ledger: Path) -> None:
    ledger.chmod(0o644)
    create_system_db.create_database(ledger)
    assert set(modes(ledger).values()) == {0o600}


def test_a_folder_that_is_missing_is_said_as_ever(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite.connect(tmp_path / "nowhere" / "a.db")
