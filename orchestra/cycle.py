"""One minute: settle what is open, complete the data, ask every card, send the orders."""

import logging
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from datetime import datetime
from typing import Any

from database import arrivals, db_manager
from database.calendar import calendar
from database.historical_pull import HistoricalFetcher
from orchestra import strikes
from orchestra.asking import ask, journal_skipped, who_is_asked
from orchestra.audit import Audit
from orchestra.base import clock, sqlite, systemd
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE
from orchestra.brakes import apply_brakes
from orchestra.execution import Execution, Intent
from orchestra.prefetch import Prefetch
from orchestra.runner import AlgorithmRunner
from orchestra.splits import Splits
from orchestra.websocket_manager import WebSocketManager
from system_databse import (
    card_calculations,
    card_states,
    decision_journal,
    order_journal,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision

AUDIT_MINUTES = 5
UNREAD = "the broker's list of orders could not be read since the start, fills may be missing here"

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
    ) -> None:
        self._execution = execution
        self._audit = audit
        self._audit_due = False
        self.broker_trouble = ""  # why the broker could not be asked last, empty when it could
        self._splits = splits
        self._record_trouble = ""  # why the record of splits could not be read, empty when it could
        self._runner = runner
        self._websockets = websocket_manager
        self._history = Prefetch()
        self._restarts = 0  # of the stream, as last seen
        self.met_damage = False  # whether an algorithm found stocks.db damaged in the last cycle

    def run(self, minute: datetime) -> None:
        """Ask every running card once in the minute that starts at ``minute``, and trade."""
        self.met_damage = False
        if not self._audit.has_looked:
            self.audit()  # it failed at the start
        unsettled = self._settle()
        systemd.alive()
        card_states.clear_expired()
        cards = system_db_manager.get_all_algorithms("running")
        self._follow_splits(cards, minute)
        self.follow_cards(cards)
        bar_minute = calendar().last_minute(minute - MINUTE)
        self._complete_data({card["ticker"] for card in cards}, minute, bar_minute)
        systemd.alive()
        session = calendar().session_at(minute)
        if session is not None:
            apply_brakes(cards, session, self._splits.in_doubt)
        strikes.resume_changed_files(cards)
        if not self._audit.has_looked:  # a restored ledger would spend the same money twice
            journal_skipped([(card, minute) for card in cards], f"not asked: {UNREAD}")
            _explain_sales(f"Its sale waits: {UNREAD}.")
            return
        # Before it is read who is asked: a card that is stopped in between sells its shares once
        exits = self._covered(self._exits(minute, unsettled))
        asked, not_asked = who_is_asked(cards, unsettled, self._splits.in_doubt, minute)
        decision_journal.record(not_asked)
        orders = self._execution.carry_out(exits)
        for decisions, intents in ask(self._runner, asked, minute, bar_minute):
            decision_journal.record(decisions)
            self.met_damage |= any(_met_damage(decision) for decision in decisions)
            orders += self._execution.carry_out(intents)
            systemd.alive()
        wait_for_orders(orders, minute)
        systemd.alive()
        self._finish_exits()
        # Last: no running card waits for it
        self._complete_kept(cards, bar_minute)
        if session is not None:
            self._splits.adjust_others(cards, session.day)
        if self._audit_due or minute.minute % AUDIT_MINUTES == 0:
            self.audit()

    def audit(self, *, look_far: bool = False) -> None:
        """Hold the ledger against the broker's positions and newest orders; ``look_far``: a day's more."""
        try:
            self._audit.orders(look_far=look_far)
            self._execution.reconcile()
            self._execution.note_outcomes()
            self._audit_due = self._audit.positions()
            self.broker_trouble = self._record_trouble
        except ExchangeUnavailable as error:
            self._audit_due = True
            self.broker_trouble = str(error)
            log.warning("The ledger could not be held against the broker: %s", error)

    def look_again(self) -> None:
        """Settle what the last look left open: no order waits for the next session to have its end."""
        if self._audit_due or order_journal.open_orders():
            self.audit()

    def follow_cards(self, cards: list[Card]) -> None:
        """Let the stream follow the running cards and kept shares; have a new ticker's history at hand."""
        followed = cards + _kept(cards)
        try:
            self._websockets.update_subscriptions(followed)
        except Exception as error:
            log.error("WebSocket update failed: %s", error)
        self._history.have({card["ticker"] for card in followed})
        restarts = self._websockets.streamer.status().restarts
        self._audit_due |= restarts != self._restarts
        self._restarts = restarts

    def end_session(self, now: datetime) -> None:
        """Complete the session's last minute, after which no card is asked."""
        last = calendar().last_minute(now)
        cards = system_db_manager.get_all_algorithms("running")
        if last is not None:
            self._complete_data({card["ticker"] for card in cards}, last + MINUTE, last)
            self._complete_kept(cards, last)

    def forget_history(self) -> None:
        """Have every ticker's history fetched again: stocks.db is a new one."""
        self._history.forget()

    def _settle(self) -> set[int]:
        try:
            self._execution.reconcile()
        except ExchangeUnavailable as error:
            self._audit_due = True
            self.broker_trouble = str(error)
            log.warning("Open orders could not be settled: %s", error)
        return self._execution.unsettled_cards()

    def _follow_splits(self, cards: list[Card], minute: datetime) -> None:
        """Follow splits before anything is fetched or decided on figures from before them."""
        session = calendar().session_at(minute)
        if session is not None:
            before, self._record_trouble = self._record_trouble, ""
            try:
                self._splits.follow(cards, session.day)
            except ExchangeUnavailable as error:
                self._record_trouble = f"Splits could not be looked up: {error}"
                self.broker_trouble = self._record_trouble
                log.warning("%s", self._record_trouble)
            self._audit_due |= before != self._record_trouble  # it says what is wrong, or no more

    def _complete_data(
        self, tickers: set[str], minute: datetime, bar_minute: datetime | None
    ) -> None:
        """Wait for the bars that are due, then ask the exchange for those that did not come."""
        if bar_minute is None or not tickers:
            return
        until = clock.due(minute, clock.BAR_DUE)
        late = self._websockets.streamer.wait_for_bars(tickers, bar_minute, until)
        _close_gaps(tickers, bar_minute)
        arrivals.note_asked(bar_minute, db_manager.lacking(late, clock.stamp(bar_minute)))

    def _complete_kept(self, running: list[Card], bar_minute: datetime | None) -> None:
        """Have the bars of shares that no running card has the ticker of: the wall shows their worth."""
        kept = {card["ticker"] for card in _kept(running)} - {card["ticker"] for card in running}
        if bar_minute is not None and kept:
            _close_gaps(kept, bar_minute)

    def _exits(self, minute: datetime, unsettled: set[int]) -> list[Intent]:
        """Sell what cards hold that were stopped with 'sell'."""
        intents = []
        for algo_id, state in card_states.all_states().items():
            card = system_db_manager.get_algorithm(algo_id)
            if state.state != "stopping" or card is None or algo_id in unsettled:
                continue
            if card["ticker"] in self._splits.in_doubt:
                why = f"Its sale waits: whether {card['ticker']} was split is not known yet."
                card_states.explain_stopping(algo_id, why)
                continue
            shares = card_calculations.calculate_position(algo_id)
            if shares > 0:
                intents.append(Intent(algo_id, card["ticker"], "sell", shares, minute, exit=True))
        return intents

    def _covered(self, exits: list[Intent]) -> list[Intent]:
        """Leave out sales of what the broker may not hold: they could make the account short.

        What is missing there is charged by the next audits; what is left then is sold.
        """
        if not exits:
            return []
        try:
            lacking = self._audit.lacking({each.ticker for each in exits})
            why = "Its sale waits: the broker holds less {} than the ledger, which is looked into."
        except ExchangeUnavailable as error:
            log.warning("Nothing is sold: the broker's positions could not be read: %s", error)
            lacking = {each.ticker for each in exits}
            why = "Its sale waits: what the broker holds of {} could not be read."
        for each in exits:
            if each.ticker in lacking:
                self._audit_due = True
                card_states.explain_stopping(each.algorithm_id, why.format(each.ticker))
        return [each for each in exits if each.ticker not in lacking]

    def _finish_exits(self) -> None:
        unsettled = self._execution.unsettled_cards()
        for algo_id, state in card_states.all_states().items():
            if (
                state.state == "stopping"
                and algo_id not in unsettled
                and card_calculations.calculate_position(algo_id) <= 0
            ):
                card_states.clear_state(algo_id)


def wait_for_orders(futures: list["Future[None]"], minute: datetime) -> None:
    """Wait until the orders are done, at most to the end of their minute. Raises what says of damage."""
    until = clock.due(minute + MINUTE)
    done, _ = wait_for_all(futures, timeout=max(0.0, until - clock.elapsed()))
    for future in done:
        error = future.exception()
        if error is not None:
            log.error("Carrying out orders failed: %s", error, exc_info=error)
            if sqlite.is_damaged(error):
                raise error


def _kept(running: list[Card]) -> list[Card]:
    """The stopped cards that still hold shares."""
    known = {card["id"] for card in running}
    sums = card_calculations.all_card_sums()
    kept = (algo_id for algo_id in sums if sums[algo_id].shares and algo_id not in known)
    return [card for card in map(system_db_manager.get_algorithm, kept) if card is not None]


def _close_gaps(tickers: set[str], bar_minute: datetime) -> None:
    try:
        HistoricalFetcher().close_gaps(sorted(tickers), bar_minute)
    except AutoTraderError as error:
        log.warning("Bars of %s are missing: %s", clock.stamp(bar_minute), error)


def _explain_sales(why: str) -> None:
    for algo_id, state in card_states.all_states().items():
        if state.state == "stopping":
            card_states.explain_stopping(algo_id, why)


def _met_damage(decision: JournalledDecision) -> bool:
    """Whether a run failed on a stocks.db that is no whole database; SQLite's own words."""
    return decision.action == "failed" and any(
        words in decision.reason for words in ("disk image is malformed", "is not a database")
    )
