"""The stage of a soak: settings for every process, one market clock, and a small disk to be filled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from orchestra.base import clock, settings
from tests.exchange_fixture import change, free_port, restore
from tests.soak.form import MINUTE, Form, Session
from tests.soak.journal import Journal

START_SECONDS = 25.0  # machine time for the terminal to be up and the cards added before the open
DISK_MEGABYTES = 1024
MOUNT_SECONDS = 20


@contextmanager
def environment(
    form: Form, sessions: list[Session], folder: Path, disk: Path | None
) -> Iterator[None]:
    """The settings of every process: own ports and files, and one market clock."""
    home = disk or folder
    home.mkdir(exist_ok=True)
    values: dict[str, object] = {each.name.upper(): "" for each in fields(settings.Settings)}
    values |= {  # the defaults, whatever this machine's .env says, but for these
        "API_PORT": free_port(),
        "SIMULATOR_PORT": free_port(),
        "SIMULATOR_STREAM_PORT": free_port(),
        "SYSTEM_DB": home / "system.db",
        "STOCKS_DB": home / "stocks.db",
        "LOG_DIR": home / "logs",
        "BACKUP_DIR": home / "backups",
        "SIMULATOR_DB": folder / "exchange.db",
        "SIMULATOR_SEED": 2020 + form.seed,
        "MARKET_CLOCK_START": clock.stamp(sessions[0].open - MINUTE),
        "MARKET_CLOCK_SPEED": form.speed,
        "MARKET_CLOCK_SKIP_CLOSED": True,
        "MARKET_CLOCK_ANCHOR": clock.machine_now().timestamp()
        + START_SECONDS / (1 + bool(form.edge)),
    }
    before = {name: os.environ.get(name) for name in values}
    change(**values)
    try:
        yield
    finally:
        restore(before)


@contextmanager
def small_disk(folder: Path, journal: Journal) -> Iterator[Path | None]:
    """A small disk for databases and logs, to be filled up; None where mounting needs rights."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOUNT_SECONDS)
        failure = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        failure = "there is no mount here"
    if failure:
        journal.note("no disk", reason=failure)
        yield None
        return
    try:
        yield disk
    finally:
        shutil.copytree(
            disk, folder / "kept", ignore=shutil.ignore_patterns("ballast", "*.corrupt*")
        )
        subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=MOUNT_SECONDS)
