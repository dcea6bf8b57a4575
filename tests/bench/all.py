"""Every benchmark, each in a process of its own, and docs/benchmarks.md: ``tests/bench/run.sh``."""

import argparse
import importlib.metadata
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestra.base import clock
from orchestra.base.settings import ROOT
from tests.bench.rows import Row

PAGE = ROOT / "docs" / "benchmarks.md"
MISSES = Path(__file__).with_name("misses.md")  # written by hand: what cannot be reached, and why
SECTIONS = {
    "minute": "The minute",
    "guests": "Algorithms",
    "api": "The page's server",
    "page": "The page",
    "data": "Market data",
    "backtest": "Backtest",
    "start": "Start and packages",
}
SHOWN_PACKAGES = ("alpaca-py", "flask", "gunicorn", "numpy", "pandas")
MINUTES_ALLOWED = 25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller histories")
    parser.add_argument("--only", choices=SECTIONS, help="one benchmark, and nothing is written")
    chosen = parser.parse_args()
    begun = clock.elapsed()
    found = {name: rows_of(name, chosen.quick) for name in SECTIONS if chosen.only in (None, name)}
    minutes = (clock.elapsed() - begun) / 60
    if chosen.only is None:
        PAGE.write_text(page(found, minutes, chosen.quick))
        print(f"{PAGE.relative_to(ROOT)} is written; it took {minutes:.1f} minutes.")
    return 0 if all(rows is not None for rows in found.values()) else 1


def rows_of(name: str, quick: bool) -> list[Row] | None:
    """Run one benchmark; None where it failed."""
    print(f"\n{SECTIONS[name]}", flush=True)
    begun = clock.elapsed()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"tests.bench.{name}", "--json", str(out)]
        done = subprocess.run(command + ["--quick"] * quick, cwd=ROOT)
        print(f"({clock.elapsed() - begun:.0f} s)", flush=True)
        if done.returncode != 0 or not out.exists():
            return None
        return [Row(**row) for row in json.loads(out.read_text())]


def page(found: dict[str, list[Row] | None], minutes: float, quick: bool) -> str:
    every = [row for rows in found.values() for row in rows or []]
    met, missed = (sum(row.met is want for row in every) for want in (True, False))
    lines = [
        "# Benchmarks",
        "",
        f"Written by `tests/bench/run.sh{' --quick' * quick}` on {clock.machine_now():%Y-%m-%d} in"
        f" {minutes:.0f} minutes: {met} goals met, {missed} missed.",
        "",
        f"{os.cpu_count()} cores ({processor()}), {memory_gb():.0f} GB, {platform.system()}"
        f" {platform.release()}; Python {platform.python_version()}, SQLite"
        f" {sqlite3.sqlite_version}, {versions()}.",
        "",
        "What a figure stands beside was measured in the same run on the same machine: a bare loop, bare"
        " SQLite, a rival.",
    ]
    for name, rows in found.items():
        lines += ["", f"## {SECTIONS[name]}", ""]
        if rows is None:
            lines.append(f"It could not be measured: `python -m tests.bench.{name}` failed.")
            continue
        lines += ["| figure | measured | beside | ratio | goal | |", "|---|---|---|---|---|---|"]
        lines += [cells(row) for row in rows]
    return "\n".join(lines) + "\n\n" + MISSES.read_text()


def cells(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    verdict = {True: "met", False: "**missed**", None: ""}[row.met]
    return f"| {row.figure} | {row.measured} | {row.beside} | {ratio} | {row.goal} | {verdict} |"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def versions() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in SHOWN_PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
