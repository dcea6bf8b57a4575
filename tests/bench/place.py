"""A place of its own for a benchmark or screenshots: own settings, databases in a temporary folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from orchestra.base import sqlite
from orchestra.base.settings import Settings
from tests.exchange_fixture import change


@contextmanager
def own_place(**values: object) -> Iterator[Path]:
    """Blank every setting, then point databases and logs into a new folder, and give ``values``."""
    for each in fields(Settings):
        os.environ[each.name.upper()] = ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        change(
            SYSTEM_DB=folder / "system.db",
            STOCKS_DB=folder / "stocks.db",
            SIMULATOR_DB=folder / "simulator.db",
            LOG_DIR=folder / "logs",
            **values,
        )
        try:
            yield folder
        finally:
            sqlite.close_kept()
