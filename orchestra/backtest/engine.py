"""The engine: asks an algorithm in each minute of the past and fills what it decides.

Nothing in the loop grows with the history's length or the number of trades.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from database.bars import Row
from database.past_bars import PastBars
from orchestra import loader
from orchestra.backtest import deadline
from orchestra.backtest.fills import CLOSE, FillRule
from orchestra.backtest.schedule import Asking
from orchestra.base import clock
from orchestra.decision import Decision, Means, check, parse
from orchestra.strikes import STRIKES
from orchestra.subject import Subject
from system_databse.past_ledger import PastLedger

INTERRUPTED = "interrupted"
LAST = "~"  # after every stamp


@dataclass(frozen=True)
class Trade:
    """One fill. ``bar`` is the bar it was decided on, the row before ``ended``; ``price`` in dollars."""

    bar: str
    timestamp: str
    type: str
    shares: int
    price: float
    ended: int


@dataclass(frozen=True)
class Decided:
    """What came of one asking: the answer, how many shares of it may be sent, and the reason."""

    moment: str
    bar: str | None
    action: str
    shares: int
    sent: int
    reason: str


@dataclass
class Run:
    """What came of all askings. ``stopped`` is empty when it went through to the end."""

    trades: list[Trade] = field(default_factory=list)
    asked: int = 0
    ended: int = 0  # rows that had ended at the last asking
    failed: Counter[str] = field(default_factory=Counter)  # by what went wrong
    refused: Counter[str] = field(default_factory=Counter)  # by the reason
    stopped: str = ""
    reaches_back: bool = False  # it asked for more than there is before the first minute
    seconds: float = 0.0
    run_seconds: float = 0.0  # within the algorithm's run(), from a sample


class Engine:
    """One card's way through the minutes. One use each."""

    def __init__(
        self,
        subject: Subject,
        algorithm: Any,
        rows: list[Row],
        past: PastBars,
        ledger: PastLedger,
        fill: FillRule | None,
        journal: list[Decided] | None = None,
        cushion_bps: float = 0.0,
        strikes: int | None = STRIKES,
        longest: float = 0.0,
    ) -> None:
        self._subject, self._algorithm = subject, algorithm
        self._rows, self._past, self._ledger = rows, past, ledger
        self._fill, self._journal, self._cushion = fill, journal, cushion_bps
        self._strikes = strikes
        self._interrupts: list[None] = []
        self._failures = 0  # in a row
        self._timed = 0
        self._longest = longest  # machine seconds of a run; 0: as long as it takes
        self.run = Run()

    def interrupt(self) -> None:
        """Stop before the next asking and keep what was done; from a signal handler too."""
        self._interrupts.append(None)

    def go(self, sessions: Iterable[Iterable[Asking]], goes_on: Callable[[], bool]) -> Run:
        """Ask through the sessions; after each one ``goes_on`` says whether another is wanted."""
        started = clock.elapsed()
        try:
            for session in sessions:
                with deadline.enforced(self._longest, lambda: self.run.asked):
                    self._go_through(session)
                if self.run.stopped or not goes_on():
                    break
        except KeyboardInterrupt:  # the second one, where a run does not come back
            self.run.stopped = INTERRUPTED
        except MemoryError:  # of our own: a run has left nothing of what it may take
            self.run.stopped = f"failed: {loader.OUT_OF_MEMORY}"
        self.run.seconds = clock.elapsed() - started
        self.run.ended = self._past.ended
        self.run.reaches_back = self._past.reaches_back
        estimate = self.run.run_seconds * self.run.asked / max(1, self._timed)
        self.run.run_seconds = min(estimate, self.run.seconds)
        return self.run

    def _go_through(self, session: Iterable[Asking]) -> None:
        run, past, stamps = self.run, self._past, self._past.stamps
        algorithm, ticker, capital = self._algorithm, self._subject.ticker, self._subject.capital
        parameters, algo_id = list(self._subject.parameters.items()), self._ledger.algo_id
        interrupts, skips_holds = self._interrupts, self._journal is None
        ended, count = past.ended, len(stamps)
        following = stamps[ended] if ended < count else LAST
        for newest, moment, timed in session:
            if interrupts:
                run.stopped = INTERRUPTED
                return
            while following <= newest:
                ended += 1
                following = stamps[ended] if ended < count else LAST
            past.now, past.ended = moment, ended
            run.asked += 1
            try:
                card = algorithm(ticker, capital)
                for name, value in parameters:
                    setattr(card, name, value)
                answer = self._take_time(card, moment) if timed else card.run(moment, algo_id)
                if (
                    skips_holds
                    and type(answer) is tuple
                    and 1 < len(answer) < 4
                    and answer[0] == "hold"
                ):
                    self._failures = 0
                    continue
                decision = parse(answer, getattr(card, "reason", ""))
            except (
                BaseException
            ) as error:  # as in a worker; a cancelled asyncio task is no Exception
                if loader.is_ctrl_c(error):
                    raise
                self._fail(error, moment)
                if run.stopped:
                    return
                continue
            self._failures = 0
            self._carry_out(decision, moment)

    def _take_time(self, card: Any, moment: str) -> object:
        started = clock.elapsed()
        try:
            return card.run(moment, self._ledger.algo_id)
        finally:
            self.run.run_seconds += clock.elapsed() - started
            self._timed += 1

    def _carry_out(self, decision: Decision, moment: str) -> None:
        """Hold a decision against the card's means, as the wall does, and fill what it may."""
        rows, ended, ledger = self._rows, self._past.ended, self._ledger
        price = rows[ended - 1][CLOSE] if ended else None
        cash = self._subject.capital - ledger.invested
        checked = check(decision, Means(cash, ledger.shares, price, self._cushion))
        bar = rows[ended - 1][0] if ended else None
        if checked.shares and bar is not None and self._fill is not None:
            filled = self._fill.price(decision.action, rows, ended, moment)
            ledger.add(decision.action, checked.shares, filled, moment)
            self.run.trades.append(
                Trade(bar, moment, decision.action, checked.shares, filled, ended)
            )
        elif decision.action != "hold" and checked.reason:
            self.run.refused[checked.reason] += 1
        if self._journal is not None:
            reason = "; ".join(part for part in (decision.reason, checked.reason) if part)
            self._journal.append(
                Decided(moment, bar, decision.action, decision.shares, checked.shares, reason)
            )

    def _fail(self, error: BaseException, moment: str) -> None:
        """Note that there was no answer; three in a row pause a card on the wall, and end this."""
        summary = loader.summary(error, self._subject.path.name)
        self.run.failed[summary] += 1
        self._failures += 1
        if self._failures == self._strikes:
            self.run.stopped = f"failed {self._strikes} times in a row: {summary.removesuffix('.')}"
        if self._journal is not None:
            ended = self._past.ended
            bar = self._rows[ended - 1][0] if ended else None
            self._journal.append(Decided(moment, bar, "failed", 0, 0, summary))
