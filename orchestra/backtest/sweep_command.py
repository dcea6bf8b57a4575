"""``python -m orchestra sweep``: which values would have done best, and would that have helped?"""

import json
import sys
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import product
from pathlib import Path

import click

from orchestra import catalog, parameters, subject
from orchestra.backtest import research, sweep
from orchestra.backtest.command import read_history
from orchestra.backtest.fills import FillRule
from orchestra.backtest.output import interrupted_once, writing
from orchestra.backtest.sweep import Tried, Values
from orchestra.backtest.sweep_report import Report, lines, report_of, write_csv
from orchestra.backtest.sweep_workers import ClusterWorkers, LocalWorkers, Workers, WorkersLost
from orchestra.base.errors import AutoTraderError, BadInput
from orchestra.base.tickers import ticker as ticker_of
from orchestra.subject import Subject

MOST_CHOICES = 100_000


def run(
    algorithm: str,
    ticker: str,
    ranges: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    capital: float,
    fill: str,
    slippage_bps: float,
    warmup: int,
    parts: int,
    workers: int | None,
    scheduler: str | None,
    csv_file: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Try every choice of values and print what came of them, best first.

    What ends it early, Ctrl-C or a worker's death, leaves the choices that are done to be printed.
    """
    try:
        if plot is not None:
            research.require("matplotlib", "--plot")
        path = subject.file_of(algorithm)
        choices = choices_of(path, ranges)
        chosen = Subject(path, ticker_of(ticker), capital, choices[0])
        found = read_history(chosen, start, end, warmup)
        work = sweep.work_of(chosen, found, FillRule(fill, slippage_bps), parts)
        with interrupted_once():
            by: Workers = (
                ClusterWorkers(work, scheduler) if scheduler else LocalWorkers(work, workers)
            )
            tried, lost = _try_all(by, choices)
            report = report_of(work, tried, len(choices), found.notes, lost)
            click.echo(json.dumps(report) if as_json else "\n".join(lines(report)))
            _write(report, csv_file, plot)
    except BadInput as error:
        raise click.UsageError(str(error)) from None
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    if lost:
        raise click.ClickException(lost)


def _write(report: Report, csv_file: Path | None, plot: Path | None) -> None:
    """Write the files that are wished; after the report is printed, for a disk may be full."""
    if csv_file is not None:
        with writing(csv_file):
            write_csv(csv_file, report)
    if plot is not None:
        from orchestra.backtest.heat_map import draw  # matplotlib takes a second to load

        with writing(plot):
            draw(report, plot)


def choices_of(path: Path, ranges: tuple[str, ...]) -> list[Values]:
    """Every choice of values within the ranges, the others at their defaults. Raises BadInput."""
    entry = catalog.describe(path)
    if entry.error is not None:
        raise BadInput(f"{path.name} cannot be run: {entry.error}")
    declared = parameters.declared(entry.parameters)
    axes = dict(_axis(text) for text in ranges)
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_CHOICES:
        raise BadInput(f"{count:,} choices are too many: at most {MOST_CHOICES:,}.")
    return [
        parameters.chosen(declared, dict(zip(axes, values, strict=True)))
        for values in product(*axes.values())
    ]


def _axis(text: str) -> tuple[str, list[int | float]]:
    """Read NAME=FIRST:LAST:STEP (LAST included) or NAME=VALUE."""
    name, _, given = text.partition("=")
    try:
        numbers = [Decimal(each) for each in given.split(":")]
        first, last, step = (numbers * 2 + [Decimal(1)])[:3] if len(numbers) == 1 else numbers
        if not (step > 0 and first <= last and all(each.is_finite() for each in numbers)):
            raise ValueError
    except (ValueError, InvalidOperation):
        raise BadInput(
            f"Expected NAME=FIRST:LAST:STEP, like short=5:40:5, or NAME=VALUE, found {text!r}."
        ) from None
    count = int((last - first) / step) + 1
    if count > MOST_CHOICES:
        raise BadInput(f"{name}: {count:,} values are too many.")
    values = [first + n * step for n in range(count)]
    whole = all(each == int(each) for each in values)
    return name.strip(), [int(each) if whole else float(each) for each in values]


def _try_all(workers: Workers, choices: list[Values]) -> tuple[list[Tried], str]:
    """What came of the choices, in their order, and why not of all; after Ctrl-C, of those done."""
    futures: list[Future[Tried]] = []
    lost = ""
    label = "Trying"
    with workers, click.progressbar(length=len(choices), label=label, file=sys.stderr) as bar:
        try:
            for values in choices:
                futures.append(workers.submit(values))
            for _ in workers.answers(futures):
                bar.update(1)
        except KeyboardInterrupt:
            pass
        except WorkersLost as error:
            lost = str(error)
    return [future.result() for future in futures if _is_answered(future)], lost


def _is_answered(future: Future[Tried]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
