"""Backups: whole while the ledger is written, kept by days and months, and taken before schema changes."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import LedgerDamaged, NotFound, SettingsError
from orchestra.base.settings import ROOT
from system_databse import backed_up_files, backups, create_system_db, heartbeats, system_db_manager
from tests.conftest import Configure
from tests.processes import until

WRITER = """
from orchestra.base import sqlite
from system_databse import system_db_manager
card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
print("writing", flush=True)
while True:
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        for side in ("buy", "sell"):
            system_db_manager.insert_transaction(connection, card, side, 7, 10.0, "2024-06-04T14:30:00Z")
"""
PAIRS = """
SELECT SUM(type = 'buy') AS bought, SUM(type = 'sell') AS sold, MAX(id) - COUNT(*) AS gaps
FROM transactions
"""


def ledger() -> Path:
    return settings.current().system_db_path


def folder() -> Path:
    return settings.current().backup_dir


def names(where: Path | None = None) -> list[str]:
    """What is in a folder, but for the zips, of which each backup has its own and there are no others."""
    found = sorted(path.name for path in (where or folder()).iterdir())
    zips = [name for name in found if name.endswith(".zip")]
    assert {name.replace(".zip", ".db") for name in zips} <= set(found)
    return [name for name in found if name not in zips]


def rows(path: Path, question: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


@pytest.fixture
def small_ledger() -> Path:
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    system_db_manager.record_buy(card, 7, 100.0)
    return ledger()


def test_backups_taken_while_a_process_writes_are_whole(tmp_path: Path) -> None:
    """Each transaction of the writer buys and sells: a copy torn between the two would show."""
    create_system_db.create_database()
    writer = subprocess.Popen([sys.executable, "-c", WRITER], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None and writer.stdout.readline() == b"writing\n"
        until(lambda: rows(ledger(), PAIRS)[0][0])
        counts = []
        for number in range(8):
            taken = backups.take(ledger())
            kept = taken.path.rename(tmp_path / f"{number}.db")  # a second has one backup's name
            assert rows(kept, "PRAGMA integrity_check") == [("ok",)]
            [(bought, sold, gaps)] = rows(kept, PAIRS)
            assert bought == sold and gaps == 0
            counts.append(bought)
        assert counts == sorted(counts)
        assert counts[-1] > counts[0]  # it did write meanwhile
    finally:
        writer.kill()
        writer.communicate()


def test_a_backup_is_one_private_file_of_everything(small_ledger: Path) -> None:
    taken = backups.take(small_ledger)
    assert names() == [taken.path.name]
    assert taken.path.name.startswith("system-2") and taken.path.stat().st_mode & 0o777 == 0o600
    age = (clock.machine_now() - taken.taken_at).total_seconds()
    assert 0 <= age < 60
    assert rows(taken.path, "SELECT type, shares, price FROM transactions") == [("buy", 7, 100.0)]
    assert names() == [taken.path.name]  # reading it has left nothing beside it


def test_beside_it_are_algorithms_and_settings_but_no_keys(
    small_ledger: Path, tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithms = tmp_path / "algorithms"
    algorithms.mkdir()
    (algorithms / "mine.py").write_text("class Algorithm: ...")
    (algorithms / "notes.txt").write_text("not an algorithm")
    (algorithms / "gone.py").symlink_to(tmp_path / "no-such-file")  # cannot be read
    os.utime(algorithms / "mine.py", (0, 0))  # a zip knows no 1970
    (tmp_path / ".env").write_text(
        "ALPACA_API_KEY=AKABC  # a key\nALPACA_PAPER=True\nBRAKE_CARD_DAILY_LOSS=50 # dollars\n"
        "NOTIFY_URLS=ntfy://topic\nMY_OWN_PASSWORD=hunter2\nLOG_DIR=\n"
    )
    monkeypatch.setattr(backed_up_files, "ROOT", tmp_path)
    configure(ALGORITHMS_DIR=algorithms)
    taken = backups.take(small_ledger)
    files = taken.path.with_suffix(".zip")
    assert files.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(files) as packed:
        assert packed.namelist() == ["algorithms/mine.py", "settings.env"]
        assert (
            packed.read("settings.env").decode() == "ALPACA_PAPER=True\nBRAKE_CARD_DAILY_LOSS=50\n"
        )
    (algorithms / "mine.py").write_text("changed since")
    (algorithms / "other.py").write_text("added since")
    assert backed_up_files.unpack_missing(files) == []
    (algorithms / "mine.py").unlink()
    assert backed_up_files.unpack_missing(files) == ["mine.py"]
    assert (algorithms / "mine.py").read_text() == "class Algorithm: ..."


def test_a_zip_writes_nowhere_else(tmp_path: Path, configure: Configure) -> None:
    configure(ALGORITHMS_DIR=tmp_path / "algorithms")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        for name in ("algorithms/../../up.py", "/etc/abs.py", "algorithms/deep/in.py", "up.py"):
            packed.writestr(name, "x")
    assert sorted(backed_up_files.unpack_missing(tmp_path / "evil.zip")) == ["in.py", "up.py"]
    assert sorted(path.name for path in (tmp_path / "algorithms").iterdir()) == ["in.py", "up.py"]
    assert not (tmp_path.parent / "up.py").exists()


def test_a_missing_ledger_is_not_made_to_be_backed_up() -> None:
    with pytest.raises(NotFound, match=r"no .*system\.db to back up"):
        backups.take(ledger())
    assert not ledger().exists()


def test_a_damaged_ledger_gives_no_backup_and_costs_none(small_ledger: Path) -> None:
    good = backups.take(small_ledger)
    sqlite.close_kept()
    [(root,)] = rows(small_ledger, "SELECT rootpage FROM sqlite_master WHERE name = 'transactions'")
    [(size,)] = rows(small_ledger, "PRAGMA page_size")
    with small_ledger.open("r+b") as file:
        file.seek((int(str(root)) - 1) * int(str(size)))
        file.write(b"\xa5" * 64)
    with pytest.raises(LedgerDamaged, match="does not hang together"):
        backups.take(small_ledger)
    assert names() == [good.path.name]


def dated(stamp: str, label: str = "") -> str:
    name = f"system-{stamp}{label}.db"
    for path in (folder() / name, (folder() / name).with_suffix(".zip")):
        path.write_bytes(b"")
    return name


def test_the_newest_of_fourteen_days_and_twelve_months_stay(small_ledger: Path) -> None:
    folder().mkdir()
    for month in ("202405", "202406", "202407", "202408", "202409", "202410", "202411", "202412"):
        dated(f"{month}01T230000Z")
        dated(f"{month}28T230000Z")
    for day in range(1, 32):
        dated(f"202501{day:02}T010000Z")
        dated(f"202501{day:02}T230000Z")
    other = folder() / "simulated-20200101T000000Z.db"
    other.write_bytes(b"")
    today = backups.take(small_ledger).path.name
    assert names() == sorted(
        [
            other.name,
            # months: today's, 2025-01 and eight of 2024
            *(f"system-2024{month:02}28T230000Z.db" for month in range(5, 13)),
            # days: today and thirteen of January
            *(f"system-202501{day:02}T230000Z.db" for day in range(19, 32)),
            today,
        ]
    )


def test_no_more_than_twelve_months_and_three_before_changes(small_ledger: Path) -> None:
    folder().mkdir()
    for year in (2022, 2023):
        for month in range(1, 13):
            dated(f"{year}{month:02}01T230000Z")
            dated(f"{year}{month:02}28T230000Z")
    for number in range(2, 8):
        dated(f"2021010{number}T000000Z", f"-before-schema-{number}")
    today = backups.take(small_ledger).path.name
    assert names() == sorted(
        [
            "system-20210105T000000Z-before-schema-5.db",
            "system-20210106T000000Z-before-schema-6.db",
            "system-20210107T000000Z-before-schema-7.db",
            # months: today's and eleven of 2023
            *(f"system-2023{month:02}28T230000Z.db" for month in range(2, 13)),
            # days: today and thirteen, of which seven are a month's newest as well
            *(f"system-2023{month:02}01T230000Z.db" for month in range(7, 13)),
            today,
        ]
    )


def test_a_backup_stays_though_the_clock_was_ahead_before(small_ledger: Path) -> None:
    folder().mkdir()
    ahead = [dated(f"2090{month:02}{day:02}T000000Z") for month in range(1, 13) for day in (1, 2)]
    taken = backups.take(small_ledger)
    assert taken.path.exists()
    found = backups.trusted(backups.listed(folder(), "system"))
    assert found[0].path == taken.path
    assert found[1].path.name == ahead[-1]


def test_a_clock_that_was_ahead_takes_no_place_of_the_true_days(small_ledger: Path) -> None:
    folder().mkdir()
    for month in range(1, 13):
        dated(f"2090{month:02}01T000000Z")
        dated(f"2090{month:02}02T000000Z")
    yesterday = dated(f"{clock.machine_now() - timedelta(days=1):%Y%m%dT230000Z}")
    backups.take(small_ledger)
    assert yesterday in names()


def test_the_files_in_a_zip_have_no_date_of_a_clock(small_ledger: Path) -> None:
    """A zip knows no year before 1980: a clock that is not set would end the backup."""
    (settings.current().algorithms_dir).mkdir(exist_ok=True)
    with zipfile.ZipFile(backed_up_files.beside(backups.take(small_ledger).path)) as packed:
        assert {each.date_time for each in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_is_no_backup_is_left_alone(small_ledger: Path) -> None:
    folder().mkdir()
    strange = ["notes.txt", "system-99999999T999999Z.db", "system.db", "my-20240101T000000Z.txt"]
    strange.append("film.mkv.part")  # a download that was not finished either
    for name in strange:
        (folder() / name).write_text("mine")
        os.utime(folder() / name, (0, 0))
    taken = backups.take(small_ledger)
    assert names() == sorted([*strange, taken.path.name])
    assert [each.path for each in backups.listed(folder())] == [taken.path]


def test_a_folder_that_cannot_be_written_is_a_sentence(
    small_ledger: Path, tmp_path: Path, configure: Configure
) -> None:
    (tmp_path / "file").write_text("")
    configure(BACKUP_DIR=tmp_path / "file" / "backups")
    with pytest.raises(SettingsError, match=r"BACKUP_DIR .*file/backups cannot be written"):
        backups.take(small_ledger)


def test_a_second_folder_on_another_disk_gets_each_backup(
    small_ledger: Path, tmp_path: Path, configure: Configure
) -> None:
    other_disk = Path(f"/dev/shm/autotrader-test-{os.getpid()}")
    other_disk.mkdir()
    try:
        if other_disk.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("the temporary folder and /dev/shm are one disk here")
        configure(BACKUP_SECOND_DIR=other_disk)
        taken = backups.take(small_ledger)
        assert backups.copy_to_second(taken) == ""
        assert names(other_disk) == [taken.path.name]
        assert (other_disk / taken.path.name).read_bytes() == taken.path.read_bytes()
        assert (other_disk / taken.path.name).with_suffix(".zip").exists()
    finally:
        shutil.rmtree(other_disk)
    assert f"{other_disk} is not there" in backups.copy_to_second(taken)
    configure(BACKUP_SECOND_DIR=tmp_path)
    assert "own disk" in backups.copy_to_second(taken)


def old_ledger() -> Path:
    """A ledger as an earlier version wrote it: a card, a transaction, schema 1."""
    path = ledger()
    connection = sqlite.connect(path)
    for statement in create_system_db.MIGRATIONS[0].split(";"):
        connection.execute(statement)
    connection.execute("UPDATE schema_version SET version = 1")
    connection.execute(
        "INSERT INTO algorithm_instances (display_name, algorithm_type, ticker, initial_capital,"
        " created_at) VALUES ('a', 'b', 'NVDA', 1000, '2024-06-04T14:30:00Z')"
    )
    connection.close()
    return path


def version(path: Path) -> object:
    return rows(path, "SELECT version FROM schema_version")[0][0]


def test_a_migration_begins_with_a_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_ledger()
    first = create_system_db.MIGRATIONS[0]
    changes = (first, "CREATE TABLE one (a)", "CREATE TABLE two (a); INSERT INTO one VALUES (1)")
    monkeypatch.setattr(create_system_db, "MIGRATIONS", changes)
    create_system_db.create_database()
    assert version(path) == 3
    assert rows(path, "SELECT a FROM one") == [(1,)]
    assert rows(path, "SELECT ticker FROM algorithm_instances") == [("NVDA",)]
    before_two, before_three = names()
    assert before_two.endswith("-before-schema-2.db")
    assert before_three.endswith("-before-schema-3.db")
    assert version(folder() / before_two) == 1
    assert version(folder() / before_three) == 2


def test_a_migration_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_ledger()
    first = create_system_db.MIGRATIONS[0]
    changes = (first, "CREATE TABLE one (a); DELETE FROM algorithm_instances; CREATE NONSENSE")
    monkeypatch.setattr(create_system_db, "MIGRATIONS", changes)
    before = list(sqlite3.connect(path).iterdump())
    with pytest.raises(sqlite3.OperationalError):
        create_system_db.create_database()
    assert list(sqlite3.connect(path).iterdump()) == before


def test_without_room_for_its_backup_a_migration_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configure: Configure
) -> None:
    path = old_ledger()
    changes = (create_system_db.MIGRATIONS[0], "CREATE TABLE one (a)")
    monkeypatch.setattr(create_system_db, "MIGRATIONS", changes)
    (tmp_path / "file").write_text("")
    configure(BACKUP_DIR=tmp_path / "file")
    with pytest.raises(SettingsError, match="BACKUP_DIR"):
        create_system_db.create_database()
    assert version(path) == 1


def _create(start: "multiprocessing.synchronize.Barrier") -> None:
    create_system_db.MIGRATIONS = (create_system_db.MIGRATIONS[0], "CREATE TABLE one (a)")
    start.wait()
    create_system_db.create_database()


def test_processes_that_start_together_migrate_once() -> None:
    path = old_ledger()
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    together = [context.Process(target=_create, args=(start,)) for _ in range(4)]
    for each in together:
        each.start()
    for each in together:
        each.join()
    assert [each.exitcode for each in together] == [0, 0, 0, 0]
    assert version(path) == 2
    assert len(names()) == 1


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "orchestra", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_notes_in_health_how_it_went(
    small_ledger: Path, tmp_path: Path, configure: Configure
) -> None:
    done = command("backup")
    assert done.returncode == 0, done.stderr
    [name] = names()
    assert f"{folder() / name}" in done.stdout
    beat = heartbeats.heartbeats()["backups"]
    assert (beat.status, beat.message) == ("ok", f"{name} is verified.")
    assert 0 <= beat.age < 60
    configure(BACKUP_SECOND_DIR=tmp_path / "stick")
    assert command("backup").returncode == 0
    beat = heartbeats.heartbeats()["backups"]
    assert beat.status == "degraded" and "is the disk plugged in" in beat.message
    assert 0 <= beat.age < 60
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        yesterday = datetime(2024, 1, 1, tzinfo=UTC).isoformat()
        connection.execute("UPDATE heartbeats SET machine_time = ?", (yesterday,))
    (tmp_path / "file").write_text("")
    configure(BACKUP_DIR=tmp_path / "file")
    done = command("backup")
    assert done.returncode == 1 and done.stderr.startswith("Error: BACKUP_DIR")
    beat = heartbeats.heartbeats()["backups"]
    assert beat.message.startswith("The last try failed: BACKUP_DIR")
    assert beat.age > 86_400  # the newest backup is as old as it was
    told = rows(small_ledger, "SELECT kind FROM events")
    assert told == [("backup",)]  # it was unwell already: said once


def test_killed_while_it_is_taken_it_is_no_backup(small_ledger: Path) -> None:
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.executemany(
            "INSERT INTO events (timestamp, kind, message) VALUES ('', 'x', ?)",
            [("x" * 100_000,)] * 400,
        )
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "backup"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    until(lambda: any(path.stat().st_size for path in folder().glob("*.part")))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert backups.listed(folder()) == []
    assert len(list(folder().glob("*.part"))) == 1
    taken = backups.take(small_ledger)
    assert backups.listed(folder()) == [taken]
    for path in folder().glob("*.part"):
        os.utime(path, (0, 0))
    backups.take(small_ledger)
    assert list(folder().glob("*.part")) == []
