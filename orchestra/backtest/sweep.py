"""Many values of an algorithm's parameters over one history, on all cores or on a Dask cluster.

One task is one choice of values. All that it needs travels with it (the algorithm's source, the bars, the
calendar), so that it runs on any machine that has this code. Every choice is run over the whole time and,
flat at their beginnings, over equal parts of it: for a walk forward, the best choice by the parts before
is what would have been chosen for the next one.
"""

import hashlib
import os
import tempfile
import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from pathlib import Path
from typing import Any

from database import calendar
from database.bars import Row
from orchestra.backtest.fills import FillRule
from orchestra.backtest.history import History
from orchestra.backtest.play import Past
from orchestra.backtest.result import Result, backtest
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError, BadInput
from orchestra.base.market_calendar import MINUTE, MarketCalendar, Session
from orchestra.subject import Subject

STAMP = itemgetter(0)  # of a row
Values = dict[str, int | float]

_lock = threading.Lock()  # the past is one for a whole process: a cluster's threads take turns
_work: "Work | None" = None  # of a local worker process
_folders: dict[str, tempfile.TemporaryDirectory[str]] = {}


@dataclass(frozen=True)
class Work:
    """All that a task needs besides its values. ``rows`` begin with ``warmup`` ones of before."""

    name: str
    source: bytes
    ticker: str
    capital: float
    fill: FillRule
    rows: list[Row]
    begin: str
    warmup: int
    last: str
    parts: list[list[Session]]
    calendar: MarketCalendar


@dataclass(frozen=True)
class Tried:
    """What came of one choice, or in ``failure`` why nothing did.

    ``parts`` are its returns in each part, ``held`` those of buy and hold.
    """

    values: Values
    measures: dict[str, Any]
    parts: list[float]
    held: list[float]
    failure: str = ""


@dataclass(frozen=True)
class Step:
    """One step of the walk forward: the choice by the parts before ``part``, and what it made of it."""

    part: int
    values: Values
    before: float  # its return in the parts before
    found: float
    held: float  # buy and hold in the same part


def work_of(subject: Subject, found: History, fill: FillRule, parts: int) -> Work:
    """Pack a subject and its history, its sessions cut into so many equal parts."""
    sessions = found.sessions
    if parts > len(sessions):
        raise BadInput(
            f"Expected a session or more for each of the {parts} parts, found {len(sessions)} in all:"
            " begin earlier, or choose fewer with --parts."
        )
    cuts = [len(sessions) * n // parts for n in range(parts + 1)]
    return Work(
        subject.path.stem,
        subject.path.read_bytes(),
        subject.ticker,
        subject.capital,
        fill,
        found.rows,
        found.past.begin,
        found.warmup,
        found.last,
        [sessions[cuts[n] : cuts[n + 1]] for n in range(parts)],
        calendar.calendar(),
    )


def keep(work: Work) -> None:
    """Have this work at hand in this process, so that a choice can be tried without it."""
    global _work
    _work = work


def try_out(work: Work | None, values: Values) -> Tried:
    """Run one choice of values; what the algorithm does wrong is in ``failure``."""
    work = work or _work
    assert work is not None
    with _lock, calendar.held(work.calendar):
        subject = Subject(_unpacked(work), work.ticker, work.capital, values)
        try:
            whole = _run(work, subject, [each for part in work.parts for each in part])
            parts = [_run(work, subject, part) for part in work.parts]
        except AutoTraderError as error:
            return Tried(values, {}, [], [], str(error))
        stopped = next((each.run.stopped for each in (whole, *parts) if each.run.stopped), "")
        if stopped:
            return Tried(values, {}, [], [], f"It {stopped}.")
        own = [each.measures["return"] for each in parts]
        held = [each.measures["buy_and_hold"]["return"] for each in parts]
        return Tried(values, whole.measures, own, held)


def walk_forward(tried: list[Tried]) -> list[Step]:
    """For each part but the first: the best choice by the parts before it, and its return there."""
    usable = [each for each in tried if not each.failure]
    steps = []
    for part in range(1, len(usable[0].parts) if usable else 0):
        best = max(usable, key=lambda each: compounded(each.parts[:part]))
        before = compounded(best.parts[:part])
        steps.append(Step(part, best.values, before, best.parts[part], best.held[part]))
    return steps


def compounded(returns: list[float]) -> float:
    """What returns one after the other make together."""
    return prod(1 + each for each in returns) - 1


def _unpacked(work: Work) -> Path:
    """The algorithm's file, written once in a process."""
    identity = hashlib.sha256(work.source).hexdigest()
    if identity not in _folders:
        _folders[identity] = tempfile.TemporaryDirectory(prefix="sweep-")
    path = Path(_folders[identity].name) / f"{work.name}.py"
    if not path.exists():
        path.write_bytes(work.source)
        os.utime(path, (0, 0))  # the loader waits for a file that was written a moment ago
    return path


def _run(work: Work, subject: Subject, sessions: list[Session]) -> Result:
    """Run over these sessions; what lies before them can be seen as far as it is there."""
    first = clock.stamp(sessions[0].open)
    last = min(work.last, clock.stamp(sessions[-1].close - MINUTE))
    rows = work.rows[: bisect_right(work.rows, last, key=STAMP)]
    warmup = bisect_left(rows, first, key=STAMP)
    if warmup == len(rows):
        raise BadInput(f"There are no bars of {work.ticker} from {first[:10]} to {last[:10]}.")

    def load(other: str) -> list[Row]:
        raise BadInput(f"A sweep holds the bars of {work.ticker} only, and {other} is asked for.")

    past = Past(rows, work.begin, load)
    return backtest(subject, History(sessions, rows, warmup, past, last), work.fill, limited=True)
