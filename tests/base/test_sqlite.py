"""Connections as both databases have them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestra.base import sqlite


def page_bytes(path: Path, synchronous: str = "FULL") -> int:
    with closing(sqlite.connect(path, synchronous=synchronous)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS fills (shares INTEGER)")
        return int(connection.execute("PRAGMA page_size").fetchone()[0])


@pytest.mark.parametrize("synchronous, wanted", [("FULL", 2048), ("NORMAL", 4096)])
def test_money_is_kept_in_small_pages(tmp_path: Path, synchronous: str, wanted: int) -> None:
    assert page_bytes(tmp_path / "new.db", synchronous) == wanted


def test_a_file_of_an_older_version_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE fills (shares INTEGER)")
    assert page_bytes(path) == 4096
