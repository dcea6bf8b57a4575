"""What happens to the real processes when a database breaks or is locked, and when the disk is full."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from database import db_manager
from orchestra.base import clock, settings, sqlite
from orchestra.base.settings import ROOT
from system_databse import daily_reports, system_db_manager
from tests.exchange_fixture import change, running_exchange
from tests.processes import BUYER, running_terminal, until
from tests.small_disk import resize, small_disk

DAYS = ("--start", "2024-05-01", "--end", "2024-05-31")
SESSIONS, MINUTES = 22, 8_580  # of May 2024: 22 full sessions


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 4 MB; ``resize`` makes it larger."""
    with small_disk(tmp_path / "disk", megabytes=4) as folder:
        yield folder


def fetch(*tickers: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "fetch", *tickers, *DAYS, "--json"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_fetch_ends_in_one_sentence_on_a_full_disk_and_its_rerun_completes(
    disk: Path,
) -> None:
    with running_exchange(STOCKS_DB=disk / "stocks.db") as _:
        status, _, said = fetch("NVDA")
        assert status == 1  # the grid of minutes alone does not fit
        assert said.startswith("Error: The disk is full:") and len(said.splitlines()) == 1
        resize(disk, 128)
        db_manager.initialize_database()
        sqlite.close_kept()
        left = os.statvfs(disk)
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * (left.f_bavail * left.f_bsize - 900_000))
        status, _, said = fetch("NVDA", "AAPL", "MSFT")
        assert status == 1 and "The disk is full:" in said and "Traceback" not in said
        ballast.unlink()
        status, shown, said = fetch("NVDA", "AAPL", "MSFT")
        assert status == 0, said
        for each in json.loads(shown)["tickers"]:
            assert each["sessions"] == SESSIONS and each["missing_minutes"] == 0
            assert each["bars"] + each["empty_minutes"] == MINUTES
        assert sqlite.is_sound(sqlite.kept(settings.current().stocks_db_path))


def test_a_terminal_on_a_full_disk_waits_says_so_and_goes_on(disk: Path, tmp_path: Path) -> None:
    stocks = disk / "stocks.db"
    with running_terminal(tmp_path, ("exchange", "api"), STOCKS_DB=stocks) as terminal:
        change(STOCKS_DB=stocks)
        part = _unready(terminal)
        terminal.wait_for(lambda: "Trading waits. The disk is full" in part.log, what="said so")
        assert part.process.poll() is None
        assert "Traceback" not in part.log
        resize(disk, 128)
        terminal.wait_for(lambda: "cycle started" in part.log or "closed" in part.log)
        number = terminal.add_card("NVDA")["id"]
        terminal.wait_for(lambda: _decided(terminal, number), what="a decision")
        _fill(disk)
        terminal.wait_for(lambda: _disk_part(terminal) == "down", what="the banner's part")
        terminal.wait_for(lambda: _told_of("disk"), what="the event")
        _free(disk)
        terminal.wait_for(lambda: _told_of("disk")[-1].startswith("The disk was full from "))
        over = _told_of("disk")[-1].split(" to ")[1][:16]
        terminal.wait_for(lambda: _decided(terminal, number)[:16] > over, what="a later decision")
        assert _disk_part(terminal) == "degraded"  # 128 MB less the grid are few
        assert part.process.poll() is None
        reasons = _reasons(terminal, number)
        full = [minute for minute, reason in reasons.items() if reason.endswith("disk was full")]
        # The minute in which there was room again is asked
        assert full and max(full)[:16] < over
        assert (
            len(reasons) == _minutes_between(min(reasons), max(reasons)) + 1
        )  # none is unexplained


def test_a_session_at_whose_end_the_disk_is_full_is_closed_once_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    resize(disk, 128)
    with running_terminal(
        tmp_path,
        MARKET_CLOCK_START="2024-06-04T19:50:00Z",
        MARKET_CLOCK_SPEED=20,
        MARKET_CLOCK_SKIP_CLOSED=False,
        SYSTEM_DB=disk / "system.db",
        STOCKS_DB=disk / "stocks.db",
    ) as terminal:
        number = terminal.add_card("NVDA")["id"]
        last = "SELECT 1 FROM cycles WHERE minute = '2024-06-04T19:59:00Z'"
        ledger = system_db_manager.ledger()
        terminal.wait_for(lambda: ledger.execute(last).fetchone(), what="the last minute")
        _fill(disk)
        assert clock.now() < clock.parse("2024-06-04T20:00:00Z")  # the end alone meets it
        terminal.wait_for(lambda: clock.now() > clock.parse("2024-06-04T20:01:30Z"))
        assert _disk_part(terminal) == "down"
        assert daily_reports.days(1) == []
        _free(disk)
        terminal.wait_for(lambda: daily_reports.days(1) == ["2024-06-04"], what="the report")
        reasons = _reasons(terminal, number)
        assert len(reasons) == _minutes_between(min(reasons), "2024-06-04T19:59:00Z") + 1
        terminal.stop("orchestrator")


def test_a_ledger_another_program_holds_locked_is_waited_for_and_the_minutes_are_told(
    tmp_path: Path,
) -> None:
    with running_terminal(tmp_path) as terminal:
        number = terminal.add_card("NVDA")["id"]
        terminal.wait_for(lambda: _decided(terminal, number), what="a decision")
        trader = terminal.orchestrator.pid
        with closing(sqlite.connect(settings.current().system_db_path)) as owner:
            owner.execute("BEGIN IMMEDIATE")
            answer = terminal.call("POST", "/api/validate-pin", {"pin": "2020"})
            assert (answer.status_code, answer.json()["code"]) == (503, "database_locked")
            terminal.wait_for(lambda: "holds" in terminal.log(), what="it says so")
            clock.pause(2 * sqlite.BUSY_TIMEOUT_SECONDS)  # what it says it may not write either
            assert terminal.orchestrator.poll() is None
            owner.execute("ROLLBACK")
        terminal.wait_for(lambda: _told_of("locked"), what="the event")
        [message] = _told_of("locked")
        assert message.startswith("Another program held the database locked from ")
        over = message.split(" to ")[1][:16]
        terminal.wait_for(lambda: _decided(terminal, number)[:16] > over, what="a later decision")
        assert terminal.orchestrator.pid == trader and "Traceback" not in terminal.log()
        reasons = _reasons(terminal, number)
        assert "skipped: another program held the database locked" in reasons.values()
        assert len(reasons) == _minutes_between(min(reasons), max(reasons)) + 1


def test_a_ledger_that_breaks_while_running_ends_the_trader_with_one_sentence(
    tmp_path: Path,
) -> None:
    """Here where only the threads that send orders meet it: algorithms are asked as ever."""
    algorithms = tmp_path / "algorithms"
    algorithms.mkdir()
    (algorithms / "buyer.py").write_text(BUYER)
    with running_terminal(tmp_path, ALGORITHMS_DIR=algorithms) as terminal:
        terminal.add_card("NVDA", "buyer")
        held = "SELECT COUNT(*) FROM transactions"
        path = settings.current().system_db_path
        with closing(sqlite.connect(path)) as owner:
            terminal.wait_for(lambda: owner.execute(held).fetchone()[0] >= 2, what="two buys")
            size = owner.execute("PRAGMA page_size").fetchone()[0]
            root = "SELECT rootpage FROM sqlite_master WHERE name = 'orders'"
            page = owner.execute(root).fetchone()[0]
            owner.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with path.open("r+b") as file:
                file.seek((page - 1) * size)
                file.write(b"\xff" * size)
        terminal.wait_for(lambda: terminal.orchestrator.poll() == 1, what="it ends")
        assert terminal.log().splitlines()[-1].startswith(f"The ledger {path} is damaged: stop the")
        status, said = terminal.attempt("orchestrator")
        assert status == 1 and "run python -m orchestra restore" in said


def _told_of(kind: str) -> list[str]:
    """The messages of this kind's events, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT message FROM events WHERE kind = ? ORDER BY id", (kind,)
    )
    return [row["message"] for row in rows]


def _reasons(terminal: Any, number: int) -> dict[str, str]:
    """The reason on record for each minute of a card."""
    items = terminal.get(f"/api/algorithms/{number}/decisions?limit=500")["items"]
    return {each["minute"]: each["reason"] for each in items}


def _minutes_between(first: str, last: str) -> int:
    return int(
        (datetime.fromisoformat(last) - datetime.fromisoformat(first)) / timedelta(minutes=1)
    )


def _unready(terminal: Any) -> Any:
    from tests.processes import Part

    part = Part("orchestrator", terminal._folder)
    terminal._parts["orchestrator"] = part
    return part


def _decided(terminal: Any, number: int) -> str:
    items = terminal.get(f"/api/algorithms/{number}/decisions")["items"]
    return str(items[0]["minute"]) if items else ""


def _disk_part(terminal: Any) -> str:
    return str(terminal.get("/api/health")["parts"].get("disk", {}).get("status"))


def _fill(folder: Path) -> None:
    """Leave no room, not even inside SQLite's files."""
    with (folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 65_536):
            pass


def _free(folder: Path) -> None:
    (folder / "ballast").unlink()


def test_a_stocks_db_that_breaks_while_running_is_replaced_and_filled_again(
    tmp_path: Path,
) -> None:
    with running_terminal(tmp_path) as terminal:
        number = terminal.add_card("NVDA")["id"]
        terminal.wait_for(lambda: len(_decided(terminal, number)) > 0, what="a decision")
        ledger = system_db_manager.get_config("ledger")
        stocks = settings.current().stocks_db_path
        for damaged in (stocks, Path(f"{stocks}-wal")):  # what is in use may be in either
            with damaged.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(4096)
                file.write(b"\xa5" * (size - 4096))
        found = terminal.wait_for(
            lambda: [path.name for path in stocks.parent.glob("stocks.db.corrupt-*Z")],
            what="moved aside",
        )
        before = _decided(terminal, number)
        terminal.wait_for(lambda: _decided(terminal, number) > before, what="a decision after it")
        held = ("NVDA", "2024-05-01T00:00:00Z", "2024-06-04T23:00:00Z")
        terminal.wait_for(lambda: db_manager.count_bars(*held) >= 200, what="history again")
        messages = system_db_manager.ledger().execute("SELECT message FROM events").fetchall()
        assert [row[0] for row in messages if found[0] in row[0]]
        told = terminal.get("/api/health")["parts"]["databases"]
        assert told["status"] == "degraded" and found[0] in told["message"]
        assert terminal.card(number)["status"] == "running"
        assert system_db_manager.get_config("ledger") == ledger
        assert not list(stocks.parent.glob("system.db.corrupt*"))
        terminal.stop("orchestrator")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_fetch_that_is_ended_half_way_goes_on_where_it_was(number: int) -> None:
    held = ("NVDA", "2023-06-01T00:00:00Z", "2024-05-31T23:59:00Z")
    command = [sys.executable, "-m", "orchestra", "fetch", "NVDA", "--json"]
    command += ["--start", "2023-06-01", "--end", "2024-05-31"]
    with running_exchange() as exchange:
        db_manager.initialize_database()
        exchange.faults.add({"name": "delay", "seconds": 0.3, "path": "/v2/stocks"})
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: db_manager.count_bars(*held) > 0, 60.0)
        process.send_signal(number)
        assert process.wait(60) != 0
        exchange.faults.clear()
        before = db_manager.count_bars(*held)
        missing = db_manager.check_data_exists(*held)
        assert before > 0 and missing != []
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)["tickers"]
        assert found["fetched"] == found["bars"] - before  # nothing was fetched twice
        assert found["missing_minutes"] == 0
        assert found["sessions"] == 252  # June 2023 to May 2024
