"""What a sweep has shown: as one object, as a table, as a file."""

import csv
from pathlib import Path
from typing import Any

from orchestra.backtest import sweep
from orchestra.backtest.measures import BASIC
from orchestra.backtest.sweep import Tried, Values, Work
from orchestra.base.errors import AutoTraderError, BadInput

SHOWN = 10  # of the best, in the table
FAILURES_SHOWN = 3

Report = dict[str, Any]


def report_of(
    work: Work, tried: list[Tried], asked: int, notes: list[str], lost: str = ""
) -> Report:
    """The one object that ``--json`` prints: choices best first, fractions of one.

    ``lost`` says why not all of the ``asked`` choices are there, where nobody has interrupted it.
    Raises BadInput where not one could be tried, AutoTraderError where none was answered by then.
    """
    usable = [each for each in tried if not each.failure]
    if not usable:
        if lost:
            raise AutoTraderError(lost)
        why = tried[0].failure if tried else "it was interrupted before the first one was done"
        raise BadInput(f"Not one choice could be tried: {why}")
    ranked = sorted(usable, key=lambda each: each.measures["return"], reverse=True)
    failed = [each for each in tried if each.failure]
    return {
        "ticker": work.ticker,
        "algorithm": work.name,
        "start": work.parts[0][0].day.isoformat(),
        "end": work.parts[-1][-1].day.isoformat(),
        "capital": work.capital,
        "fill": work.fill.name,
        "slippage_bps": work.fill.slippage_bps,
        "choices": [_choice(each) for each in ranked],
        "buy_and_hold": ranked[0].measures["buy_and_hold"],
        "parts": [
            {
                "start": part[0].day.isoformat(),
                "end": part[-1].day.isoformat(),
                "buy_and_hold": held,
            }
            for part, held in zip(work.parts, ranked[0].held, strict=True)
        ],
        "walk_forward": _walk_forward(work, usable),
        "failed": [{"parameters": each.values, "failure": each.failure} for each in failed],
        "notes": [*notes, *_notes(tried, failed, asked, lost)],
    }


def _choice(each: Tried) -> Report:
    figures = {name: each.measures[name] for name in BASIC}
    return {"parameters": each.values, **figures, "parts": each.parts}


def _walk_forward(work: Work, usable: list[Tried]) -> Report:
    steps = sweep.walk_forward(usable)
    return {
        "steps": [
            {
                "start": work.parts[step.part][0].day.isoformat(),
                "parameters": step.values,
                "before": step.before,
                "return": step.found,
                "buy_and_hold": step.held,
            }
            for step in steps
        ],
        "return": sweep.compounded([step.found for step in steps]),
        "buy_and_hold": sweep.compounded([step.held for step in steps]),
    }


def _notes(tried: list[Tried], failed: list[Tried], asked: int, lost: str) -> list[str]:
    notes = []
    if len(tried) < asked:
        why = lost or "It was interrupted:"
        notes.append(f"{why} {len(tried)} of {asked} choices are done.")
    return notes + [
        f"{_words(each.values)} failed: {each.failure}" for each in failed[:FAILURES_SHOWN]
    ]


def lines(report: Report) -> list[str]:
    """The report for a person."""
    best, walk = report["choices"], report["walk_forward"]
    found = [
        f"{report['algorithm']} on {report['ticker']}, {report['start']} to {report['end']}:"
        f" {len(best):,} choices; buy and hold {report['buy_and_hold']['return']:+.2%}.",
        "",
        f"{'return':>9}{'worst':>9}{'trades':>8}  parameters",
    ]
    for each in best[:SHOWN]:
        found.append(
            f"{each['return']:>+9.2%}{each['max_drawdown']:>9.2%}{each['trades']:>8,}"
            f"  {_words(each['parameters'])}"
        )
    if walk["steps"]:
        found += ["", "Walking forward, with what was best in all parts before:"]
    for step in walk["steps"]:
        found.append(
            f"from {step['start']}: {step['return']:+.2%} with {_words(step['parameters'])}"
            f" ({step['before']:+.2%} before); buy and hold {step['buy_and_hold']:+.2%}"
        )
    if walk["steps"]:
        found.append(f"together {walk['return']:+.2%}, buy and hold {walk['buy_and_hold']:+.2%}")
    return found + [f"NOTE: {note}" for note in report["notes"]]


def _words(values: Values) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def write_csv(path: Path, report: Report) -> None:
    """A row for each choice, best first."""
    names = list(report["choices"][0]["parameters"])
    parts = [f"return_from_{part['start']}" for part in report["parts"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, *BASIC, *parts])
        for each in report["choices"]:
            values = [each["parameters"][name] for name in names]
            writer.writerow([*values, *(each[name] for name in BASIC), *each["parts"]])
