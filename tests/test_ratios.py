"""No hot path has become many times slower than its floor in the same run: tests/bench/guard.py."""

import json
import subprocess
import sys
from pathlib import Path

from orchestra.base.settings import ROOT
from tests.bench.guard import LIMITS


def test_the_hot_paths_stay_near_their_floors(tmp_path: Path) -> None:
    found = tmp_path / "rows.json"
    command = [sys.executable, "-m", "tests.bench.guard", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(found.read_text())
    assert {row["figure"] for row in rows} == set(LIMITS)
    assert [row for row in rows if not row["met"]] == [], done.stdout
