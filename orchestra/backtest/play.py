"""Puts the past in the place of clock, calendar and databases, and lets the engine go through it."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from database import calendar, db_manager
from database.bars import Row
from database.past_bars import Load, PastBars
from orchestra import allowance, loader
from orchestra.backtest import deadline
from orchestra.backtest.engine import Decided, Engine, Run
from orchestra.backtest.fills import FillRule
from orchestra.backtest.schedule import Asking
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import AlgorithmFailed
from orchestra.base.settings import Settings
from orchestra.strikes import STRIKES
from orchestra.subject import Subject
from system_databse import system_db_manager
from system_databse.past_ledger import PastLedger

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing is fetched from within the past

Fill = tuple[str, int, float, str]
Sessions = Callable[[], Iterator[Iterator[Asking]]]


@dataclass(frozen=True)
class Past:
    """What can be known in a backtest: one ticker's rows from ``begin`` on, others' by ``load``."""

    rows: list[Row]
    begin: str
    load: Load


@dataclass
class Wishes:
    """How a backtest is run beyond its subject.

    ``recorded`` are fills that the card has had, as (side, shares, dollars, stamp), oldest first: it
    knows of each from its stamp on. Without a ``fill`` rule it gets no others.
    """

    fill: FillRule | None = field(default_factory=FillRule)
    cushion_bps: float = 0.0
    strikes: int | None = STRIKES  # failures in a row that end it; None: it goes on
    limited: bool = False  # by the wall's deadline: the file's import, and each run
    algo_id: int = 1
    recorded: list[Fill] = field(default_factory=list)
    journal: list[Decided] | None = None
    started: Callable[[Engine], object] = lambda engine: None
    progress: Callable[[int], object] = lambda sessions: None


def play(subject: Subject, past: Past, sessions: Sessions, wishes: Wishes) -> Run:
    """Run the subject through the sessions.

    Bars and transactions are handed out uncopied, for speed. An algorithm that writes into them is run
    a second time with copies, so that what it wrote is never seen again: the wall forgets it as well.
    Raises AlgorithmFailed where the file cannot be loaded.
    """
    megabytes = settings.current().algorithm_memory_mb

    def load(ticker: str) -> list[Row]:
        rows = past.load(ticker)
        allowance.cap_memory(megabytes)  # beyond another ticker's years as well
        return rows

    for copies in (False, True):
        bars = PastBars(subject.ticker, past.rows, past.begin, load, copies)
        card = (subject.ticker, subject.path.stem, subject.capital)
        ledger = PastLedger(*card, algo_id=wishes.algo_id, copies=copies)
        if wishes.journal is not None:
            wishes.journal.clear()
        with _stage(subject, bars, ledger):
            run = _go(subject, past, bars, ledger, sessions, wishes, copies)
            if copies or (bars.unchanged() and ledger.unchanged()):
                break
    return run


def _go(
    subject: Subject,
    past: Past,
    bars: PastBars,
    ledger: PastLedger,
    sessions: Sessions,
    wishes: Wishes,
    copies: bool,
) -> Run:
    longest = settings.current().algorithm_deadline_seconds if wishes.limited else 0.0
    engine = Engine(
        subject,
        _algorithm(subject, longest),
        past.rows,
        bars,
        ledger,
        wishes.fill,
        wishes.journal,
        wishes.cushion_bps,
        wishes.strikes,
        longest,
    )
    wishes.started(engine)
    done = 0

    def goes_on() -> bool:
        nonlocal done
        done += 1
        wishes.progress(1)
        # Whoever writes into its bars mostly does so at once: then the rest need not be waited for
        return copies or done > 1 or (bars.unchanged() and ledger.unchanged())

    with allowance.capped_memory(settings.current().algorithm_memory_mb):
        return engine.go(_recorded(sessions(), ledger, wishes.recorded), goes_on)


def _recorded(
    sessions: Iterator[Iterator[Asking]], ledger: PastLedger, fills: list[Fill]
) -> Iterator[Iterator[Asking]]:
    """Enter each recorded fill before the first asking after it."""
    waiting = deque(fills)

    def entered(asking: Asking) -> Asking:
        while waiting and waiting[0][-1] < asking[1]:
            ledger.add(*waiting.popleft())
        return asking

    return (map(entered, session) for session in sessions) if fills else sessions


def _algorithm(subject: Subject, longest: float) -> type:
    """The file's class; whatever goes wrong in importing it is told in a line.

    It is imported anew: what a run over later minutes has left in a module's variables is the future.
    """
    try:
        with deadline.enforced(longest, lambda: 0):
            algorithm: type = loader.load_algorithm(subject.path.stem, anew=True)
        return algorithm
    except AlgorithmFailed:
        raise
    except BaseException as error:
        if loader.is_ctrl_c(error):
            raise
        raise AlgorithmFailed(loader.summary(error, subject.path.name)) from error


@contextmanager
def seen_from(bars: PastBars) -> Iterator[None]:
    """Let every question about time and bars be answered as of the minute that ``bars`` is at."""
    with (
        calendar.held(calendar.calendar()),
        clock.held(lambda: clock.parse(bars.now)),
        db_manager.answered_by(bars),
    ):
        yield


@contextmanager
def _stage(subject: Subject, bars: PastBars, ledger: PastLedger) -> Iterator[None]:
    """Let every question be answered from the past; whoever opens a database finds an empty one."""
    real = settings.current()
    with ExitStack() as stack:
        stack.enter_context(seen_from(bars))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-")))
        stack.callback(_leave, real, folder)
        settings.adopt(_staged(real, folder, subject.path.parent))
        stack.enter_context(system_db_manager.answered_by(ledger))
        yield


def _staged(real: Settings, folder: Path, algorithms: Path) -> Settings:
    return replace(
        real,
        system_db=folder / "system.db",
        stocks_db=folder / "stocks.db",
        algorithms_dir=algorithms,
        alpaca_api_key="",
        alpaca_secret="",
        alpaca_trading_url=NOWHERE,
        alpaca_data_url=NOWHERE,
        alpaca_stream_url="ws://127.0.0.1:9",
    )


def _leave(real: Settings, folder: Path) -> None:
    sqlite.close_kept(folder)  # other tickers' bars are still to be read from the real one
    settings.adopt(real)
