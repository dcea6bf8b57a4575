"""``python -m orchestra backtest``: what would this file have done?"""

import csv
import gc
import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from orchestra import catalog, machine_clock, parameters, subject
from orchestra.backtest import history, research
from orchestra.backtest.fills import FillRule
from orchestra.backtest.history import History, Progress
from orchestra.backtest.output import interruptible, silence, writing
from orchestra.backtest.result import Result
from orchestra.backtest.result import backtest as go
from orchestra.backtest.table import lines
from orchestra.base.errors import AutoTraderError, BadInput
from orchestra.base.tickers import ticker as ticker_of
from orchestra.subject import Subject

RARELY = 100_000  # new objects between searches for garbage: what a backtest reads is none


def backtest(
    algorithm: str,
    ticker: str,
    start: datetime | None,
    end: datetime | None,
    capital: float,
    pairs: tuple[str, ...],
    fill: str,
    slippage_bps: float,
    warmup: int,
    measures_of_the_trade: bool,
    folder: Path | None,
    plot: Path | None,
    as_json: bool,
) -> bool:
    """Run one backtest and print its result; whether the algorithm went through without failing thrice."""
    gc.set_threshold(RARELY)
    try:
        if plot is not None:
            research.require("matplotlib", "--plot")
        chosen = _subject(algorithm, ticker, capital, pairs)
        found = read_history(chosen, start, end, warmup)
        result = _with_progress(chosen, found, FillRule(fill, slippage_bps))
        if measures_of_the_trade:
            research.add_to(result)
        click.echo(json.dumps(result.as_dict()) if as_json else "\n".join(lines(result)))
        if folder is not None:
            with writing(folder):
                _write_csv(result, folder)
        if plot is not None:
            from orchestra.backtest.plot import draw  # matplotlib takes a second to load

            with writing(plot):
                draw(result, plot)
    except BadInput as error:
        raise click.UsageError(str(error)) from None
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    return not result.run.stopped.startswith("failed")


def _subject(algorithm: str, ticker: str, capital: float, pairs: tuple[str, ...]) -> Subject:
    path, given = subject.file_of(algorithm), subject.values_of(pairs)
    entry = catalog.describe(path)
    if entry.error is not None:
        raise BadInput(f"{path.name} cannot be run: {entry.error}")
    values = parameters.chosen(parameters.declared(entry.parameters), given)
    return Subject(path, ticker_of(ticker), capital, values)


def read_history(
    chosen: Subject, start: datetime | None, end: datetime | None, warmup: int
) -> History:
    """Read what the command's options name, showing how a fetch goes on. Raises BadInput.

    Its notes begin with the file's: once it has run, its author may have it half edited.
    """
    sessions = history.sessions_of(start and start.date(), end and end.date())

    def fetching(minutes: int, work: Callable[[Progress], object]) -> object:
        label = f"Fetching {chosen.ticker}"
        with click.progressbar(length=minutes, label=label, file=sys.stderr) as bar:
            return work(bar.update)

    found = history.read(chosen.ticker, sessions, warmup, fetching)
    found.notes[:0] = machine_clock.warnings(chosen.path)
    return found


def _with_progress(chosen: Subject, found: History, fill: FillRule) -> Result:
    """Ctrl-C ends it before the next minute, a second one in the middle of a run."""
    length = len(found.sessions)
    with (
        click.progressbar(length=length, label="Going through", file=sys.stderr) as bar,
        silence(),
        interruptible() as started,
    ):
        return go(chosen, found, fill, started, bar.update, limited=True)


def _write_csv(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    trades: list[dict[str, Any]] = result.as_dict()["trades"]
    names = ("bar", "timestamp", "type", "shares", "price")
    _write(folder / "trades.csv", names, (tuple(trade.values()) for trade in trades))
    points = zip(
        result.stamps,
        map("{:.6f}".format, result.equity.values),
        map("{:.6f}".format, result.yardstick.values),
        strict=True,
    )
    _write(folder / "equity.csv", ("timestamp", "equity", "buy_and_hold"), points)


def _write(path: Path, names: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
