"""One minute: settle what is open, complete the data, ask every card, send the orders."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from database import db_manager
from database.historical_pull import HistoricalFetcher
from orchestra.audit import Audit
from orchestra.base import clock, settings
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, MarketCalendar
from orchestra.brakes import apply_brakes
from orchestra.decision import Decision, Means, check
from orchestra.execution import Execution, Intent, wait_for_orders
from orchestra.runner import AlgorithmRunner
from orchestra.splits import Splits
from orchestra.websocket_manager import WebSocketManager
from orchestra.worker import Result, Task
from system_databse import card_calculations, card_states, decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision

PREFETCHED_BARS = 200
LOOKED_BACK = timedelta(minutes=10)
AUDIT_MINUTES = 5

log = logging.getLogger("autotrader.orchestrator")
Card = dict[str, Any]


class Cycle:
    """What is done in each open minute; one object lives as long as the process."""

    def __init__(
        self,
        execution: Execution,
        audit: Audit,
        splits: Splits,
        runner: AlgorithmRunner,
        websocket_manager: WebSocketManager,
        calendar: MarketCalendar,
    ) -> None:
        self._execution = execution
        self._audit = audit
        self._audit_due = False
        self._splits = splits
        self._runner = runner
        self._websockets = websocket_manager
        self._calendar = calendar
        self._prefetched: set[str] = set()

    def run(self, minute: datetime) -> None:
        """Ask every running card once in the minute that starts at ``minute``, and trade."""
        unsettled = self._settle()
        card_states.clear_expired()
        cards = system_db_manager.get_all_algorithms("running")
        self._follow_splits(cards, minute)
        self.follow_cards(cards)
        bar_minute = self._calendar.last_minute(minute - MINUTE)
        self._complete_data({card["ticker"] for card in cards}, minute, bar_minute)
        session = self._calendar.session_at(minute)
        if session is not None:
            apply_brakes(cards, session)
        asked, not_asked = self._who_is_asked(cards, unsettled, minute)
        decisions, intents = self._ask(asked, minute, bar_minute)
        decision_journal.record(not_asked + decisions)
        intents += self._exits(minute, unsettled)
        wait_for_orders(self._execution.carry_out(intents), minute)
        self._finish_exits()
        if self._audit_due or minute.minute % AUDIT_MINUTES == 0:
            self.audit()

    def audit(self) -> None:
        """Hold the ledger against the broker's orders and positions."""
        try:
            self._audit.orders()
            self._execution.reconcile()
            self._audit_due = self._audit.positions()
        except ExchangeUnavailable as error:
            self._audit_due = True
            log.warning("The ledger could not be held against the broker: %s", error)

    def follow_cards(self, cards: list[Card]) -> None:
        """Let the stream follow the cards, and have a new ticker's history at hand."""
        try:
            self._websockets.update_subscriptions(cards)
        except Exception as error:
            log.error("WebSocket update failed: %s", error)
        for ticker in {card["ticker"] for card in cards} - self._prefetched:
            db_manager.get_data_for_algorithm(ticker, "last_n_bars", n=PREFETCHED_BARS)
            self._prefetched.add(ticker)

    def _settle(self) -> set[int]:
        try:
            self._execution.reconcile()
        except ExchangeUnavailable as error:
            self._audit_due = True
            log.warning("Open orders could not be settled: %s", error)
        return self._execution.unsettled_cards()

    def _follow_splits(self, cards: list[Card], minute: datetime) -> None:
        """Follow splits before anything is fetched or decided on figures from before them."""
        session = self._calendar.session_at(minute)
        if session is not None:
            try:
                self._splits.follow(cards, session.day)
            except ExchangeUnavailable as error:
                log.warning("Splits could not be looked up: %s", error)

    def _complete_data(
        self, tickers: set[str], minute: datetime, bar_minute: datetime | None
    ) -> None:
        """Wait for the bars that are due, then ask the exchange for those that did not come."""
        if bar_minute is None or not tickers:
            return
        until = clock.due(minute, clock.BAR_DUE)
        missing = self._websockets.streamer.wait_for_bars(tickers, bar_minute, until)
        if missing:
            try:
                first = bar_minute - LOOKED_BACK  # late bars of the minutes before come with it
                HistoricalFetcher().fetch_many(missing, clock.stamp(first), clock.stamp(bar_minute))
            except AutoTraderError as error:
                log.warning("Bars of %s are missing: %s", clock.stamp(bar_minute), error)

    def _who_is_asked(
        self, cards: list[Card], unsettled: set[int], minute: datetime
    ) -> tuple[list[Card], list[JournalledDecision]]:
        """Part the cards into those to ask and the reasons why the others are not asked."""
        done = decision_journal.asked_in(clock.stamp(minute))
        states = card_states.all_states()
        asked, not_asked = [], []
        for card in cards:
            if card["id"] in done:
                continue
            state = states.get(card["id"])
            if card["id"] in unsettled:
                reason = "not asked: an order of this card is not settled"
            elif state is not None:
                reason = f"not asked: {state.state}, {state.reason}"
            else:
                asked.append(card)
                continue
            not_asked.append(_journalled(card["id"], minute, None, "skipped", reason=reason))
        return asked, not_asked

    def _ask(
        self, cards: list[Card], minute: datetime, bar_minute: datetime | None
    ) -> tuple[list[JournalledDecision], list[Intent]]:
        """Run the cards' algorithms and hold each answer against its card's means."""
        # Never past the minute's end: a late answer is still this minute's, on this minute's bars
        current_time = min(clock.now(), minute + MINUTE - timedelta(seconds=1))
        by_id = {card["id"]: card for card in cards}
        tasks = [
            Task(
                card["id"],
                card["algorithm_type"],
                card["ticker"],
                card["initial_capital"],
                clock.stamp(current_time),
            )
            for card in cards
        ]
        tickers = {card["ticker"] for card in cards}
        market = {ticker: _market(ticker, minute, bar_minute) for ticker in tickers}
        decisions, intents = [], []
        for result in self._runner.run(tasks):
            card = by_id[result.algorithm_id]
            decision, intent = _decide(card, result, minute, *market[card["ticker"]])
            decisions.append(decision)
            if intent is not None:
                intents.append(intent)
        return decisions, intents

    def _exits(self, minute: datetime, unsettled: set[int]) -> list[Intent]:
        """Sell what cards hold that were stopped with 'sell'."""
        intents = []
        for algo_id, state in card_states.all_states().items():
            card = system_db_manager.get_algorithm(algo_id)
            if state.state != "stopping" or card is None or algo_id in unsettled:
                continue
            shares = card_calculations.calculate_position(algo_id)
            if shares > 0:
                intents.append(Intent(algo_id, card["ticker"], "sell", shares, minute, exit=True))
        return intents

    def _finish_exits(self) -> None:
        unsettled = self._execution.unsettled_cards()
        for algo_id, state in card_states.all_states().items():
            if (
                state.state == "stopping"
                and algo_id not in unsettled
                and card_calculations.calculate_position(algo_id) <= 0
            ):
                card_states.clear_state(algo_id)


def journal_skipped(cards: Iterable[Card], minutes: Iterable[datetime], reason: str) -> None:
    """Put on record that cards were not asked in these minutes, and why."""
    decision_journal.record(
        [
            _journalled(card["id"], minute, None, "skipped", reason=reason)
            for minute in minutes
            for card in cards
        ]
    )


def _decide(
    card: Card, result: Result, minute: datetime, bar: dict[str, Any] | None, verdict: str
) -> tuple[JournalledDecision, Intent | None]:
    """Turn a run's result into its record and, where it may trade, an order to send."""
    seen = None if bar is None else bar["timestamp"]
    if result.answer is None:
        log.error(
            "Algorithm %s crashed: %s", card["id"], result.failure.strip().rpartition("\n")[2]
        )
        log.info("Card %s (%s): %s", card["id"], card["ticker"], result.failure)
        reason = result.failure.strip().rpartition("\n")[2]
        return (
            _journalled(
                card["id"], minute, seen, "failed", 0, reason, verdict, result.milliseconds
            ),
            None,
        )
    answer: Decision = result.answer
    checked = check(answer, _means(card, bar))
    reason = "; ".join(part for part in (answer.reason, checked.reason) if part)
    if answer.action != "hold" and checked.shares == 0:
        log.warning("Card %s (%s) %s: %s", card["id"], card["ticker"], answer.action, reason)
    record = _journalled(
        card["id"],
        minute,
        seen,
        answer.action,
        answer.shares,
        reason,
        verdict,
        result.milliseconds,
    )
    if checked.shares == 0:
        return record, None
    return record, Intent(card["id"], card["ticker"], answer.action, checked.shares, minute)


def _market(
    ticker: str, minute: datetime, bar_minute: datetime | None
) -> tuple[dict[str, Any] | None, str]:
    """The newest bar that ended before ``minute``, and the verdict on the one that was due."""
    bar = db_manager.newest_bar(ticker, minute)
    if bar_minute is None:
        return bar, "missing"
    due = clock.stamp(bar_minute)
    if bar is not None and bar["timestamp"] == due:
        return bar, "bar"
    return bar, "missing" if db_manager.check_data_exists(ticker, due, due) else "no trade"


def _means(card: Card, bar: dict[str, Any] | None) -> Means:
    sums = card_calculations.card_sums(card["id"])
    return Means(
        cash=card["initial_capital"] - sums.invested,
        shares=sums.shares,
        price=None if bar is None else bar["close"],
        cushion_bps=settings.current().cushion_bps,
    )


def _journalled(
    algo_id: int,
    minute: datetime,
    bar: str | None,
    action: str,
    shares: int = 0,
    reason: str = "",
    verdict: str = "missing",
    milliseconds: float = 0.0,
) -> JournalledDecision:
    return JournalledDecision(
        algo_id, clock.stamp(minute), bar, action, shares, reason, verdict, milliseconds
    )
