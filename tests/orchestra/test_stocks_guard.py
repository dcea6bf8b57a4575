"""A stocks.db that is damaged, gone or exchanged makes way for a new one; the ledger is never touched."""

from pathlib import Path

import pytest

from database import db_manager
from orchestra.base import settings, sqlite
from orchestra.stocks_guard import StocksGuard
from system_databse import create_system_db, heartbeats, system_db_manager
from tests.exchange_fixture import set_clock

OLD = b"\xa5" * 4096
PAGES = 60  # of 4096 bytes: the schema and the first of the grid's


@pytest.fixture
def stocks(configure: object) -> Path:
    set_clock("2024-06-04T14:30:00Z")
    create_system_db.create_database()
    return settings.current().stocks_db_path


def begun(stocks: Path) -> StocksGuard:
    """A terminal that has run before, with one bar."""
    guard = StocksGuard()
    guard.open()
    db_manager.insert_minute_data("NVDA", "2024-06-04T14:00:00Z", 10, 11, 9, 10, 1)
    heartbeats.beat({"orchestrator": ("ok", "")})
    assert guard.health == ("ok", "") and events() == []
    sqlite.close_kept()
    return guard


def damage(stocks: Path) -> None:
    with stocks.open("r+b") as file:
        file.seek(4096)
        file.write(OLD * PAGES)


def events() -> list[tuple[str, str]]:
    rows = system_db_manager.ledger().execute("SELECT kind, message FROM events ORDER BY id")
    return [tuple(row) for row in rows]


def aside(stocks: Path, beside: str = "Z") -> list[str]:
    return sorted(path.name for path in stocks.parent.glob(f"stocks.db.corrupt-*{beside}"))


def assert_new(stocks: Path) -> None:
    assert db_manager.newest_bar("NVDA") is None
    count = sqlite.kept(stocks).execute("SELECT count(*) FROM minutes").fetchone()[0]
    assert count == 1_273_740


@pytest.mark.parametrize("how", ["pages", "header", "cut"])
def test_a_damaged_file_is_moved_aside_at_start_and_the_owner_is_told(
    stocks: Path, how: str
) -> None:
    begun(stocks)
    if how == "pages":
        damage(stocks)
    elif how == "header":
        stocks.write_bytes(b"no database at all, not even nearly" * 1000)
    else:
        with stocks.open("r+b") as file:
            file.truncate(1_000_000)
    was, ledger = stocks.read_bytes(), settings.current().system_db_path
    account = system_db_manager.get_config("ledger")
    guard = StocksGuard()
    guard.open()
    [name] = aside(stocks)
    assert (stocks.parent / name).read_bytes() == was
    assert_new(stocks)
    assert guard.health[0] == "degraded" and name in guard.health[1]
    assert [kind for kind, message in events() if name in message] == ["stocks"]
    assert system_db_manager.get_config("ledger") == account
    assert not list(ledger.parent.glob("system.db.corrupt*"))


def test_what_sqlite_keeps_beside_the_file_goes_with_it(stocks: Path) -> None:
    begun(stocks)
    db_manager.insert_minute_data("NVDA", "2024-06-04T14:01:00Z", 10, 11, 9, 10, 1)  # in the log
    assert Path(f"{stocks}-wal").stat().st_size > 0
    damage(stocks)
    guard = StocksGuard()
    guard.replace()
    assert [len(aside(stocks, beside)) for beside in ("Z", "-wal", "-shm")] == [1, 1, 1]
    assert_new(stocks)


def test_a_missing_file_is_told_only_to_a_terminal_that_has_run_before(stocks: Path) -> None:
    begun(stocks)
    stocks.unlink()
    guard = StocksGuard()
    guard.open()
    assert_new(stocks)
    assert [kind for kind, _ in events()] == ["stocks"]
    assert events()[0][1].startswith("stocks.db was missing: a new one was made.")
    assert aside(stocks) == []


def test_a_file_that_vanishes_while_in_use_is_made_again(stocks: Path) -> None:
    guard = begun(stocks)
    assert guard.follow() is False
    stocks.unlink()
    assert guard.follow() is True
    assert guard.follow() is False
    assert_new(stocks)
    assert "taken away while in use" in events()[0][1]


def test_damage_found_while_running_is_mended_and_a_whole_file_stays(stocks: Path) -> None:
    guard = begun(stocks)
    assert guard.examine() is False
    assert db_manager.newest_bar("NVDA") is not None
    sqlite.close_kept()
    damage(stocks)
    assert guard.examine() is True
    assert guard.follow() is False  # it knows the new one
    assert_new(stocks)
    assert len(aside(stocks)) == 1
