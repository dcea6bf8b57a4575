"""``python -m orchestra check``: is this algorithm fit for the wall? A rehearsal, and what it has shown."""

import json
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click

from orchestra import catalog, forgotten, machine_clock, parameters, subject
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError, BadInput
from orchestra.catalog import CatalogEntry
from orchestra.decision import kind_of
from orchestra.rehearsal import SAMPLES, Difference, Outcome, Rehearsal, Run, rehearse
from orchestra.runner import SLOW_SECONDS
from orchestra.subject import Subject

MOST_SHOWN = 3  # tracebacks; --json has them all

Report = dict[str, Any]


def check(
    algorithm: str,
    ticker: str,
    capital: float,
    minutes: int,
    pairs: tuple[str, ...],
    as_json: bool,
) -> bool:
    """Check one algorithm and print what was found; whether it is fine."""
    try:
        path, values = subject.file_of(algorithm), subject.values_of(pairs)
    except BadInput as error:
        raise click.UsageError(str(error)) from None
    entry = catalog.describe(path)
    report = _described(path, entry, ticker)
    try:
        if entry.error is None:
            chosen = parameters.chosen(parameters.declared(entry.parameters), values)
            report["parameters"] = chosen
            report["forgotten"] = forgotten.attributes(path)
            report["machine_clock"] = machine_clock.warnings(path)
            card = Subject(path, ticker, capital, chosen)
            length = minutes + 2 * min(minutes, SAMPLES)
            with click.progressbar(length=length, label="Rehearsing", file=sys.stderr) as bar:
                report |= _seen(rehearse(card, minutes, bar.update))
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    report["problems"], report["warnings"] = _problems(report), _warnings(report)
    report["ok"] = not report["problems"]
    click.echo(json.dumps(report) if as_json else "\n".join(_lines(report)))
    return bool(report["ok"])


def _described(path: Path, entry: CatalogEntry, ticker: str) -> Report:
    return {
        "algorithm": entry.name,
        "file": str(path),
        "title": entry.title,
        "description": entry.description,
        "error": entry.error,
        "parameters": {},
        "forgotten": [],
        "machine_clock": [],
        "ticker": ticker,
    }


def _seen(found: Rehearsal) -> Report:
    runs = found.runs
    first, *later = [run.heard.result.milliseconds for run in runs]
    later = sorted(later) or [first]
    actions = [run.outcome[0] for run in runs]
    return {
        "bars": {
            "source": found.source,
            "asked": len(runs),
            "first": runs[0].bar["timestamp"],
            "last": runs[-1].bar["timestamp"],
            "ended_early": found.ended_early,
            "other_tickers": found.others,
        },
        "decisions": {name: actions.count(name) for name in ("buy", "sell", "hold", "failed")},
        "errors": _grouped([run for run in runs if run.outcome[0] == "failed"], "error"),
        "refused": _grouped([run for run in runs if _is_refused(run)], "reason"),
        "milliseconds": {
            "first": round(first, 3),
            "median": round(median(later), 3),
            "p99": round(later[(len(later) * 99 - 1) // 100], 3),
            "worst": round(later[-1], 3),
        },
        "memory_mb": round(found.memory_mb, 1),
        "printed": found.printed,
        "left_changed": found.left,
        "compared_minutes": found.compared,
        "look_ahead": [_difference(each) for each in found.looked_ahead],
        "unsteady": [_difference(each) for each in found.unsteady],
        "databases_opened": [
            asdict(each) for each in sorted(found.opened, key=lambda each: each.line)
        ],
    }


def _is_refused(run: Run) -> bool:
    return run.outcome[0] in ("buy", "sell") and run.checked.shares == 0


def _grouped(runs: list[Run], name: str) -> list[Report]:
    """One entry for each kind, figures aside, with the first of it."""
    groups: dict[str, Report] = {}
    for run in runs:
        result = run.heard.result
        text = result.summary if result.answer is None else run.checked.reason
        group = groups.setdefault(kind_of(text), {name: text, "count": 0, "first": run.moment})
        group["count"] += 1
        if result.answer is None:
            group.setdefault("traceback", result.failure)
    return list(groups.values())


def _difference(found: Difference) -> Report:
    return {"minute": found.moment, "first": found.first, "second": found.second}


def _problems(report: Report) -> list[str]:
    """Each thing that keeps it from the wall, in a sentence."""
    if report["error"] is not None:
        return [f"It cannot be run: {report['error']}"]
    found = [
        f"Failed in {each['count']} of {report['bars']['asked']} minutes,"
        f" first at {each['first']}: {each['error']}"
        for each in report["errors"]
    ]
    found += [
        f"Refused in {each['count']} minutes, first at {each['first']}: {each['reason']}"
        for each in report["refused"]
    ]
    found += [
        f"It looks ahead: at {each['minute']} it answers {_words(each['first'])}, but"
        f" {_words(each['second'])} when later bars do not exist{more}. Ask with"
        " before_timestamp=current_time, or end=current_time."
        for each, more in _first(report["look_ahead"])
    ]
    found += [
        f"It is not steady: asked twice at {each['minute']} on the same data it answers"
        f" {_words(each['first'])}, then {_words(each['second'])} in a fresh process{more}. What it"
        " must remember comes from its transactions."
        for each, more in _first(report["unsteady"])
    ]
    return found + [
        f"Line {each['line']} opens the database {each['database']} itself: ask db_manager and"
        " system_db_manager."
        for each in report["databases_opened"]
    ]


def _first(differences: list[Report]) -> list[tuple[Report, str]]:
    """The first of them, and how many more there are."""
    more = len(differences) - 1
    return [(each, f" ({more} more like it)" if more else "") for each in differences[:1]]


def _words(found: Outcome) -> str:
    action, shares, reason = found
    return f"{action} {shares}" + (f" ({reason})" if reason else "")


def _warnings(report: Report) -> list[str]:
    found = [
        f"A method sets self.{name} again, which the next minute does not know: each has a new object."
        " What it must remember comes from its transactions."
        for name in report["forgotten"]
    ]
    found += report["machine_clock"]
    if report.get("printed"):
        found.append("It prints; nobody sees that on the wall. A reason is shown on the card.")
    if report.get("left_changed"):
        found.append(
            f"It leaves its worker changed ({report['left_changed']}): such a worker is ended after its"
            " run, which takes time."
        )
    slowest = max(report.get("milliseconds", {"": 0.0}).values())
    if slowest > SLOW_SECONDS * 1000:
        found.append(f"A run took {slowest / 1000:.1f} s: slow cards are asked last.")
    if report.get("bars", {}).get("ended_early"):
        found.append(
            "It failed three times in a row, where the terminal pauses a card; so ended this."
        )
    return found


def _lines(report: Report) -> list[str]:
    """The report for a person."""
    lines = [
        f"{report['title']} ({Path(report['file']).name}): {report['description']}".rstrip(": ")
    ]
    if report["parameters"]:
        pairs = (f"{name} = {value}" for name, value in report["parameters"].items())
        lines.append(f"Parameters: {', '.join(pairs)}")
    if "bars" in report:
        lines += _figures(report)
    if report.get("printed"):
        lines += ["Printed at the end:", textwrap.indent(report["printed"].rstrip(), "    ")]
    for each in report.get("errors", [])[:MOST_SHOWN]:
        lines.append(textwrap.indent(each["traceback"].rstrip(), "    "))
    if (left_out := len(report.get("errors", [])) - MOST_SHOWN) > 0:
        lines.append(f"{left_out} more tracebacks are in --json.")
    lines += [f"WARNING: {sentence}" for sentence in report["warnings"]]
    lines += [f"PROBLEM: {sentence}" for sentence in report["problems"]]
    count = len(report["problems"])
    return [*lines, f"{count} problem{'s' * (count > 1)}." if count else "Fine."]


def _figures(report: Report) -> list[str]:
    bars, took = report["bars"], report["milliseconds"]
    counted = ", ".join(f"{count} {name}" for name, count in report["decisions"].items())
    first, last = (f"{clock.parse(bars[each]):%Y-%m-%d %H:%M}" for each in ("first", "last"))
    return [
        f"Asked after each of {bars['asked']} {bars['source']} bars of {report['ticker']},"
        f" {first} to {last} UTC.",
        *(
            [f"It also asked for {', '.join(bars['other_tickers'])}."]
            if bars["other_tickers"]
            else []
        ),
        f"Decisions: {counted}.",
        f"Time of a run: median {took['median']:.2f} ms, 99 of 100 within {took['p99']:.2f} ms, worst"
        f" {took['worst']:.2f} ms; the first, with the import, {took['first']:.0f} ms.",
        f"Memory: {report['memory_mb']:.1f} MB beyond what every worker has.",
        f"Asked again at {report['compared_minutes']} minutes as if later bars did not exist:"
        f" {len(report['look_ahead'])} answers differ.",
    ]
