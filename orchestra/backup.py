"""``python -m orchestra backup``: a verified copy of the ledger, and a word on it in health."""

import contextlib
import json
import sqlite3
from typing import Any

import click

from orchestra import allowance
from orchestra.base import settings
from orchestra.base.errors import AutoTraderError, NotFound
from system_databse import backups, heartbeats

PART = "backups"  # of health


def backup(as_json: bool) -> None:
    """Back the ledger up, print where to, and note in health how it went."""
    allowance.give_way()
    try:
        answer = back_up()
    except (AutoTraderError, sqlite3.Error, OSError) as error:
        if not isinstance(error, NotFound):  # without a ledger there is no health to tell
            note_failure(str(error))
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"Backed up and verified: {answer['path']} ({answer['bytes'] / 1024:,.0f} kB)")
    if answer["second"]:
        click.echo(f"Second copy: {answer['second']}")
    if answer["trouble"]:
        click.echo(answer["trouble"], err=True)


def back_up() -> dict[str, Any]:
    """Take a backup into both folders. A second folder that is not there is told, not raised.

    Raises AutoTraderError, sqlite3.Error, OSError where there is no backup at all.
    """
    taken = backups.take(settings.current().system_db_path)
    told = f"{taken.path.name} is verified"
    heartbeats.beat({PART: ("ok", f"{told}.")})
    trouble = backups.copy_to_second(taken)
    second = settings.current().backup_second_dir
    if trouble:
        _note(f"{told}, but {trouble}")
    elif second is not None:
        heartbeats.amend(PART, "ok", f"{told}, and its copy in {second}.")
    return {
        "path": str(taken.path),
        "bytes": taken.path.stat().st_size,
        "second": str(second / taken.path.name) if second is not None and not trouble else None,
        "trouble": trouble,
    }


def note_failure(reason: str) -> None:
    """Say in health that the newest try failed; the age stays that of the newest backup."""
    with contextlib.suppress(AutoTraderError, sqlite3.Error):  # it may itself be what is damaged
        _note(f"The last try failed: {reason}")


def _note(message: str) -> None:
    if heartbeats.amend(PART, "degraded", message):
        heartbeats.record_event("backup", message)
