"""``python -m orchestra doctor``: what it finds, and what it says to do about it."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestra import checkup
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import OrderRefused
from orchestra.base.settings import ROOT, Settings
from orchestra.first_aid import Finding
from system_databse import backups, system_db_manager
from tests.conftest import Configure
from tests.exchange_fixture import free_port, running_exchange
from tests.processes import running_terminal

OF_THIS_MACHINE = {"memory", "browser"}  # not for a test to say
TOO_OLD = """
import sys
sys.version_info = (3, 9, 2)
from orchestra import first_aid
sys.exit(first_aid.only_this(["doctor"]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the command needs of the project, set up and never started."""
    copy = tmp_path / "autotrader"
    for folder in ("orchestra", "database", "system_databse", "algorithms"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.db*"))
    shutil.copy(ROOT / "requirements.txt", copy)
    (copy / ".venv").symlink_to(sys.prefix)
    shutil.copy(ROOT / ".env.example", copy / ".env")
    (copy / ".env").chmod(0o600)
    return copy


def doctor(
    project: Path, python: Path | str = sys.executable
) -> "subprocess.CompletedProcess[str]":
    ours = {each.name.upper() for each in fields(Settings)}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return subprocess.run(
        [python, "-m", "orchestra", "doctor", "--json"],
        cwd=project,
        env={**kept, "API_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=120,
    )


def found_in(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    return {each["part"]: each for each in json.loads(done.stdout)["findings"]}


def look() -> dict[str, Finding]:
    return {found.part: found for found in checkup.look_over_terminal()}


def test_a_fresh_set_up_needs_nothing(project: Path) -> None:
    before = sorted(path.name for path in project.rglob("*") if "__pycache__" not in str(path))
    done = doctor(project)
    found = found_in(done)
    unwell = {part for part, each in found.items() if each["status"] != "ok"}
    assert unwell <= OF_THIS_MACHINE, found
    assert done.returncode == bool(unwell)
    assert json.loads(done.stdout)["ok"] is (not unwell)
    assert found["databases"]["message"].endswith("is made at the first start.")
    assert found["page"] == {
        "part": "page",
        "status": "ok",
        "message": "Nothing runs.",
        "remedy": "Start it: ./start_pi.sh",
    }
    after = sorted(path.name for path in project.rglob("*") if "__pycache__" not in str(path))
    assert after == before  # it makes nothing


def test_a_misspelt_setting_and_a_wrong_one_are_named(project: Path) -> None:
    env_file = project / ".env"
    env_file.write_text("BRAKE_CARD_DAILY_LOS=50\nMY_NOTE=1\n")
    done = doctor(project)
    assert done.returncode == 1
    message = found_in(done)["settings"]["message"]
    assert "BRAKE_CARD_DAILY_LOS (BRAKE_CARD_DAILY_LOSS?), MY_NOTE" in message
    env_file.write_text("ALPACA_PAPER=yes\n")
    found = found_in(doctor(project))["settings"]
    assert found["status"] == "down" and "Setting ALPACA_PAPER: expected" in found["message"]
    env_file.unlink()
    assert "start_pi.sh --setup-only" in found_in(doctor(project))["settings"]["remedy"]


def test_it_is_said_in_plain_words_too(project: Path) -> None:
    (project / ".env").write_text("MY_NOTE=1\n")
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "doctor"],
        cwd=project,
        env={**os.environ, "API_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    [line] = [line for line in lines if "MY_NOTE" in line]
    assert line.startswith("! settings")
    assert lines[lines.index(line) + 1].strip() == "→ Correct or remove them in .env."
    assert done.returncode == 1 and lines[-1].endswith("to look at.")


def test_before_there_are_packages_it_says_what_to_run(project: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    done = doctor(project, tmp_path / "empty" / "bin" / "python")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert (
        "lacks alpaca-py" in done.stdout
        and "and 2" in done.stdout
        and "./start_pi.sh --setup-only" in done.stdout
    )
    (project / ".venv").unlink()
    [found] = [
        each
        for each in json.loads(doctor(project, tmp_path / "empty" / "bin" / "python").stdout)[
            "findings"
        ]
        if each["part"] == "packages"
    ]
    assert (found["message"], found["remedy"]) == (
        "There is no .venv.",
        "Run ./start_pi.sh --setup-only.",
    )
    old = subprocess.run(
        [sys.executable, "-c", TOO_OLD], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert "This is Python 3.9.2; it takes 3.11 to 3.13." in old.stdout


def test_other_packages_than_pinned_are_named(project: Path) -> None:
    pins = project / "requirements.txt"
    pins.write_text(pins.read_text().replace("flask==", "flask==9."))
    found = found_in(doctor(project))["packages"]
    assert found["status"] == "degraded" and "flask 3." in found["message"]


def test_keys_that_the_broker_refuses() -> None:
    with running_exchange(ALPACA_API_KEY="right", ALPACA_SECRET="right") as exchange:
        assert look()["broker"].status == "ok"
        exchange.faults.add({"name": "unauthorized"})
        found = look()["broker"]
        assert found.status == "down" and "refuses the keys" in found.message
        assert found.remedy == "Correct the keys in .env."


def test_an_account_that_takes_no_orders() -> None:
    with running_exchange() as exchange:
        wrapper = AlpacaWrapper()
        exchange.faults.add({"name": "orders_barred"})
        with pytest.raises(OrderRefused, match="rejected by user request"):
            wrapper.place_market_buy("AAPL", 1)
        found = look()["broker"]
        assert found.status == "down"
        assert found.message.endswith("takes no orders: trade suspended by user.")
        exchange.faults.clear()
        assert look()["broker"].status == "ok"


def test_keys_that_bring_no_bars() -> None:
    with running_exchange() as exchange:
        assert look()["feed"] == Finding("feed", "ok", "Bars come from iex.")
        exchange.faults.add({"name": "unauthorized", "path": "/v2/stocks"})
        found = look()
        assert found["broker"].status == "ok"
        assert (found["feed"].status, found["feed"].remedy) == (
            "down",
            "Are the keys right? ALPACA_FEED=iex is in every plan.",
        )


def test_an_exchange_out_of_reach_and_another_account() -> None:
    with running_exchange():
        assert look()["broker"].message.startswith("It answers: simulated account ")
        system_db_manager.set_config("broker_account", "paper account PA1")
        found = look()["broker"]
        assert found.status == "down" and "belongs to the paper account PA1" in found.message
    os.environ["ALPACA_TRADING_URL"] = f"http://127.0.0.1:{free_port()}"
    settings.adopt(None)
    found = look()["broker"]
    assert (found.status, found.remedy) == ("down", "Is there a network?")


def test_databases_and_backups(tmp_path: Path, configure: Configure) -> None:
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    path = settings.current().system_db_path
    assert look()["databases"].message == f"The ledger is whole: 1 running cards, schema {SCHEMA}."
    found = look()["page"]
    assert (found.status, found.message) == ("down", "Nothing runs, so no card is asked.")
    assert look()["backups"].status == "ok"  # a night has not passed yet

    taken = backups.take(path)
    assert look()["backups"].message.startswith(f"1, the newest {taken.path.name} (0.0 days old)")
    configure(BACKUP_SECOND_DIR=tmp_path / "stick")
    found = look()["backups"]
    assert found.status == "degraded" and f"not in BACKUP_SECOND_DIR {tmp_path}" in found.message
    configure(BACKUP_SECOND_DIR="")
    before = clock.machine_now() - timedelta(days=4)
    old = taken.path.rename(taken.path.with_name(f"system-{before:%Y%m%dT%H%M%SZ}.db"))
    found = look()["backups"]
    assert found.status == "degraded" and "(4.0 days old)" in found.message
    old.write_bytes(old.read_bytes()[:9_000])
    assert look()["backups"].status == "down"

    system_db_manager.stop_algorithm(card)
    sqlite.close_kept()
    path.write_bytes(b"\xa5" * 9_000)
    found = look()["databases"]
    assert found.status == "down" and "restore" in found.remedy
    path.unlink()
    found = look()["databases"]
    assert found.status == "down" and "there are backups of it" in found.message
    assert not path.exists()


SCHEMA = len(checkup.create_system_db.MIGRATIONS)


def test_who_is_told(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look()["notifications"].message == "Nobody is told: NOTIFY_URLS is empty."
    configure(NOTIFY_URLS="json://127.0.0.1:9/")
    assert look()["notifications"].status == "ok"
    monkeypatch.setattr(sys, "path", [ROOT])  # without the packages installed
    monkeypatch.delitem(sys.modules, "apprise", raising=False)
    importlib.invalidate_caches()
    found = look()["notifications"]
    assert found.status == "degraded" and "requirements-notify.txt" in found.remedy


def test_a_running_terminal_tells_of_its_parts(tmp_path: Path) -> None:
    with running_terminal(tmp_path) as terminal:
        terminal.wait_for(lambda: "stream" in terminal.get("/api/health")["parts"])
        found = look()
        assert {"orchestrator", "workers", "stream", "data"} <= found.keys()
        assert found["orchestrator"].status == "ok"
        assert found["page"].message.endswith("/ answers.")
        terminal.misbehave("500", path="/v2/account")
        assert look()["broker"].status == "down"
        terminal.kill("api")
        # Its worker answers until it notices
        terminal.wait_for(lambda: "orchestrator" not in look(), what="the page is gone")
