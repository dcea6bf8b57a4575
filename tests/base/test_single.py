"""One process at a time, also after the first one died."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base.errors import AlreadyRunning
from orchestra.base.settings import ROOT
from orchestra.base.single import only_one

HOLDER = """
import sys
from pathlib import Path
from orchestra.base.single import only_one
with only_one("orchestrator", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_told_the_firsts_pid_and_death_gives_the_place_free(tmp_path: Path) -> None:
    database = tmp_path / "system.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(AlreadyRunning, match=f"pid {holder.pid}"),
        only_one("orchestrator", database),
    ):
        pass
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with only_one("orchestrator", database):
        lock = database.with_name("system.db.orchestrator.lock")
        assert lock.read_text() == str(os.getpid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root leaves a file that the owner cannot open")
def test_what_root_leaves_is_the_folders_owners(tmp_path: Path) -> None:
    """A ledger restored with sudo is traded on by the one whose folder it is."""
    nobody = 65534
    os.chown(tmp_path, nobody, nobody)
    with only_one("orchestrator", tmp_path / "system.db"):
        pass
    found = (tmp_path / "system.db.orchestrator.lock").stat()
    assert (found.st_uid, found.st_gid) == (nobody, nobody)
