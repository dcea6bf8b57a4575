"""One backtest from its subject to its result: read the history, play it, measure it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestra import decision
from orchestra.backtest import history
from orchestra.backtest.engine import INTERRUPTED, Engine, Run
from orchestra.backtest.fills import CLOSE, FillRule
from orchestra.backtest.history import History
from orchestra.backtest.measures import Equity, buy_and_hold, equity, measures
from orchestra.backtest.play import Wishes, play
from orchestra.base.errors import BadInput
from orchestra.subject import Subject

MOST_REASONS = 3  # of a kind, in the notes


@dataclass
class Result:
    """All there is to tell of one backtest; ``rows`` are those it went through, without the warm-up."""

    subject: Subject
    history: History
    fill: FillRule
    run: Run
    equity: Equity
    yardstick: Equity
    measures: dict[str, Any]
    notes: list[str]

    @property
    def ended(self) -> int:
        """How many rows it went through, warm-up included."""
        return self.run.ended

    @property
    def stamps(self) -> list[str]:
        """One for each point of the equity."""
        return [row[0] for row in self.history.rows[self.history.warmup : self.ended]]

    def as_dict(self) -> dict[str, Any]:
        """The one object that ``--json`` prints; money in dollars, fractions of one."""
        sessions, trades = self.history.sessions, self.run.trades
        return {
            "ticker": self.subject.ticker,
            "algorithm": self.subject.path.stem,
            "parameters": self.subject.parameters,
            "start": sessions[0].day.isoformat(),
            "end": sessions[-1].day.isoformat(),
            "capital": self.subject.capital,
            "fill": self.fill.name,
            "slippage_bps": self.fill.slippage_bps,
            "warmup": self.history.warmup,
            "bars": len(self.equity.values),
            "trades": [
                {
                    "bar": trade.bar,
                    "timestamp": trade.timestamp,
                    "type": trade.type,
                    "shares": trade.shares,
                    "price": trade.price,
                }
                for trade in trades
            ],
            "end_cash": self.equity.end_cash,
            "end_shares": self.equity.end_shares,
            "last_close": self.history.rows[self.ended - 1][CLOSE],
            "end_equity": dollars(self.equity.end),
            "pnl": dollars(self.equity.end - self.subject.capital),
            "measures": self.measures,
            "asked": self.run.asked,
            "took": {"seconds": self.run.seconds, "run_seconds": self.run.run_seconds},
            "stopped": self.run.stopped,
            "notes": self.notes,
        }


def dollars(amount: float) -> float:
    """Without the noise that floats add beyond a price's six decimals."""
    return round(amount, 6)


def backtest(
    subject: Subject,
    found: History,
    fill: FillRule,
    started: Callable[[Engine], object] = lambda engine: None,
    progress: Callable[[int], object] = lambda sessions: None,
    *,
    limited: bool = False,
) -> Result:
    """Run a subject over a history that was read, ``limited`` by the wall's deadline.

    Raises AlgorithmFailed, BadInput.
    """
    wishes = Wishes(fill=fill, limited=limited, started=started, progress=progress)
    run = play(subject, found.past, lambda: history.askings(found), wishes)
    if run.ended <= found.warmup:
        raise BadInput(
            f"It was stopped before the first bar: {run.stopped or 'nothing was asked'}."
        )
    rows, capital = found.rows[: run.ended], subject.capital
    own = equity(rows, found.warmup, run.trades, capital)
    kept = buy_and_hold(rows, found.warmup, capital, fill)
    yardstick = equity(rows, found.warmup, kept, capital)
    measured = measures(own, run.trades, capital)
    measured["buy_and_hold"] = measures(yardstick, kept, capital)
    notes = _notes(run, found, fill)
    return Result(subject, found, fill, run, own, yardstick, measured, notes)


def _notes(run: Run, found: History, fill: FillRule) -> list[str]:
    """What a reader of the figures must know, in sentences, the gravest first."""
    notes = []
    if run.stopped:
        why = "It was interrupted" if run.stopped == INTERRUPTED else f"It {run.stopped}"
        notes.append(f"{why}, after bar {found.rows[run.ended - 1][0]}.")
    return [
        *notes,
        *_counted("Failed", run.failed),
        *found.notes,
        *_not_at_the_open(run, found, fill),
        *_counted("Not filled", run.refused),
    ]


def _not_at_the_open(run: Run, found: History, fill: FillRule) -> list[str]:
    """How many fills were not what ``open`` promises."""
    if fill.name != "open":
        return []
    count = sum(not fill.has_bar(found.rows, each.ended, each.timestamp) for each in run.trades)
    if not count:
        return []
    return [
        f"{count:,} of {len(run.trades):,} trades were filled at the last close instead: there is no bar of"
        " their minute."
    ]


def _counted(what: str, counted: Counter[str]) -> list[str]:
    """How often, by what is alike but for its figures, the most frequent first."""
    alike: dict[str, list[str]] = {}
    for reason in counted:
        alike.setdefault(decision.kind_of(reason), []).append(reason)
    found = [(sum(counted[reason] for reason in reasons), reasons) for reasons in alike.values()]
    found.sort(key=lambda each: each[0], reverse=True)
    return [
        f"{what} {count:,} time{'s' * (count > 1)}{', first' * (len(reasons) > 1)}: {reasons[0]}"
        for count, reasons in found[:MOST_REASONS]
    ]
