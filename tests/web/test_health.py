"""How the terminal says it is, the list of algorithms, and the page's own files."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from database import db_manager, schema
from orchestra import __version__
from orchestra.base import clock, settings, sqlite
from orchestra.web import health
from system_databse import heartbeats, system_db_manager
from tests.exchange_fixture import change
from tests.processes import until
from tests.web.conftest import Api, assert_error, new_api


@pytest.fixture(autouse=True)
def not_read_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a server of its own: what an earlier one has read of its ledger is forgotten."""
    monkeypatch.setattr(health, "_read", None)


GOOD = '''"""A module."""

class Algorithm:
    """Buys low."""

    title = "Buy low"
    parameters = {"days": {"default": 3, "min": 1, "max": 9, "title": "Days"}}

    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        return ("hold", 0)
'''
SEEN_FROM_HERE = {"databases", "data", "disk", "backups"}


def beat(**parts: tuple[str, str]) -> None:
    heartbeats.beat(parts)


def age_heartbeats(seconds: float) -> None:
    moment = clock.machine_now() - timedelta(seconds=seconds)
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute("UPDATE heartbeats SET machine_time = ?", (moment.isoformat(),))


def test_without_a_sign_of_life_it_is_down(locked: Api) -> None:
    found = locked.read("/api/health")
    assert (found["status"], found["version"]) == ("down", __version__)
    parts = found["parts"]
    assert parts.pop("orchestrator") == {
        "status": "down",
        "message": "The trader has not been started.",
        "age": None,
    }
    assert parts.keys() == SEEN_FROM_HERE
    assert {part["status"] for part in parts.values()} == {"ok"}
    assert parts["backups"]["age"] is None


def test_with_a_fresh_sign_of_life_it_is_ok(locked: Api) -> None:
    beat(orchestrator=("ok", "Cycle done."), broker=("ok", ""), stream=("ok", "1 ticker."))
    found = locked.read("/api/health")
    assert found["status"] == "ok"
    assert found["parts"].keys() == {"orchestrator", "broker", "stream"} | SEEN_FROM_HERE
    assert found["parts"]["orchestrator"]["message"] == "Cycle done."
    assert 0 <= found["parts"]["orchestrator"]["age"] < 60
    assert locked.read("/api/algorithms")["health"]["status"] == "ok"


def test_one_part_that_ails_makes_it_degraded(locked: Api) -> None:
    beat(orchestrator=("ok", ""), broker=("ok", ""), stream=("degraded", "Not connected."))
    found = locked.read("/api/health")
    assert found["status"] == "degraded"
    assert found["parts"]["stream"]["message"] == "Not connected."
    beat(broker=("down", "No answer."))
    assert locked.read("/api/health")["status"] == "down"


def test_an_old_sign_of_life_is_none(locked: Api) -> None:
    beat(orchestrator=("ok", ""), stream=("ok", ""))
    age_heartbeats(100)
    assert locked.read("/api/health")["status"] == "ok"
    age_heartbeats(130)
    found = locked.read("/api/health")
    assert found["status"] == "down"
    assert (
        found["parts"].keys() == {"orchestrator"} | SEEN_FROM_HERE
    )  # the others' words are as old
    assert "no sign of life for 130 s" in found["parts"]["orchestrator"]["message"]


def test_a_clock_that_was_set_back_keeps_no_dead_trader_alive(
    locked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SILENT_AFTER_SECONDS", 0.3)

    def status() -> str:
        return str(locked.read("/api/health")["parts"]["orchestrator"]["status"])

    beat(orchestrator=("ok", "Cycle done."))
    age_heartbeats(-3_600)
    assert status() == "ok"  # it may have spoken just before
    until(lambda: status() == "down", 30)
    age_heartbeats(-7_200)  # a newer one
    assert status() == "ok"


WAITS = "The trader waits for the clock to be set, two minutes at most."


def test_a_trader_held_back_for_the_clock_says_so_until_its_own_first_word(locked: Api) -> None:
    heartbeats.announce("down", WAITS)
    found = locked.read("/api/health")
    assert found["status"] == "down"
    assert found["parts"].keys() == {"orchestrator", "clock"} | SEEN_FROM_HERE
    assert found["parts"]["clock"] == {"status": "down", "message": WAITS, "age": 0.0}
    told = {"status": "degraded", "message": WAITS, "age": None}
    assert found["parts"]["orchestrator"] == told
    age_heartbeats(28_800)  # the clock is set, and the trader is on its way
    assert new_api().read("/api/health")["parts"]["orchestrator"] == told
    beat(orchestrator=("ok", "Cycle done."))
    parts = new_api().read("/api/health")["parts"]
    assert parts["orchestrator"]["message"] == "Cycle done." and "clock" not in parts


def test_words_from_before_a_restart_of_the_machine_are_not_the_traders(
    locked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(orchestrator=("ok", "Cycle done."), broker=("ok", ""), clock=("ok", ""))
    age_heartbeats(-20)  # the clock goes on from where it was last written down
    heartbeats.announce("degraded", "The trader is starting.")
    parts = locked.read("/api/health")["parts"]
    assert parts["orchestrator"]["message"] == "The trader is starting."
    assert parts.keys() == {"orchestrator"} | SEEN_FROM_HERE
    monkeypatch.setattr(health, "START_SECONDS", 0.3)

    def state() -> tuple[str, str]:
        part = new_api().read("/api/health")["parts"]["orchestrator"]
        return part["status"], part["message"]

    until(lambda: state()[0] == "down", 30)
    assert state()[1].startswith("The trader was to start and has given no sign of life for ")


def test_old_prices_in_an_open_market_degrade_it(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 1_000)
    db_manager.insert_minute_data("NVDA", "2024-06-04T14:00:00Z", 1, 1, 1, 1, 1)
    found = locked.read("/api/health")
    assert found["status"] == "degraded"
    assert found["parts"]["data"]["message"] == "Prices are old: NVDA."


def backed_up(days_ago: float, status: str = "ok") -> dict[str, object]:
    beat(orchestrator=("ok", ""), backups=(status, "system-x.db is verified."))
    moment = clock.machine_now() - timedelta(days=days_ago)
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute(
            "UPDATE heartbeats SET machine_time = ? WHERE part = 'backups'", (moment.isoformat(),)
        )
    found: dict[str, object] = new_api().read("/api/health")["parts"]["backups"]
    return found


def test_the_newest_backups_age_is_told_and_an_old_one_degrades(locked: Api) -> None:
    fresh = backed_up(0.5)
    assert (fresh["status"], fresh["message"]) == ("ok", "system-x.db is verified.")
    assert fresh["age"] == pytest.approx(43_200, abs=60)
    assert backed_up(2.9)["status"] == "ok"
    old = backed_up(4)
    assert (old["status"], old["message"]) == ("degraded", "The newest backup is 4 days old.")
    assert backed_up(-30)["status"] == "degraded"
    assert locked.read("/api/health")["status"] == "degraded"
    assert backed_up(0.5, "degraded")["status"] == "degraded"


def test_a_backup_that_never_worked_has_no_age(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    heartbeats.amend("backups", "degraded", "The last try failed: no room.")
    assert locked.read("/api/health")["parts"]["backups"] == {
        "status": "degraded",
        "message": "The last try failed: no room.",
        "age": None,
    }


def damage(path: Path, table: str) -> None:
    """Overwrite a table's first page."""
    sqlite.close_kept()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        question = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        [root] = connection.execute(question, (table,)).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * 200)


def test_a_damaged_ledger_is_named_with_what_to_do(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    damage(settings.current().system_db_path, "algorithm_instances")
    found = locked.read("/api/health")
    assert (found["status"], found["parts"]["databases"]["status"]) == ("down", "down")
    assert "python -m orchestra restore" in found["parts"]["databases"]["message"]
    assert_error(locked.get("/api/algorithms"), 503, "database_damaged")
    assert locked.get("/healthz").text == "ok"


def test_damage_that_the_page_does_not_meet_is_found_when_the_trader_is_silent(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    age_heartbeats(130)
    damage(settings.current().system_db_path, "labels_of_card")
    part = new_api().read("/api/health")["parts"]["databases"]
    assert part["status"] == "down" and "is damaged" in part["message"]


def test_a_stocks_db_that_cannot_be_read_is_named(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    path = settings.current().stocks_db_path
    schema.stocks()
    damage(path, "bars")
    part = locked.read("/api/health")["parts"]["databases"]
    assert part["status"] == "degraded" and part["message"].startswith("stocks.db: ")


def test_a_stocks_db_of_a_newer_version_is_named(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 1_000)
    with sqlite.transaction(schema.stocks()) as connection:
        connection.execute("UPDATE contents SET value = '99' WHERE key = 'schema_version'")
    sqlite.close_kept()
    found = locked.read("/api/health")["parts"]["databases"]
    assert found["status"] == "down" and "written by a newer version" in found["message"]
    assert_error(locked.get("/api/algorithms"), 503, "foreign_contents")


def goes_down_on(locked: Api, folder: Path, option: str) -> None:
    """The disk mounted at ``folder`` is well, and down once it is mounted again with this option."""
    try:
        change(LOG_DIR=folder)
        assert locked.read("/api/health")["parts"]["disk"]["status"] == "ok"
        subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)
        part = locked.read("/api/health")["parts"]["disk"]
        assert part["status"] == "down" and "read-only" in part["message"]
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_was_made_read_only_is_down(locked: Api, tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("MOUNTING IS NOT ALLOWED HERE")
    goes_down_on(locked, folder, "ro")


def test_a_card_that_the_kernel_has_given_up_is_down(locked: Api, tmp_path: Path) -> None:
    """What an SD card comes to: after an error its file system takes no more writes."""
    image, folder = tmp_path / "image", tmp_path / "card"
    folder.mkdir()
    image.touch()
    os.truncate(image, 300_000_000)
    commands = [["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]]
    if any(shutil.which(each[0]) is None or subprocess.run(each).returncode for each in commands):
        pytest.skip("MOUNTING IS NOT ALLOWED HERE")
    goes_down_on(locked, folder, "abort")


def test_the_default_pin_is_mentioned_where_it_matters(locked: Api) -> None:
    beat(orchestrator=("ok", ""))
    assert "pin" not in locked.read("/api/health")["parts"]
    change(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="", MARKET_CLOCK_ANCHOR="")
    change(ALPACA_API_KEY="key", ALPACA_SECRET="secret")
    found = new_api().read("/api/health")
    assert (found["status"], found["parts"]["pin"]["message"]) == ("ok", "The PIN is still 2020.")
    system_db_manager.set_config("pin", "7391")
    assert "pin" not in new_api().read("/api/health")["parts"]


def test_healthz(locked: Api) -> None:
    response = locked.get("/healthz")
    assert (response.status_code, response.text, response.mimetype) == (200, "ok", "text/plain")


def test_the_algorithms_are_read_and_never_run(locked: Api, tmp_path: Path) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "good.py").write_text(GOOD)
    (folder / "broken.py").write_text("class Algorithm:\n    def run(self:\n")
    (folder / "empty.py").write_text("")
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n{GOOD}")
    (folder / "_helper.py").write_text(GOOD)
    (folder / "notes.txt").write_text(GOOD)
    change(ALGORITHMS_DIR=folder)
    found = {each["name"]: each for each in locked.read("/api/available-algorithms")["algorithms"]}
    assert list(found) == ["broken", "empty", "good", "trap"]
    assert found["good"] == {
        "name": "good",
        "title": "Buy low",
        "description": "Buys low.",
        "parameters": {"days": {"default": 3, "min": 1, "max": 9, "title": "Days"}},
        "error": None,
    }
    assert found["broken"]["error"].startswith("line 2: ")
    assert found["empty"]["error"] == "has no class Algorithm"
    assert not (tmp_path / "sprung").exists()


def test_a_new_file_is_listed_at_once(locked: Api, tmp_path: Path) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    change(ALGORITHMS_DIR=folder)
    assert locked.read("/api/available-algorithms") == {"algorithms": []}
    (folder / "good.py").write_text(GOOD)
    assert len(locked.read("/api/available-algorithms")["algorithms"]) == 1


def test_the_owners_first_algorithm_is_there(locked: Api) -> None:
    found = locked.read("/api/available-algorithms")["algorithms"]
    assert "sma_crossover" in [each["name"] for each in found if each["error"] is None]


def test_the_page_is_served(locked: Api) -> None:
    page = locked.get("/")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "data-strip" in page.text and "<script" in page.text
    for name, kind in (("script.js", "text/javascript"), ("style.css", "text/css")):
        found = locked.get(f"/{name}")
        assert (found.status_code, found.mimetype) == (200, kind)
