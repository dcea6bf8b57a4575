"""A card's worth through time, from its transactions and the stored bars; nothing of it is stored."""

from typing import Any

from database import db_manager
from database.calendar import calendar
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from orchestra.valuation import values_after
from system_databse import labels, system_db_manager
from system_databse.card_calculations import CardSums


def curve(algo_id: int) -> list[list[Any]]:
    """Return ``[minute, value]``, oldest first: older sessions' last bars, then the newest's bars.

    A session without a stored bar has no point, nor has what came before a split: its bars are
    adjusted since, and the transactions of then are not.
    """
    card = system_db_manager.get_algorithm(algo_id)
    if card is None:
        return []
    born = max(card["created_at"], _split_at(card))
    transactions = list(reversed(system_db_manager.get_transactions(algo_id)))
    return values_after(_bars(card["ticker"], born), CardSums(), transactions, card, born)


def _split_at(card: dict[str, Any]) -> str:
    return labels.newest(labels.SPLIT, card["created_at"]).get(card["id"], "")


def _bars(ticker: str, since: str) -> list[dict[str, Any]]:
    """The last bar of each session since a stamp, and all of the newest session."""
    now = clock.now()
    newest = calendar().latest_session(now)
    if newest is None:
        return []
    found = []
    for session in calendar().sessions_between(clock.parse(since).date(), newest.day):
        if session.day < newest.day:
            last = db_manager.newest_bar(ticker, session.close)
            if last is not None and last["timestamp"] >= clock.stamp(session.open):
                found.append(last)
    today = clock.stamp(newest.open), clock.stamp(newest.close - MINUTE)
    return [*found, *db_manager.get_historical_data(ticker, *today)]
