"""Splits: carried out only where the exchange's record, the broker and the ledger agree to the share.

The record of corporate actions is asked in the first minute of each session. A split is taken into the
ledger when the broker's new quantity is exactly the ledger's times the ratio and every card gets whole
shares: a labelled pair of transactions of equal value for each card, and the ticker's bars are fetched
again, adjusted. Anything else freezes the ticker's cards until it agrees or the owner accepts the figure.
While the record cannot be read, nothing is traded: the ledger may be in shares of before a split.
"""

import logging
import sqlite3
from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from alpaca.data.requests import CorporateActionsRequest

from database import db_manager
from orchestra import exchange
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock, sqlite
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import USUAL_OPEN, new_york
from orchestra.corrections import (
    NOTHING,
    STOCK_DIVIDEND,
    Holding,
    correction_price,
    freeze,
    holdings,
    in_new_shares,
    restate,
    thaw,
    traded_since,
)
from orchestra.exchange import figures
from system_databse import (
    corporate_actions,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
)
from system_databse.corporate_actions import CorporateAction

SPLITS = ("forward_splits", "reverse_splits")
# The record's fields that name the ticker and the day, over all kinds of action
TICKER_FIELDS = ("symbol", "old_symbol", "acquiree_symbol", "source_symbol")
DAY_FIELDS = ("ex_date", "effective_date", "process_date")
HARMLESS = ("cash_dividends", "stock_dividends_cash")
LOOKED_BACK = timedelta(days=7)  # what comes on record late, or could not be read, is made up for

log = logging.getLogger("autotrader.orchestrator")


class Splits:
    """Follows corporate actions; one object lives as long as the process."""

    def __init__(self, wrapper: AlpacaWrapper) -> None:
        self._wrapper = wrapper
        self._read_on: date | None = None
        self._others_since: date | None = None  # None: done for today
        # Tickers of which it is not known whether they were split: nothing is traded on them
        self.in_doubt: set[str] = set()

    def follow(self, cards: list[dict[str, Any]], day: date) -> None:
        """Read the record once a day and carry out what agrees. Raises ExchangeUnavailable."""
        if self._read_on != day:
            added = _oldest_cards({card["id"] for card in cards})
            if corporate_actions.read_on() != day:
                self.in_doubt = set(added)
            else:  # by the process before
                self.in_doubt = {action.ticker for action in corporate_actions.unsettled()}
            self._read_record(added, day)
            self._read_on = day
        actions = corporate_actions.unsettled()
        self.in_doubt = {action.ticker for action in actions}
        if not actions:
            return
        held = holdings()
        busy = {order.ticker for order in order_journal.open_orders()}
        at_broker = self._wrapper.get_positions()
        for action in actions:
            if action.ticker not in busy:
                broker = at_broker.get(action.ticker, NOTHING)
                self._settle(action, held.get(action.ticker, []), broker)
        # A sale asked for after its card was frozen waits as well: it is in shares of before
        self.in_doubt = {action.ticker for action in corporate_actions.unsettled()}

    def adjust_others(self, cards: list[dict[str, Any]], day: date) -> None:
        """Once a day, have the history of split tickers without cards fetched anew, adjusted.

        A card that is added afterwards, or an algorithm that looks beyond its ticker, sees no step.
        """
        since, self._others_since = self._others_since, None
        others = set(db_manager.tickers()) - _oldest_cards({card["id"] for card in cards}).keys()
        if since is None or not others:
            return
        try:
            for action in _record(sorted(others), since, day):
                _forget_before(action)
        except ExchangeUnavailable as error:
            log.warning("Splits of tickers without cards could not be looked up: %s", error)

    def _read_record(self, added: dict[str, str], day: date) -> None:
        """Note what was done to these tickers since each one's oldest card was ``added``."""
        first = min(corporate_actions.read_on() or day, day) - LOOKED_BACK
        for action in _record(sorted(added), first, day) if added else []:
            if _concerns(action, added):
                corporate_actions.note(action)
            else:
                _forget_before(action)
        corporate_actions.note_read(day)
        self._others_since = first

    def _settle(self, action: CorporateAction, cards: list[Holding], at_broker: Decimal) -> None:
        ledger = sum(card.shares for card in cards)
        if not action.is_split:
            freeze(
                action.ticker,
                f"{action.sentence}: this cannot be carried out by itself."
                " Settle it at the broker and accept the broker's figure.",
                calls_off_sales=True,
            )
            return
        made = in_new_shares(cards, action.day, action.ratio)
        total = sum(made, Fraction(0))
        whole = all(new > 0 and new.denominator == 1 for new in made)
        # Without shares in the ledger there is none that a figure of the broker's could contradict
        if whole and (not cards or Fraction(at_broker) == total):
            self._carry_out(action, cards)
            return
        freeze(
            action.ticker,
            f"{action.sentence}: {ledger} shares become {float(total):g}, the broker"
            f" holds {at_broker.normalize():f}. Accept the broker's figure when it is final.",
            calls_off_sales=True,
        )

    def _carry_out(self, action: CorporateAction, cards: list[Holding]) -> None:
        prices = [correction_price(action.ticker, card.algorithm_id) for card in cards]
        # First, for a crash in between does both again: it is fetched anew, adjusted
        db_manager.forget_history(action.ticker)
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            if action not in corporate_actions.unsettled():
                return  # the owner has accepted the broker's figure meanwhile
            made = in_new_shares(cards, action.day, action.ratio)
            for card, price, new in zip(cards, prices, made, strict=True):
                restate(connection, card, price, int(new), labels.SPLIT, action.sentence)
            _tell_of_left(connection, action)
            corporate_actions.settle_one(connection, action)
            message = f"{action.sentence} was carried out for {len(cards)} cards."
            heartbeats.insert_event(connection, "split", message)
        if action.ticker not in {each.ticker for each in corporate_actions.unsettled()}:
            thaw(action.ticker)
        log.info("%s", message)


def _tell_of_left(connection: sqlite3.Connection, action: CorporateAction) -> None:
    """Tell of shares of cards that had sold all they knew of, in new shares, before the record came."""
    holding = {card.algorithm_id for card in holdings().get(action.ticker, [])}
    traded = traded_since(action.day)
    for card in system_db_manager.get_all_algorithms():
        sold = -traded.get(card["id"], 0)
        left = sold * action.ratio - sold
        if card["ticker"] == action.ticker and card["id"] not in holding and left > 0:
            message = (
                f"{action.sentence} was on record only after this card had sold {sold} shares of after it:"
                f" {float(left):g} more were its own. They are at the broker, and yours to sell there."
            )
            heartbeats.insert_event(connection, "split-late", message, card["id"])
            log.error("%s", message)


def _forget_before(action: CorporateAction) -> None:
    """Drop a ticker's bars of before a split in which no card held shares; known ones were dropped."""
    if action.is_split and not corporate_actions.is_known(action):
        db_manager.forget_history(action.ticker)
        corporate_actions.note(action, settled=True)


def unfollowed(tickers: Collection[str], day: date) -> set[str]:
    """Return the tickers that were split, up to ``day``, and whose cards are in shares of before it.

    What is fetched of them is adjusted already. Raises ExchangeUnavailable.
    """
    waiting = {action.ticker for action in corporate_actions.unsettled()}
    read_on = corporate_actions.read_on()
    if read_on == day or not tickers:
        return waiting
    added = _oldest_cards({card["id"] for card in system_db_manager.get_all_algorithms("running")})
    return waiting | {
        action.ticker
        for action in _record(sorted(tickers), min(read_on or day, day) - LOOKED_BACK, day)
        if action.is_split and _concerns(action, added) and not corporate_actions.is_known(action)
    }


def _concerns(action: CorporateAction, added: dict[str, str]) -> bool:
    """Whether its ticker's oldest card was ``added`` before it was in force."""
    return added.get(action.ticker, "") < clock.stamp(new_york(action.day, USUAL_OPEN))


def _oldest_cards(running: set[int]) -> dict[str, str]:
    """When the oldest card of each ticker was added, of those that run or hold shares: a stamp."""
    concerned = running | {card.algorithm_id for cards in holdings().values() for card in cards}
    added: dict[str, str] = {}
    for card in system_db_manager.get_all_algorithms():  # oldest first
        if card["id"] in concerned:
            added.setdefault(card["ticker"], card["created_at"])
    return added


def _record(tickers: list[str], first: date, last: date) -> list[CorporateAction]:
    """Ask the exchange what was done to these tickers. An exchange without a record has none."""
    request = CorporateActionsRequest(symbols=tickers, start=first, end=last)
    try:
        with exchange.answering():
            answer = exchange.corporate_actions_client().get_corporate_actions(request)
            return [
                action
                for kind, rows in dict(answer).items()
                if kind not in HARMLESS
                for row in rows
                for action in _actions(kind, row)
                if action.ticker in tickers
            ]
    except ExchangeUnavailable as error:
        status = getattr(error.__cause__, "status_code", None)
        if status in (400, 403, 404):
            log.warning("This exchange has no record of corporate actions: %s", error)
            return []
        raise


def _actions(kind: str, row: dict[str, Any]) -> list[CorporateAction]:
    day = next((row[name] for name in DAY_FIELDS if row.get(name)), None)
    ticker = next((row[name] for name in TICKER_FIELDS if row.get(name)), None)
    is_split = kind in SPLITS
    if day is None or ticker is None:
        if is_split:
            raise ValueError("expected a split's ticker and day")
        return []
    new, old = "0", "0"
    if is_split:
        new, old = _plain(row["new_rate"]), _plain(row["old_rate"])
    elif kind == STOCK_DIVIDEND and row.get("rate"):
        old = _plain(row["rate"])
    return [CorporateAction(str(ticker), date.fromisoformat(day), kind, new, old)]


def _plain(rate: object) -> str:
    """A rate as text; one that is none makes the whole record no answer. Raises ValueError."""
    figures.price(rate)
    return f"{Decimal(str(rate)).normalize():f}"
