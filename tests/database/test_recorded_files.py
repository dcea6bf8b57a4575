"""Recorded files into stocks.db, by function and by ``python -m orchestra fetch``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from database import db_manager
from database.recorded_files import Summary, load_csv_folder
from orchestra.__main__ import main
from orchestra.base.errors import BadInput, ForeignContents
from tests.conftest import Configure
from tests.database.conftest import NOBODY
from tests.exchange_fixture import running_exchange

HEADER = "timestamp,open,high,low,close,volume"
GOOD = ["2024-01-02T14:30:00Z,10,11,9,10.5,1200", "2024-01-02T14:32:00Z,10.5,11,10,10.25,70"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recorded"


def write(folder: Path, name: str, lines: list[str], header: str = HEADER) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


def test_a_folder_is_stored_and_its_sessions_are_covered(folder: Path) -> None:
    write(folder, "NVDA/2024-01-02.csv", [*GOOD, "2024-01-02T21:00:00Z,10,10,10,10,5"])
    write(folder, "NVDA/2024-07-03.csv", ["2024-07-03T16:59:00Z,20,20,20,20,0"])
    write(folder, "SPY/2011-03-01.csv", ["2011-03-01T14:30:00Z,1,1,1,1,1"])  # before the calendar
    write(folder, "licenses/2024-01-02.csv", ["not,bars"])
    write(folder, "NVDA/notes.csv", ["not,bars"])
    summary = load_csv_folder(folder)
    assert summary == Summary(
        ["NVDA", "SPY"], sessions=2, bars=3, empty_minutes=390 + 210 - 3, left_out=1
    )
    assert db_manager.recorded_source() == "csv"
    found = db_manager.get_historical_data("NVDA", "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z")
    assert [(bar["timestamp"], bar["close"], bar["volume"]) for bar in found] == [
        ("2024-01-02T14:30:00Z", 10.5, 1200),
        ("2024-01-02T14:32:00Z", 10.25, 70),
        ("2024-07-03T16:59:00Z", 20.0, 0),
    ]
    assert db_manager.check_data_exists("NVDA", "2024-01-02T14:29:00Z", "2024-01-03T14:30:00Z") == [
        ("2024-01-03T14:30:00Z", "2024-01-03T14:30:00Z")
    ]
    assert load_csv_folder(folder) == summary
    assert db_manager.count_bars("NVDA", "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z") == 3


@pytest.mark.parametrize(
    ("lines", "teaches"),
    [
        (["2024-01-02T14:31:00Z,10,11,9,ten,5"], r"line 4: Expected close as a number"),
        (["2024-01-02T14:31:00Z,10,11,9,nan,5"], "line 4: Expected close as a finite number"),
        (["2024-01-02T14:31:00Z,10,11,9,-1,5"], "line 4: Expected close above 0"),
        (["2024-01-02T14:31:00Z,10,9,11,10,5"], "line 4: high 9.0 is not the highest"),
        (["2024-01-02T14:31:30Z,10,11,9,10,5"], "line 4: .*full minute"),
        (["2024-01-02 14:31,10,11,9,10,5"], "line 4: .*2024-06-04T14:30:00Z"),
        (["2024-01-03T14:31:00Z,10,11,9,10,5"], "line 4: .*not on the file's day 2024-01-02"),
        (["2024-01-02T14:31:00Z,10,11,9,10"], "line 4: Expected 6 values"),
        (["2024-01-02T14:31:00Z,10,11,9,10,5,6"], "line 4: Expected 6 values"),
    ],
)
def test_a_bad_row_names_file_and_line_and_nothing_of_its_file_is_kept(
    folder: Path, lines: list[str], teaches: str
) -> None:
    write(folder, "AAPL/2024-01-02.csv", GOOD)
    write(folder, "NVDA/2024-01-02.csv", [*GOOD, *lines])
    with pytest.raises(BadInput, match=rf"NVDA/2024-01-02\.csv, {teaches}"):
        load_csv_folder(folder)
    day = ("2024-01-02T14:30:00Z", "2024-01-02T20:59:00Z")
    assert db_manager.get_historical_data("NVDA", *day) == []
    assert db_manager.check_data_exists("NVDA", *day) == [day]
    assert len(db_manager.get_historical_data("AAPL", *day)) == 2


def test_other_columns_and_empty_folders_are_refused(folder: Path) -> None:
    write(folder, "NVDA/2024-01-02.csv", GOOD, header="time,open,high,low,close,volume")
    with pytest.raises(BadInput, match="line 1: Expected the columns timestamp,open"):
        load_csv_folder(folder)
    (folder / "NVDA/2024-01-02.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="line 1"):
        load_csv_folder(folder)
    (folder / "NVDA/2024-01-02.csv").unlink()
    with pytest.raises(BadInput, match=r"no file TICKER/YYYY-MM-DD\.csv"):
        load_csv_folder(folder)


def test_files_do_not_mix_with_another_source(folder: Path) -> None:
    db_manager.claim_source("iex")
    write(folder, "NVDA/2024-01-02.csv", GOOD)
    with pytest.raises(ForeignContents, match=r"'iex'.*'csv'"):
        load_csv_folder(folder)
    assert db_manager.get_latest_price("NVDA") is None


def test_the_recorded_sessions_are_all_there(recorded_bars: Path) -> None:
    summary = load_csv_folder(recorded_bars)
    assert (summary.sessions, summary.bars, summary.left_out) == (109, 41_034, 23)
    thin = ("2019-02-11T14:30:00Z", "2019-02-15T20:59:00Z")
    assert db_manager.count_bars("PPLT", *thin) == 566
    assert db_manager.check_data_exists("PPLT", *thin) == []


def test_the_command_loads_files_and_prints_one_object(folder: Path, tmp_path: Path) -> None:
    write(folder, "NVDA/2024-01-02.csv", GOOD)
    command = [sys.executable, "-m", "orchestra", "fetch", "--csv", str(folder), "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "tickers": ["NVDA"],
        "sessions": 1,
        "bars": 2,
        "empty_minutes": 388,
        "left_out": 0,
    }
    again = CliRunner().invoke(main, ["fetch", "--csv", str(folder)])
    assert "2 bars of NVDA in 1 sessions; 388 minutes had no trade." in again.stdout


def test_the_command_fetches_what_is_missing() -> None:
    with running_exchange():
        days = ["--start", "2024-05-31", "--end", "2024-06-03"]
        first = CliRunner().invoke(main, ["fetch", "AAPL", "PPLT", *days, "--json"])
        assert first.exit_code == 0, first.output
        aapl, pplt = json.loads(first.stdout)["tickers"]
        assert aapl == {
            "ticker": "AAPL",
            "sessions": 2,
            "fetched": 780,
            "bars": 780,
            "empty_minutes": 0,
            "missing_minutes": 0,
        }
        assert 150 < pplt["bars"] < 320 and pplt["empty_minutes"] == 780 - pplt["bars"]
        second = CliRunner().invoke(main, ["fetch", "AAPL", *days])
        assert "AAPL: 0 bars fetched; 780 bars in 2 sessions" in second.stdout


@pytest.mark.parametrize(
    ("arguments", "teaches"),
    [
        ([], "Name tickers, or a folder"),
        (["aapl"], "like NVDA or BRK.B"),
        (["AAPL", "--csv", "."], "Name tickers, or a folder"),
        (["AAPL", "--start", "2024-05-03", "--end", "2024-05-01"], "later than end"),
        (["AAPL", "--start", "2024-05-01", "--end", "2024-05-03"], "cannot be reached"),
    ],
)
def test_the_command_says_what_is_wrong(
    configure: Configure, arguments: list[str], teaches: str
) -> None:
    configure(ALPACA_DATA_URL=NOBODY)
    done = CliRunner().invoke(main, ["fetch", *arguments])
    assert done.exit_code != 0
    assert teaches in done.output
    assert "Traceback" not in done.output
