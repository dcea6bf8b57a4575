"""Runs a day again, card by card, and holds it against what the journals and the ledger say of it.

Each minute is asked with the transactions that the card really had by then, so that a difference in one
minute does not make the following ones differ as well. What would have come of the card's own fills, by
the fill rule of the simulated exchange, is run apart from that: its P&L stands beside the real one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from database import arrivals, past_bars, schema
from database.bars import Row
from database.calendar import calendar
from orchestra import catalog, loader
from orchestra.backtest.engine import Decided, Run
from orchestra.backtest.fills import CLOSE, FillRule
from orchestra.backtest.play import Fill, Past, Wishes, play
from orchestra.backtest.schedule import Asking, in_each_minute
from orchestra.base import clock, settings
from orchestra.base.market_calendar import MINUTE, Session
from orchestra.parameters import as_declared
from orchestra.subject import Subject
from system_databse import card_days, card_parameters, system_db_manager
from system_databse.past_ledger import UNITS

HISTORY = timedelta(days=30)  # so much of what came before the day is enough for most
USUAL_ASKING = 2000  # ms after the minute, where it is not on record
NOT_ON_RECORD = "not on record: no trader was running"
UNEXPLAINED = "not explained"

Answer = tuple[str, int]  # action and shares


@dataclass
class Difference:
    """Minutes on end that came out differently in the same way, for the same reason."""

    first: str
    last: str
    minutes: int
    live: Answer
    again: Answer
    cause: str


@dataclass
class FillDifference:
    """An order that was filled at another price, in another number, or not at all."""

    minute: str
    side: str
    live: tuple[int, float | None]  # shares and dollars
    again: tuple[int, float]
    cause: str


@dataclass
class CardDay:
    """One card's day, run again. Money in dollars."""

    id: int
    display_name: str
    ticker: str
    minutes: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    fills: int = 0
    fill_differences: list[FillDifference] = field(default_factory=list)
    pnl_live: float = 0.0
    pnl_again: float = 0.0

    @property
    def is_equal(self) -> bool:
        return not (self.differences or self.fill_differences)

    @property
    def is_explained(self) -> bool:
        return all(each.cause != UNEXPLAINED for each in self.differences)


class CardReplay:
    """One card, one session in which it is on record; ``before_each`` is called before each run."""

    def __init__(
        self,
        card: dict[str, Any],
        session: Session,
        before_each: Callable[[], object] = lambda: None,
    ) -> None:
        self._card, self._session, self._before_each = card, session, before_each
        chosen = settings.current()
        path = chosen.algorithms_dir / f"{card['algorithm_type']}.py"
        stored = card_parameters.all_parameters().get(card["id"], {})
        values = as_declared(catalog.describe(path).parameters, stored)
        self._subject = Subject(path, card["ticker"], card["initial_capital"], values)
        first, last = clock.stamp(session.open), clock.stamp(session.close - MINUTE)
        self._live = {row["minute"]: row for row in card_days.decisions(card["id"], first, last)}
        self._orders = {row["minute"]: row for row in card_days.orders(card["id"], first, last)}
        self._fills: list[Fill] = [
            (row["type"], row["shares"], row["price"], row["timestamp"])
            for row in reversed(system_db_manager.get_transactions(card["id"]))
        ]
        self._see(session.open - HISTORY)
        simulated = chosen.mode == "simulated"
        self._rule = (
            FillRule(chosen.simulator_fill, chosen.simulator_slippage_bps)
            if simulated
            else FillRule()
        )

    def run(self) -> CardDay:
        """Run the day again and compare. Raises AlgorithmFailed where the file cannot be loaded."""
        card, journal = self._card, list[Decided]()
        found = CardDay(card["id"], card["display_name"], card["ticker"])
        self._play(Wishes(fill=None, journal=journal, recorded=self._fills))
        for decided in journal:
            self._compare(decided, found)
        before = [fill for fill in self._fills if fill[-1] < min(self._live)]
        own = self._play(Wishes(fill=self._rule, recorded=before))
        today = [fill for fill in self._fills if min(self._live) <= fill[-1] <= self._closing]
        found.pnl_live = self._pnl(before, today)
        found.pnl_again = self._pnl(
            before, [(each.type, each.shares, each.price, each.timestamp) for each in own.trades]
        )
        return found

    @property
    def _closing(self) -> str:
        return clock.stamp(self._session.close)

    def _see(self, begin: datetime) -> None:
        """Let it see the bars from ``begin`` to the session's end."""
        connection = schema.stocks()
        first, last = clock.stamp(begin), clock.stamp(self._session.close - MINUTE)

        def load(ticker: str) -> list[Row]:
            return past_bars.read(connection, ticker, first, last)

        self._past = Past(load(self._subject.ticker), first, load)
        self._stamps = [row[0] for row in self._past.rows]

    def _play(self, wishes: Wishes) -> Run:
        wishes.cushion_bps = settings.current().cushion_bps
        wishes.algo_id = self._card["id"]
        wishes.strikes = None
        run = play(self._subject, self._past, self._askings, wishes)
        everything = calendar().sessions[0].open
        if run.reaches_back and self._past.begin != clock.stamp(everything):
            self._see(everything)
            run = play(self._subject, self._past, self._askings, wishes)
        return run

    def _askings(self) -> Iterator[Iterator[Asking]]:
        """The session's askings from the first to the last minute on record."""
        first, last = min(self._live), max(self._live)
        for session in in_each_minute([self._session]):
            yield map(
                self._announced,
                (asking for asking in session if first <= _minute(asking[1]) <= last),
            )

    def _announced(self, asking: Asking) -> Asking:
        self._before_each()
        return asking

    def _compare(self, decided: Decided, found: CardDay) -> None:
        minute = _minute(decided.moment)
        row = self._live.get(minute)
        live = ("skipped", 0) if row is None else (row["action"], row["shares"])
        again = (decided.action, decided.shares)
        found.minutes += 1
        if live == again:
            found.equal += 1
            self._compare_fill(minute, decided, found)
            return
        cause = self._cause(minute, row, decided)
        last = found.differences[-1] if found.differences else None
        if (
            last is not None
            and (last.live, last.again, last.cause) == (live, again, cause)
            and clock.parse(last.last) + MINUTE == clock.parse(minute)
        ):
            last.last, last.minutes = minute, last.minutes + 1
        else:
            found.differences.append(Difference(minute, minute, 1, live, again, cause))

    def _compare_fill(self, minute: str, decided: Decided, found: CardDay) -> None:
        """Hold an order's fill against the fill rule; nothing where none was to be sent."""
        if not decided.sent:
            return
        ended = bisect_right(self._stamps, decided.bar or "")
        price = self._rule.price(decided.action, self._past.rows, ended, minute)
        order = self._orders.get(minute)
        live = (0, None) if order is None else (order["shares"] or 0, order["price"])
        found.fills += 1
        if live == (decided.sent, price):
            return
        if order is None:
            cause = f"no order: {self._live[minute]['reason']}"
        elif live[0] != decided.sent:
            cause = f"{order['state'].replace('_', ' ')}: {order['reason'] or 'by the broker'}"
        else:
            cause = "broker price"
        again = (decided.sent, price)
        found.fill_differences.append(FillDifference(minute, decided.action, live, again, cause))

    def _cause(self, minute: str, row: dict[str, Any] | None, decided: Decided) -> str:
        if row is None:
            return NOT_ON_RECORD
        if row["action"] == "skipped":
            return str(row["reason"])
        if row["action"] == "failed":
            return f"failed: {row['reason']}"
        late = self._late_bars(minute)
        if late:
            return f"late bar: {', '.join(late)} came after it was asked"
        if row["bar"] != decided.bar:
            return f"late bar: it saw {row['bar']} as the newest, {decided.bar} is there now"
        changed = card_days.changes_since(self._card["id"], minute)
        if changed:
            return f"its figures were changed since: {', '.join(sorted(changed))}"
        if self._file_changed:
            return "its file has changed since"
        return UNEXPLAINED

    @cached_property
    def _file_changed(self) -> bool:
        file = loader.signature(self._subject.path)
        return file is not None and file[2] / 1e9 > self._session.open.timestamp()

    def _late_bars(self, minute: str) -> list[str]:
        """The stamps of this day's bars that came after the asking of ``minute``."""
        asked_at = clock.parse(minute)
        due = clock.stamp(asked_at - MINUTE)
        known = {stamp: each for stamp, each in self._arrivals.items() if stamp <= due}
        asked = known[due].asked if due in known else None
        asked_at += timedelta(milliseconds=USUAL_ASKING if asked is None else asked)
        found = []
        for stamp, each in known.items():
            arrival = each.came.get(self._subject.ticker)
            if arrival is not None and _ended(stamp, arrival.milliseconds) > asked_at:
                found.append(stamp)
        return found

    @cached_property
    def _arrivals(self) -> dict[str, arrivals.MinuteArrivals]:
        return arrivals.between(clock.stamp(self._session.open), self._closing)

    def _pnl(self, before: list[Fill], today: list[Fill]) -> float:
        """What the day's fills and prices made of what was held; the allocation cancels out."""
        rows = self._past.rows
        opened = bisect_right(self._stamps, clock.stamp(self._session.open - MINUTE))
        worth = [
            shares * (round(rows[ended - 1][CLOSE] * UNITS) if ended else 0) - invested
            for (shares, invested), ended in (
                (_sums(before), opened),
                (_sums(before + today), len(rows)),
            )
        ]
        return (worth[1] - worth[0]) / UNITS


def _sums(fills: list[Fill]) -> tuple[int, int]:
    """Shares, and what they took, in units."""
    signed = [(shares if side == "buy" else -shares, price) for side, shares, price, _ in fills]
    return sum(n for n, _ in signed), sum(n * round(price * UNITS) for n, price in signed)


def _minute(stamp: str) -> str:
    return f"{stamp[:17]}00Z"


def _ended(stamp: str, milliseconds: int) -> datetime:
    return clock.parse(stamp) + MINUTE + timedelta(milliseconds=milliseconds)
