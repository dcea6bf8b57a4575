"""``python -m orchestra restore``: brings the ledger back from a backup, and says what comes next."""

import json
import os
import shutil
import sqlite3
import zipfile
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import click

from orchestra import carried_stops
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import (
    AlreadyRunning,
    AutoTraderError,
    BadInput,
    ForeignContents,
    NotFound,
)
from orchestra.base.single import only_one
from system_databse import (
    backed_up_files,
    backups,
    create_system_db,
    heartbeats,
    system_db_manager,
)

HOW_TO_STOP = "Ctrl-C in ./start_pi.sh, or sudo systemctl stop autotrader.target"
BESIDE = ("-wal", "-shm")  # what SQLite keeps beside a database


def restore(file: Path | None, only_list: bool, as_json: bool) -> None:
    """Restore ``file`` or the newest backup that is whole, or list what there is."""
    try:
        answer = _list() if only_list else _restore(file)
    except AlreadyRunning as error:
        raise click.ClickException(f"The terminal is running. {error} ({HOW_TO_STOP})") from None
    except (AutoTraderError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo("\n".join(_listed(answer) if only_list else _told(answer)))


def _list() -> dict[str, Any]:
    found = _found()
    return {"backups": [{"path": str(each.path), **_contents(each.path)} for each in found]}


def _restore(file: Path | None) -> dict[str, Any]:
    """Put a copy of the backup in the ledger's place, nobody else having it open."""
    database = settings.current().system_db_path
    with ExitStack() as held:
        for what in ("orchestrator", "api"):
            held.enter_context(only_one(what, database))
        fresh = database.with_name(f"{database.name}.restoring")
        try:
            chosen = _copy_whole_one([file] if file else [each.path for each in _found()], fresh)
            _refuse_foreign(chosen, fresh)
            before = _contents(database)
            stopped = carried_stops.carry(database, fresh)
            aside = _put_in_place(fresh, database)
        finally:
            for beside in ("", *BESIDE):
                fresh.with_name(fresh.name + beside).unlink(missing_ok=True)
        create_system_db.create_database(database)
        _go_on_from(before.get("left_at"))
        put_back = _put_files_back(chosen)
        kept = f" What it replaced is {aside.name}." if aside else ""
        heartbeats.record_event("restored", f"The ledger was restored from {chosen.name}.{kept}")
        sqlite.close_kept()
    return {
        "restored": str(chosen),
        **_contents(database),
        "replaced": str(aside) if aside else None,
        "before": before,
        "algorithms": put_back,
        "stopped_again": stopped,
    }


def _found() -> list[backups.Backup]:
    """This ledger's backups in both folders, newest first. Raises NotFound where there is none."""
    chosen = settings.current()
    folders = [each for each in (chosen.backup_dir, chosen.backup_second_dir) if each is not None]
    everything = [each for folder in folders for each in backups.listed(folder)]
    ledger = chosen.system_db_path.stem
    own = [each for each in everything if each.ledger == ledger]
    if own:
        return backups.trusted(sorted(own, key=lambda each: each.taken_at, reverse=True))
    where = " or ".join(str(folder) for folder in folders)
    others = ", ".join(sorted({f"{each.ledger}.db" for each in everything}))
    hint = f" There are some of {others}: do .env's keys and SYSTEM_DB say so?" if others else ""
    raise NotFound(f"There is no backup of {ledger}.db in {where}.{hint}")


def _copy_whole_one(paths: list[Path], fresh: Path) -> Path:
    """Copy the first of the files that is a whole ledger to ``fresh``, and return which it was."""
    said = []
    for path in paths:
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
        for beside in ("", *BESIDE):  # a plain copy of a ledger in use has a log beside it
            source = path.with_name(path.name + beside)
            target = fresh.with_name(fresh.name + beside)
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        fresh.chmod(0o600)
        wrong = sqlite.faults(fresh) or _wrong_with(fresh)
        if not wrong:
            sqlite.settle(fresh)
            return path
        said.append(f"{path} cannot be restored: {wrong}.")
        click.echo(said[-1], err=True)
    raise BadInput(said[0] if len(said) == 1 else "None of the backups can be restored.")


def _wrong_with(path: Path) -> str:
    """Why a sound database is no ledger that this program can go on with; empty if it is one."""
    with closing(sqlite.connect(path, read_only=True)) as connection:
        try:
            version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
            for table in ("transactions", "algorithm_instances"):
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
        except sqlite3.Error as error:
            return f"it is no ledger of AutoTrader ({error})"
    known = len(create_system_db.MIGRATIONS)
    if version > known:
        return f"it was written by a newer version (schema {version}, this one knows {known})"
    return ""


def _refuse_foreign(chosen: Path, fresh: Path) -> None:
    """A paper ledger is no simulated one. Raises ForeignContents before anything is replaced."""
    account, mode = str(_contents(fresh)["account"] or ""), settings.current().mode
    if account and not account.startswith(f"{mode} "):
        raise ForeignContents(
            f"{chosen} is the ledger of a {account}, but the settings trade {mode.upper()}: put that"
            " account's keys into .env first, then restore."
        )


def _put_in_place(fresh: Path, database: Path) -> Path | None:
    """Exchange the files so that a power cut leaves one whole ledger; return the old one's new name."""
    aside = None
    if database.exists():
        aside = _free_name(database)
        with suppress(sqlite3.Error), closing(sqlite.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # takes in what the log still holds
        for beside in BESIDE:  # left only where it is damaged; the new one must not read it
            source = database.with_name(database.name + beside)
            if source.exists():
                source.rename(aside.with_name(aside.name + beside))
        os.link(database, aside)
        shutil.copymode(database, fresh)
    owner = database.parent.stat()
    if os.geteuid() == 0:  # restored with sudo, traded on by the one who owns the folder
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.replace(database)
    sqlite.settle(database)
    return aside


def _put_files_back(chosen: Path) -> list[str]:
    """Put back the algorithms that are gone; what is there stays as it is."""
    files = backed_up_files.beside(chosen)
    try:
        return backed_up_files.unpack_missing(files) if files.exists() else []
    except (OSError, zipfile.BadZipFile) as error:
        click.echo(f"The algorithms in {files} could not be put back: {error}.", err=True)
        return []


def _free_name(database: Path) -> Path:
    name = f"{database.name}.replaced-{clock.machine_now():%Y%m%dT%H%M%SZ}"
    candidates = (
        database.with_name(name + more) for more in ("", *(f"-{n}" for n in range(2, 99)))
    )
    return next(path for path in candidates if not path.exists())


def _go_on_from(left_at: str | None) -> None:
    """Keep the market time at which the trader stopped: a simulated one goes on there, not earlier."""
    known = heartbeats.newest_market_time()
    if left_at is not None and known is not None and left_at > known:
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            connection.execute(
                "UPDATE heartbeats SET market_time = ? WHERE part = 'orchestrator'", (left_at,)
            )


def _contents(path: Path) -> dict[str, Any]:
    """What a ledger holds, as far as it can be read."""
    found: dict[str, Any] = {"account": None, "cards": 0, "transactions": 0, "newest": None}
    if not path.exists():
        return found
    questions = {
        "account": "SELECT value FROM system_config WHERE key = 'broker_account'",
        "cards": "SELECT COUNT(*) FROM algorithm_instances WHERE status = 'running'",
        "transactions": "SELECT COUNT(*) FROM transactions",
        "newest": "SELECT MAX(timestamp) FROM transactions",
        "left_at": "SELECT market_time FROM heartbeats WHERE part = 'orchestrator'",
    }
    try:
        with closing(sqlite.connect(path, read_only=True)) as connection:
            for name, question in questions.items():
                row = connection.execute(question).fetchone()
                found[name] = None if row is None else row[0]
    except sqlite3.Error as error:
        found["error"] = str(error)
    return found


def _described(contents: dict[str, Any]) -> str:
    if "error" in contents:
        return f"cannot be read ({contents['error']})"
    newest = f", newest {contents['newest']}" if contents["newest"] else ""
    return (
        f"{contents['cards']} running cards, {contents['transactions']} transactions{newest};"
        f" {contents['account'] or 'no account yet'}"
    )


def _listed(answer: dict[str, Any]) -> list[str]:
    return [f"{each['path']}: {_described(each)}" for each in answer["backups"]]


def _told(answer: dict[str, Any]) -> list[str]:
    lines = [f"Restored: {answer['restored']}", f"  {_described(answer)}"]
    if answer["replaced"]:
        lines += [f"Replaced: {answer['replaced']}", f"  {_described(answer['before'])}"]
    if answer["stopped_again"] is None:
        lines += [
            "Which cards were stopped since then cannot be told: the running ones trade again."
        ]
    elif answer["stopped_again"]:
        lines.append(f"Stopped since then, and again now: {', '.join(answer['stopped_again'])}")
    if answer["algorithms"]:
        lines.append(f"Algorithms put back: {', '.join(answer['algorithms'])}")
    files = backed_up_files.beside(Path(answer["restored"]))
    if files.exists():
        lines.append(f"Its settings, without keys: {backed_up_files.SETTINGS} in {files}")
    return [
        *lines,
        "",
        "At its next start the trader asks the broker for all orders since then. What was filled is",
        "entered, each fill once; orders of a card that this backup does not know are an event, and",
        "its shares stay at the broker. Then positions are compared; what does not fit freezes its",
        "cards and says why. Nothing is traded to repair a difference.",
        "Start it: ./start_pi.sh, or sudo systemctl start autotrader.target",
    ]
