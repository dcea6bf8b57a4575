"""A watch on a database: every commit is a change, whoever made it, and nothing else is."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from orchestra.base import sqlite
from orchestra.base.changes import Watch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite.connect(tmp_path / "some.db")) as connection:
        connection.execute("CREATE TABLE t (n)")
    return tmp_path / "some.db"


def test_without_a_commit_nothing_changes(path: Path) -> None:
    watch = Watch()
    before = watch.state(path)
    with closing(sqlite.connect(path)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
        assert watch.state(path) == before  # not yet
        connection.rollback()
    assert watch.state(path) == before


def test_each_commit_of_this_process_is_a_change(path: Path) -> None:
    watch, seen = Watch(), set()
    with closing(sqlite.connect(path)) as connection:
        for number in range(5):
            seen.add(watch.state(path))
            with sqlite.transaction(connection):
                connection.execute("INSERT INTO t VALUES (?)", (number,))
    assert len({*seen, watch.state(path)}) == 6


def test_so_is_another_processs(path: Path) -> None:
    watch = Watch()
    before = watch.state(path)
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO t VALUES (1)')"
    subprocess.run([sys.executable, "-c", f"{program}; c.commit()", str(path)], check=True)
    assert watch.state(path) != before


def test_another_file_in_its_place_is_a_change_and_so_is_none(path: Path, tmp_path: Path) -> None:
    watch = Watch()
    states = [watch.state(path)]
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (n)")
    (tmp_path / "other.db").replace(path)
    states.append(watch.state(path))
    path.unlink()
    states.append(watch.state(path))
    assert len(set(states)) == 3
    assert watch.state(path) == states[-1]
    assert not path.exists(), "looking has made a file"
