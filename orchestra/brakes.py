"""Brakes: a card that orders too often or loses too much is paused for the rest of the day.

A brake counts orders, never corrections, acts on no stale price and on no day whose beginning is not
known, and leaves alone for the day what a person has resumed.
"""

import logging
from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from orchestra.base import clock, logs, settings
from orchestra.base.market_calendar import Session
from orchestra.valuation import CardValue, value_cards
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    heartbeats,
    labels,
    order_journal,
)
from system_databse.system_db_manager import get_all_algorithms, get_transactions_since

HOUR = timedelta(hours=1)

log = logging.getLogger("autotrader.orchestrator")


def apply_brakes(
    cards: list[dict[str, Any]], session: Session, in_doubt: Collection[str] = ()
) -> None:
    """Pause the running cards that hit a brake in this session, until its close.

    Cards of tickers ``in_doubt``, or with a split that is not settled, are left out: what they seem to
    have lost are shares of another size.
    """
    chosen = settings.current()
    if (
        chosen.brake_orders_per_hour is None
        and chosen.brake_card_daily_loss is None
        and chosen.brake_account_daily_loss is None
    ):
        return
    unclear = {action.ticker for action in corporate_actions.unsettled()}.union(in_doubt)
    cards = [card for card in cards if card["ticker"] not in unclear]
    states = card_states.all_states()
    resumed = labels.newest(labels.RESUMED, clock.stamp(session.open))
    running = [card for card in cards if card["id"] not in states]
    traded = {row["algorithm_id"] for row in get_transactions_since(clock.stamp(session.open))}
    stopped = [
        card
        for card in get_all_algorithms("stopped")
        if card["id"] in traded and card["ticker"] not in unclear
    ]
    lost = _too_much_lost(cards + stopped, running, resumed)
    again = _paused_before(running, session, resumed)
    reasons = _too_many_orders(running, resumed) | lost | again
    tickers = {card["id"]: card["ticker"] for card in running}
    for algo_id, reason in reasons.items():
        if algo_id not in again:
            heartbeats.record_event("brake", reason, algo_id)
        card_states.set_state(algo_id, "paused", reason, until=session.close)
        log.warning("%s: paused: %s", logs.about(algo_id, tickers[algo_id]), reason)


def _paused_before(
    running: list[dict[str, Any]], session: Session, resumed: dict[int, str]
) -> dict[int, str]:
    """Why cards were paused today that a freeze has taken that from: they stay so for the day."""
    acted = heartbeats.newest_events("brake", clock.stamp(session.open))
    return {
        card["id"]: acted[card["id"]][1]
        for card in running
        if card["id"] in acted and acted[card["id"]][0] > resumed.get(card["id"], "")
    }


def _too_many_orders(running: list[dict[str, Any]], resumed: dict[int, str]) -> dict[int, str]:
    most = settings.current().brake_orders_per_hour
    if most is None:
        return {}
    now: datetime = clock.now()
    counted = Counter(
        algo_id
        for algo_id, created_at in order_journal.orders_since(clock.stamp(now - HOUR))
        if created_at > resumed.get(algo_id, "")
    )
    return {
        card["id"]: f"Brake: {counted[card['id']]} orders within an hour, {most:g} are allowed."
        for card in running
        if counted[card["id"]] >= most
    }


def _too_much_lost(
    cards: list[dict[str, Any]], running: list[dict[str, Any]], resumed: dict[int, str]
) -> dict[int, str]:
    chosen = settings.current()
    worth = value_cards(cards, card_calculations.all_card_sums())
    trusted = {
        algo_id: value
        for algo_id, value in worth.items()
        if not value.price_stale and value.is_today_known
    }
    reasons = {}
    for card in running:
        value: CardValue = worth[card["id"]]
        lost = -value.today_pnl
        most = chosen.brake_card_daily_loss
        if most is not None and card["id"] in trusted and lost >= most:
            reasons[card["id"]] = (
                f"Brake: this card lost ${lost:,.2f} today, ${most:,.2f} are allowed."
            )
    lost = -sum(value.today_pnl for value in trusted.values())
    most = chosen.brake_account_daily_loss
    if most is not None and lost >= most:
        for card in running:
            reasons[card["id"]] = (
                f"Brake: all cards together lost ${lost:,.2f} today, ${most:,.2f} are allowed."
            )
    return {algo_id: reason for algo_id, reason in reasons.items() if algo_id not in resumed}
