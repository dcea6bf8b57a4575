"""Asks the cards in one minute: who is asked, what each answered, and which orders follow from it."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from database import db_manager
from orchestra import strikes
from orchestra.base import clock, logs, settings
from orchestra.base.market_calendar import MINUTE
from orchestra.decision import Checked, Means, check
from orchestra.execution import Intent
from orchestra.runner import AlgorithmRunner
from orchestra.valuation import unknown_minutes
from orchestra.worker import Result, Task
from system_databse import (
    card_calculations,
    card_parameters,
    card_states,
    decision_journal,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision

log = logging.getLogger("autotrader.orchestrator")
Card = dict[str, Any]


@dataclass(frozen=True)
class MarketView:
    """What is known of a ticker in a minute: the newest ended bar, and how complete that is."""

    bar: dict[str, Any] | None
    verdict: str  # on the bar that was due: bar, no trade, or missing
    unknown_minutes: int

    @property
    def stamp(self) -> str | None:
        return None if self.bar is None else self.bar["timestamp"]


def who_is_asked(
    cards: list[Card], unsettled: set[int], in_doubt: set[str], minute: datetime
) -> tuple[list[Card], list[JournalledDecision]]:
    """Part the cards into those to ask and the reasons why the others are not asked.

    ``unsettled`` are cards with an open order, ``in_doubt`` tickers that may have been split.
    """
    done = decision_journal.asked_in(clock.stamp(minute))
    states = card_states.all_states()
    asked, not_asked = [], []
    for card in cards:
        state = states.get(card["id"])
        if card["id"] in done:
            continue
        if card["id"] in unsettled:
            reason = "not asked: an order of this card is not settled"
        elif state is not None:
            reason = f"not asked: {state.state}, {state.reason}"
        elif card["ticker"] in in_doubt:
            reason = f"not asked: whether {card['ticker']} was split is not known yet"
        else:
            asked.append(card)
            continue
        not_asked.append(_skipped(card["id"], minute, reason))
    return asked, not_asked


def ask(
    runner: AlgorithmRunner, cards: list[Card], minute: datetime, bar_minute: datetime | None
) -> Iterator[tuple[list[JournalledDecision], list[Intent]]]:
    """Run the cards' algorithms and hold each answer against its card's means.

    Yields decisions and the orders that follow in batches: slow cards hold up nobody's orders.
    """
    # Never past the minute's end: a late answer is still this minute's, on this minute's bars
    current_time = clock.stamp(min(clock.now(), minute + MINUTE - timedelta(seconds=1)))
    parameters = card_parameters.all_parameters()
    tasks = [
        Task(
            card["id"],
            card["algorithm_type"],
            card["ticker"],
            card["initial_capital"],
            current_time,
            parameters.get(card["id"], {}),
        )
        for card in cards
    ]
    by_id = {card["id"]: card for card in cards}
    views = {
        ticker: _view(ticker, minute, bar_minute) for ticker in {card["ticker"] for card in cards}
    }
    decisions: list[JournalledDecision] = []
    intents: list[Intent] = []
    for result in runner.run(tasks):
        if result is None:
            yield decisions, intents
            decisions, intents = [], []
            continue
        card = by_id[result.algorithm_id]
        decision, intent = _decide(card, result, minute, views[card["ticker"]])
        decisions.append(decision)
        if intent is not None:
            intents.append(intent)
    yield decisions, intents


def journal_skipped(pairs: Iterable[tuple[Card, datetime]], reason: str) -> None:
    """Put on record that these cards were not asked in these minutes, and why."""
    decision_journal.record([_skipped(card["id"], minute, reason) for card, minute in pairs])


def _decide(
    card: Card, result: Result, minute: datetime, view: MarketView
) -> tuple[JournalledDecision, Intent | None]:
    """Turn a run's result into its record and, where it may trade, an order to send."""

    def about() -> str:
        return logs.about(card["id"], card["ticker"], minute)

    if result.answer is None:
        log.error("%s: algorithm crashed: %s\n%s", about(), result.summary, result.failure)
        strikes.count(card, result)
        return _record(card["id"], minute, view, "failed", 0, result.summary, result), None
    strikes.forget(card)
    if result.output:
        log.info("%s: printed: %s", about(), result.output.rstrip())
    answer = result.answer
    means = None if answer.action == "hold" else _means(card, view)
    checked = Checked(0) if means is None else check(answer, means)
    reason = "; ".join(part for part in (answer.reason, checked.reason) if part)
    awaits = checked.shares > 0
    record = _record(card["id"], minute, view, answer.action, answer.shares, reason, result, awaits)
    if not awaits:
        if answer.action != "hold":
            log.warning("%s: %s %s: %s", about(), answer.action, answer.shares, reason)
        return record, None
    cost = None if means is None else means.cost
    ticker, action = card["ticker"], answer.action
    return record, Intent(card["id"], ticker, action, checked.shares, minute, price=cost)


def _view(ticker: str, minute: datetime, bar_minute: datetime | None) -> MarketView:
    bar = db_manager.newest_bar(ticker, minute)
    due = None if bar_minute is None else clock.stamp(bar_minute)
    if bar is not None and bar["timestamp"] == due:
        return MarketView(bar, "bar", 0)
    unknown = unknown_minutes(ticker, bar, minute)
    if due is None:
        return MarketView(bar, "missing", unknown)
    is_known = not db_manager.check_data_exists(ticker, due, due)
    return MarketView(bar, "no trade" if is_known else "missing", unknown)


def _means(card: Card, view: MarketView) -> Means:
    sums = card_calculations.card_sums(card["id"])
    # Read now: its capital may have been changed while its algorithm ran
    card = system_db_manager.get_algorithm(card["id"]) or card
    return Means(
        cash=card["initial_capital"] - sums.invested,
        shares=sums.shares,
        price=None if view.bar is None else view.bar["close"],
        cushion_bps=settings.current().cushion_bps,
        unknown_minutes=view.unknown_minutes,
    )


def _record(
    algo_id: int,
    minute: datetime,
    view: MarketView,
    action: str,
    shares: int,
    reason: str,
    result: Result,
    awaits: bool = False,
) -> JournalledDecision:
    return JournalledDecision(
        algo_id,
        clock.stamp(minute),
        view.stamp,
        action,
        shares,
        reason,
        view.verdict,
        result.milliseconds,
        awaits,
    )


def _skipped(algo_id: int, minute: datetime, reason: str) -> JournalledDecision:
    return JournalledDecision(
        algo_id, clock.stamp(minute), None, "skipped", 0, reason, "missing", 0.0
    )
