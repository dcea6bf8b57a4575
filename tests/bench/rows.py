"""A benchmark's rows: printed as they are measured, and kept as JSON for tests/bench/run.sh.

A benchmark is a module with a function ``measure(quick)`` that yields rows, ended by ``run(measure)``.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure beside what it is compared with in the same run.

    ``measured`` and ``beside`` carry their units; ``goal`` is in words, and ``met`` says whether it holds
    (None where a figure has no goal).
    """

    figure: str
    measured: str
    beside: str
    goal: str
    met: bool | None
    ratio: float | None = None


def at_most(figure: str, measured: float, beside: float, limit: float, unit: str) -> Row:
    """A row whose goal is a ratio: ``measured`` at most ``limit`` times ``beside``."""
    ratio = measured / beside
    return Row(
        figure,
        f"{measured:,.4g} {unit}",
        f"{beside:,.4g} {unit}",
        f"at most {limit:g}x",
        ratio <= limit,
        ratio,
    )


def at_least(figure: str, measured: float, beside: float, limit: float, unit: str) -> Row:
    """A row whose goal is a ratio: ``measured`` at least ``limit`` times ``beside``."""
    ratio = measured / beside
    return Row(
        figure,
        f"{measured:,.4g} {unit}",
        f"{beside:,.4g} {unit}",
        f"at least {limit:g}x",
        ratio >= limit,
        ratio,
    )


def line(row: Row) -> str:
    """The row for a terminal."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    return (
        f"{row.figure:58} {row.measured:>14} {row.beside:>14} {ratio:>8}  {row.goal:24} {verdict}"
    )


def run(measure: Callable[[bool], Iterable[Row]]) -> None:
    """Measure with the command line's ``--quick``; print each row, and write all to ``--json FILE``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller histories")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    chosen = parser.parse_args()
    found = []
    for row in measure(chosen.quick):
        print(line(row), flush=True)
        found.append(asdict(row))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found))
