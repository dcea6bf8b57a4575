"""Rehearses an algorithm over past minutes, away from the real ledger."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from database import db_manager, rehearsal_bars
from orchestra import decision
from orchestra.base import clock, settings, sqlite
from orchestra.base.market_calendar import nyse
from orchestra.decision import Checked, Means
from orchestra.rehearsal_process import Heard, Opened, RehearsalProcess
from orchestra.strikes import STRIKES
from orchestra.subject import Subject
from orchestra.worker import Task
from system_databse import system_db_manager

AFTER_THE_MINUTE = timedelta(seconds=2)
HISTORY = timedelta(days=30)  # so much of what came before the rehearsed minutes is there
SAMPLES = 20
NOWHERE = "http://127.0.0.1:9"  # the discard port: a rehearsal fetches nothing

Trade = tuple[str, int, float, str]
Outcome = tuple[str, int, str]


@dataclass(frozen=True)
class Run:
    """One minute's run: the stamp it was given, the bar it decided on, the trades before it."""

    moment: str
    bar: dict[str, float | str]
    trades_before: int
    heard: Heard
    checked: Checked

    @property
    def outcome(self) -> Outcome:
        return outcome(self.heard)


@dataclass(frozen=True)
class Difference:
    """A minute in which a second run of the same question came out differently."""

    moment: str
    first: Outcome
    second: Outcome


@dataclass
class Rehearsal:
    """All that was seen. ``source`` is stored or generated; ``compared`` counts the sampled minutes."""

    source: str
    runs: list[Run] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # further tickers it asked for
    ended_early: bool = False
    compared: int = 0
    looked_ahead: list[Difference] = field(default_factory=list)
    unsteady: list[Difference] = field(default_factory=list)
    opened: set[Opened] = field(default_factory=set)
    memory_mb: float = 0.0
    printed: str = ""
    left: str = ""  # what is changed in its process


def outcome(heard: Heard) -> Outcome:
    """The answer as (action, shares, reason), or ("failed", 0, what went wrong)."""
    answer = heard.result.answer
    if answer is None:
        return ("failed", 0, heard.result.summary)
    return (answer.action, answer.shares, answer.reason)


def rehearse(subject: Subject, minutes: int, progress: Callable[[int], None]) -> Rehearsal:
    """Ask the algorithm after each of its ticker's newest ``minutes`` bars, and some minutes again.

    Where too few bars are stored and none can be fetched, over generated ones. A further ticker that it
    asks for is there as well, from the same source. ``progress`` is told after each run.
    """
    known = db_manager.get_data_for_algorithm(subject.ticker, "last_n_bars", n=2 * minutes)
    real = settings.current()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name, _stage(subject, Path(name)):
        since = None
        if len(known) >= minutes:
            since = clock.stamp(clock.parse(known[-minutes]["timestamp"]) - HISTORY)
            rehearsal_bars.copy_from(real.stocks_db_path, since)
        else:
            rehearsal_bars.generate(subject.ticker, 3 * minutes)
        found = Rehearsal("stored" if since else "generated")
        process = RehearsalProcess(subject.path, clock.shared_settings(), Path(name) / "screen")

        def provide(ticker: str) -> None:
            if since is None:
                return rehearsal_bars.generate(ticker, 3 * minutes)
            with _adopted(real):
                db_manager.get_data_for_algorithm(ticker, "last_n_bars", n=2 * minutes)
            rehearsal_bars.copy_from(real.stocks_db_path, since, ticker)

        try:
            _Stage(subject, process, found, provide, progress, real.cushion_bps).play(minutes)
        finally:
            process.close()
    return found


@contextmanager
def _stage(subject: Subject, folder: Path) -> Iterator[None]:
    """Put databases of the rehearsal's own in the place of the real ones, and no exchange."""
    staged = replace(
        clock.shared_settings(),
        system_db=folder / "system.db",
        stocks_db=folder / "stocks.db",
        algorithms_dir=subject.path.parent,
        alpaca_trading_url=NOWHERE,
        alpaca_data_url=NOWHERE,
        alpaca_stream_url="ws://127.0.0.1:9",
    )
    with _adopted(staged):
        try:
            yield
        finally:
            sqlite.close_kept()


@contextmanager
def _adopted(chosen: settings.Settings) -> Iterator[None]:
    before = settings.current()
    settings.adopt(chosen)
    try:
        yield
    finally:
        settings.adopt(before)


class _Stage:
    """The passes of one rehearsal."""

    def __init__(
        self,
        subject: Subject,
        process: RehearsalProcess,
        found: Rehearsal,
        provide: Callable[[str], None],
        progress: Callable[[int], None],
        cushion_bps: float,
    ) -> None:
        self._subject, self._process, self._found = subject, process, found
        self._provide, self._progress, self._cushion = provide, progress, cushion_bps
        self._trades: list[Trade] = []
        self._card = system_db_manager.create_algorithm(
            subject.ticker, subject.path.stem, subject.capital
        )

    def play(self, minutes: int) -> None:
        """Ask minute by minute; then some minutes again, and again as a backtest does."""
        self._go_through(minutes)
        self._found.printed = self._found.printed or self._process.screen()
        runs = _sampled(self._found.runs)
        again = self._repeat(runs, as_of=False)
        without = self._repeat(runs, as_of=True)
        for run, same, bare in zip(runs, again, without, strict=True):
            if same[:2] != run.outcome[:2]:
                self._found.unsteady.append(Difference(run.moment, run.outcome, same))
            elif bare[:2] != run.outcome[:2] or (same == run.outcome != bare):
                self._found.looked_ahead.append(Difference(run.moment, run.outcome, bare))
        self._found.compared = len(runs)

    def _go_through(self, minutes: int) -> None:
        cash, shares, failures = self._subject.capital, 0, 0
        ticker = self._subject.ticker
        for bar in db_manager.get_data_for_algorithm(ticker, "last_n_bars", n=minutes):
            moment = _moment_after(bar["timestamp"])
            heard = self._ask(moment)
            answer = heard.result.answer
            checked = Checked(0)
            if answer is not None:
                means = Means(cash, shares, bar["close"], self._cushion)
                checked = decision.check(answer, means)
            self._found.runs.append(Run(moment, bar, len(self._trades), heard, checked))
            if answer is not None and checked.shares:
                signed = checked.shares if answer.action == "buy" else -checked.shares
                cash, shares = cash - signed * bar["close"], shares + signed
                self._trades.append((answer.action, checked.shares, bar["close"], moment))
                _record(self._card, self._trades[-1:])
            failures = failures + 1 if answer is None else 0
            if failures == STRIKES:
                self._found.ended_early = True
                return

    def _repeat(self, runs: list[Run], *, as_of: bool) -> list[Outcome]:
        """Ask again in fresh processes; ``as_of``: with a backtest's view, which ends at the minute's bar."""
        found = []
        for run in runs:
            _forget_trades()
            _record(self._card, self._trades[: run.trades_before])
            self._process.restart()
            newest = str(run.bar["timestamp"]) if as_of else None
            found.append(outcome(self._ask(run.moment, newest)))
        return found

    def _ask(self, moment: str, newest: str | None = None) -> Heard:
        subject = self._subject
        task = Task(
            self._card,
            subject.path.stem,
            subject.ticker,
            subject.capital,
            moment,
            subject.parameters,
        )
        heard = self._process.ask(task, newest)
        while lacking := heard.lacking.difference(self._found.others):
            for ticker in sorted(lacking):
                self._found.others.append(ticker)
                self._provide(ticker)
            self._process.restart()  # what it may have noted without these bars is forgotten
            heard = self._process.ask(task, newest)
        self._found.opened.update(heard.opened)
        self._found.memory_mb = max(self._found.memory_mb, heard.memory_mb)
        self._found.left = heard.left or self._found.left
        self._found.printed = heard.result.output or self._found.printed
        self._progress(1)
        return heard


def _moment_after(bar: str) -> str:
    """When the orchestrator asks about a bar: in the next open minute."""
    number = nyse().minute_number(clock.parse(bar))
    return clock.stamp(nyse().minute_at(number + 1) + AFTER_THE_MINUTE)


def _sampled(runs: list[Run]) -> list[Run]:
    """Half of the sample from the minutes that wanted to trade, the rest from all, in order."""
    answered = [n for n, run in enumerate(runs) if run.heard.result.answer is not None]
    trading = [n for n in answered if runs[n].outcome[0] != "hold"]
    chosen = set(_spread(trading, SAMPLES // 2))
    others = [n for n in answered if n not in chosen]
    chosen |= set(_spread(others, SAMPLES - len(chosen)))
    return [runs[n] for n in sorted(chosen)]


def _spread(numbers: list[int], count: int) -> list[int]:
    """At most ``count`` of these, evenly spread."""
    count = min(count, len(numbers))
    return [numbers[n * len(numbers) // count] for n in range(count)]


def _record(algo_id: int, trades: list[Trade]) -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        for side, shares, price, moment in trades:
            system_db_manager.insert_transaction(connection, algo_id, side, shares, price, moment)


def _forget_trades() -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute("DELETE FROM transactions")
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'transactions'")
