"""stocks.db's grid, calendar copy and view, as a program outside would see them with plain SQLite."""

import csv
import logging
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from database import db_manager, schema
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import ForeignContents, StorageLocked
from tests.conftest import SHARED
from tests.database.conftest import bar

ROOT = Path(__file__).resolve().parents[2]


def query(sql: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(settings.current().stocks_db_path)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One initialised database for the tests that only look at it."""
    path = tmp_path_factory.mktemp("grid") / "stocks.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKS_DB", str(path))
        settings.adopt(None)
        db_manager.initialize_database()
    sqlite.close_kept()
    settings.adopt(None)
    return path


def test_the_grid_has_390_minutes_in_every_session(grid: Path) -> None:
    connection = sqlite3.connect(grid)
    per_day = connection.execute(
        "SELECT substr(timestamp, 1, 10), count(*) FROM minutes GROUP BY 1"
    ).fetchall()
    connection.close()
    assert len(per_day) == 3266
    assert {count for _, count in per_day} == {390}
    assert sum(count for _, count in per_day) == 1_273_740


def test_the_grid_runs_from_0930_to_1559_new_york(grid: Path) -> None:
    connection = sqlite3.connect(grid)
    bounds = connection.execute(
        "SELECT min(timestamp), max(timestamp) FROM minutes GROUP BY substr(timestamp, 1, 10)"
    ).fetchall()
    connection.close()
    zone = ZoneInfo("America/New_York")
    walls = {
        tuple(f"{datetime.fromisoformat(stamp).astimezone(zone):%H:%M}" for stamp in day)
        for day in bounds
    }
    assert walls == {("09:30", "15:59")}
    assert ("2024-01-02T14:30:00Z", "2024-01-02T20:59:00Z") in bounds  # winter
    assert ("2024-07-03T13:30:00Z", "2024-07-03T19:59:00Z") in bounds  # summer, and a half day


def test_sessions_equal_the_independent_calendar(grid: Path) -> None:
    path = SHARED / "data" / "xnys_sessions_2018_2030.csv"
    if not path.exists():
        pytest.skip("no independent calendar beside the project (shared/data)")
    with path.open() as file:
        expected = [
            (row["session"], row["open_utc"], row["close_utc"]) for row in csv.DictReader(file)
        ]
    connection = sqlite3.connect(grid)
    assert connection.execute("SELECT * FROM sessions ORDER BY day").fetchall() == expected
    connection.close()


def test_initialising_again_loses_nothing_and_mends_an_incomplete_grid() -> None:
    db_manager.insert_minute_data("NVDA", "2024-01-02T14:30:00Z", 10, 11, 9, 10.5, 100)
    db_manager.initialize_database()
    connection = schema.stocks()
    connection.execute("DELETE FROM minutes WHERE timestamp > '2019'")
    db_manager.initialize_database()
    db_manager.initialize_database()
    assert query("SELECT count(*) FROM minutes") == [(1_273_740,)]
    assert query("SELECT close FROM bars") == [(10.5,)]
    assert query("SELECT first, last FROM coverage") == [
        ("2024-01-02T14:30:00Z", "2024-01-02T14:30:00Z")
    ]


def test_the_first_use_makes_the_tables_by_itself() -> None:
    assert db_manager.get_latest_price("NVDA") is None
    assert query("SELECT count(*) FROM sessions") == [(3266,)]


def test_a_ticker_gets_its_columns_in_the_view() -> None:
    db_manager.initialize_database()
    db_manager.add_ticker_if_missing("NVDA")
    db_manager.add_ticker_if_missing("BRK.B")
    db_manager.add_ticker_if_missing("NVDA")
    db_manager.insert_minute_data("BRK.B", "2024-01-02T14:30:00Z", 360.0, 361.0, 359.5, 360.5, 70)
    connection = sqlite3.connect(settings.current().stocks_db_path)
    cursor = connection.execute(
        "SELECT * FROM market_data WHERE timestamp = '2024-01-02T14:30:00Z'"
    )
    assert [column[0] for column in cursor.description] == [
        "timestamp",
        *(f"NVDA_{name}" for name in ("open", "high", "low", "close", "volume")),
        *(f"BRK.B_{name}" for name in ("open", "high", "low", "close", "volume")),
    ]
    assert cursor.fetchall() == [
        ("2024-01-02T14:30:00Z", None, None, None, None, None, 360.0, 361.0, 359.5, 360.5, 70)
    ]
    assert connection.execute('SELECT count("BRK.B_close") FROM market_data').fetchone() == (1,)
    connection.close()


def tickers(count: int) -> list[str]:
    return [f"T{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(count)]


def test_the_400th_ticker_leaves_the_view_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = tickers(402)
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, names[:398])
    db_manager.add_ticker_if_missing(names[398])
    columns = connection.execute("SELECT * FROM market_data LIMIT 0").description
    assert len(columns) == 1996
    assert columns[-1][0] == f"{names[398]}_volume"
    assert caplog.messages == []
    for name in names[399:]:
        db_manager.insert_historical_data(name, [bar("2024-01-02T14:30:00Z", 77.0)])
    assert connection.execute("SELECT * FROM market_data LIMIT 0").description == columns
    assert len(caplog.messages) == 1
    assert "399" in caplog.messages[0]
    assert db_manager.get_latest_price(names[401]) == 77.0
    assert query("SELECT count(*) FROM tickers") == [(402,)]


def test_a_database_of_another_version_is_refused() -> None:
    connection = schema.stocks()
    connection.execute("UPDATE contents SET value = '9' WHERE key = 'schema_version'")
    sqlite.close_kept()
    with pytest.raises(ForeignContents, match="schema 9"):
        db_manager.get_latest_price("NVDA")


def test_a_source_is_taken_once() -> None:
    assert db_manager.recorded_source() is None
    db_manager.claim_source("iex")
    db_manager.claim_source("iex")
    assert db_manager.recorded_source() == "iex"
    with pytest.raises(ForeignContents, match=r"'iex'.*'sip'.*STOCKS_DB"):
        db_manager.claim_source("sip")
    assert db_manager.recorded_source() == "iex"


def test_readers_never_wait_for_the_writer() -> None:
    db_manager.insert_minute_data("NVDA", "2024-01-02T14:30:00Z", 10, 11, 9, 10.5, 100)
    writer = sqlite3.connect(settings.current().stocks_db_path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("UPDATE bars SET close = 11")
    schema.stocks().execute("PRAGMA busy_timeout = 0")  # who has to wait fails at once
    with pytest.raises(StorageLocked, match=r"holds .* locked"):
        db_manager.insert_minute_data("NVDA", "2024-01-02T14:31:00Z", 10, 11, 9, 10.5, 100)
    day = ("2024-01-02T14:30:00Z", "2024-01-02T20:59:00Z")
    assert db_manager.get_latest_price("NVDA") == 10.5
    assert len(db_manager.get_historical_data("NVDA", *day)) == 1
    assert db_manager.get_bars_arrays("NVDA", *day).close.tolist() == [10.5]
    assert db_manager.check_data_exists("NVDA", day[0], day[0]) == []
    writer.execute("COMMIT")
    writer.close()
    assert db_manager.get_latest_price("NVDA") == 11


def test_a_replaced_file_is_noticed() -> None:
    db_manager.insert_minute_data("NVDA", "2024-01-02T14:30:00Z", 10, 11, 9, 10.5, 100)
    path = settings.current().stocks_db_path
    for file in path.parent.glob("stocks.db*"):
        file.unlink()
    assert db_manager.get_latest_price("NVDA") is None
    db_manager.insert_minute_data("NVDA", "2024-01-02T14:31:00Z", 10, 11, 9, 10.6, 100)
    assert db_manager.get_latest_price("NVDA") == 10.6
    assert query("SELECT ticker FROM tickers") == [("NVDA",)]


def test_smoke_runs_from_anywhere_and_prints_what_is_there(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "database" / "smoke.py")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    db_manager.insert_minute_data("NVDA", "2024-01-02T14:30:00Z", 10, 11, 9, 10.5, 100)
    again = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True)
    assert "1,273,740 minutes" in again.stdout
    assert "3,266 sessions" in again.stdout
    assert "NVDA" in again.stdout


def test_killed_while_it_fills_the_grid_it_starts_afresh(tmp_path: Path) -> None:
    path = settings.current().stocks_db_path
    log = path.with_name("stocks.db-wal")
    process = subprocess.Popen([sys.executable, str(ROOT / "database" / "smoke.py")], cwd=tmp_path)
    while process.poll() is None and not (log.exists() and log.stat().st_size > 1_000_000):
        clock.pause(0.002)
    process.kill()
    process.wait()
    assert query("SELECT count(*) FROM minutes") == [(0,)]
    db_manager.initialize_database()
    assert query("SELECT count(*) FROM minutes") == [(1_273_740,)]
    assert query("PRAGMA integrity_check") == [("ok",)]
