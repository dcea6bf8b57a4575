"""Holds the ledger against the broker: its list of our orders, and its positions.

What the broker filled and the journal lacks is entered. A position smaller than the ledger says is
charged to kept shares of stopped cards (the owner may sell those by hand), once it is known that no
split explains it; what is still missing freezes the cards of the ticker. Nothing is guessed, and nothing
traded to repair.
"""

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from orchestra import exchange
from orchestra.alpaca_wrapper import AlpacaWrapper, BrokerOrder
from orchestra.base import clock, logs, sqlite
from orchestra.base.clock import Delay
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE
from orchestra.corrections import NOTHING, Holding, freeze, holdings, take_from, thaw
from system_databse import (
    card_states,
    corporate_actions,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
)

LOOKED_BACK = timedelta(days=1)  # before the last complete look: at a start and after each session
# Before it otherwise: longer than an order may stay open and then take to count as lost
OVERLAP = Delay(15 * 60, 60.0)
COMPLETE_UNTIL = "orders_complete_until"  # in system_config: when the last complete look began
UNFILLED_ENDS = order_journal.UNFILLED_STATES

log = logging.getLogger("autotrader.orchestrator")


class Audit:
    """Compares; one object lives as long as the process and remembers what it saw last."""

    def __init__(self, wrapper: AlpacaWrapper) -> None:
        self._wrapper = wrapper
        self._differences: dict[str, int] = {}
        self._look_far = True
        self.has_looked = False  # whether the journal was completed since the start

    def orders(self, *, look_far: bool = False) -> None:
        """Enter our orders, and late fills of them, that the broker has and the journal does not.

        After a restored backup these are the orders since. The first look, the one after a difference of
        positions, and one with ``look_far`` until it succeeds, goes back a day further. Raises
        ExchangeUnavailable.
        """
        self._look_far |= look_far
        began = clock.stamp()
        cards = {card["id"]: card for card in system_db_manager.get_all_algorithms()}
        lost: dict[int, list[BrokerOrder]] = {}
        since = _complete_until() - (LOOKED_BACK if self._look_far else _overlap())
        own = order_journal.own_prefix()
        for order in self._wrapper.orders_since(since, own):
            identity = order_journal.read_client_order_id(order.client_order_id)
            if identity is None:
                continue
            algo_id, minute = identity
            known = order_journal.find(order.client_order_id)
            is_nothing = order.is_terminal and order.filled_shares == 0
            if known is not None:
                if known.state in UNFILLED_ENDS and not is_nothing:
                    log.warning("Order %s was accepted after all", order.client_order_id)
                    order_journal.reopen(order.client_order_id)
                elif known.state == "partly_filled" and order.filled_price is not None:
                    order_journal.add_late_fill(
                        known.client_order_id, order.filled_shares, order.filled_price
                    )
            elif not _is_of_card(order, cards.get(algo_id), minute):
                lost.setdefault(algo_id, []).append(order)
            else:
                if order.client_order_id.endswith(order_journal.EXIT):
                    _stop_again(algo_id)
                if not is_nothing:
                    log.warning("Order %s was missing in the journal", order.client_order_id)
                    order_journal.adopt(
                        order.client_order_id,
                        algo_id,
                        order.ticker,
                        order.side,
                        order.shares,
                        minute,
                    )
        for algo_id, orders in lost.items():
            self._unknown_card(algo_id, [order for order in orders if order.filled_shares > 0])
        system_db_manager.set_config(COMPLETE_UNTIL, began)
        self._look_far, self.has_looked = False, True

    def positions(self) -> bool:
        """Compare each ticker's position with the ledger; True when a difference wants another look.

        A difference counts only when it is the same twice: the broker's list of positions may lag
        behind its fills. Raises ExchangeUnavailable.
        """
        at_broker = self._wrapper.get_positions()
        unclear = {order.ticker for order in order_journal.open_orders()}
        unclear |= {action.ticker for action in corporate_actions.unsettled()}
        states = card_states.all_states()
        held = holdings()
        all_cards = system_db_manager.get_all_algorithms()
        running = {card["ticker"] for card in all_cards if card["status"] == "running"}
        frozen = {
            card["ticker"]
            for card in all_cards
            if card["id"] in states and states[card["id"]].state == "frozen"
        }
        for ticker, cards in held.items():
            if any(card.shares < 0 for card in cards):
                unclear.add(ticker)  # a sum that fits proves nothing then
                freeze(ticker, f"A card of {ticker} holds less than nothing: see its transactions.")
        seen: dict[str, int] = {}
        # Where no card holds shares the broker may still hold less: what was sold twice is short
        concerned = held.keys() | frozen | running
        newest = {card["ticker"]: card["id"] for card in all_cards}
        for ticker in newest.keys() - concerned - unclear:
            short = -at_broker.get(ticker, NOTHING)
            if short > 0:
                _tell_of_short(newest[ticker], ticker, short)
        for ticker in concerned - unclear:
            cards = held.get(ticker, [])
            ledger = sum(card.shares for card in cards)
            missing = ledger - int(at_broker.get(ticker, 0) // 1)
            if missing <= 0:
                if ticker in frozen:
                    thaw(ticker)
            elif self._differences.get(ticker) == missing:
                self._charge(ticker, cards, missing, ledger)
            else:
                seen[ticker] = missing
        self._differences = seen
        self._look_far |= bool(seen)  # an older order may explain it: looked for before it counts
        return bool(seen)

    def lacking(self, tickers: set[str]) -> set[str]:
        """Return those tickers of which the broker holds less than the ledger.

        One request tells for all: sales of many wait for it, within their minute. What it says is missing
        is asked for by itself. Raises ExchangeUnavailable.
        """
        try:
            at_broker = self._wrapper.get_positions()
        except ExchangeUnavailable as error:
            if not exchange.has_answered(error):
                raise
            at_broker = {}  # of no use: another position may make no sense here
        held = {ticker: sum(card.shares for card in cards) for ticker, cards in holdings().items()}
        return {
            ticker
            for ticker in tickers
            if held.get(ticker, 0) > at_broker.get(ticker, NOTHING)
            and held[ticker] > self._wrapper.get_position(ticker)
        }

    def _charge(self, ticker: str, cards: list[Holding], missing: int, ledger: int) -> None:
        # Before the day's record is read it may be a reverse split that has made them fewer
        is_known = corporate_actions.is_read_today()
        kept = [card for card in cards if card.status == "stopped" and is_known]
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            if holdings().get(ticker, []) != cards:
                return  # the owner has accepted the broker's figure meanwhile
            left = take_from(connection, ticker, kept, missing, labels.SOLD_BY_HAND)
            if left < missing:
                heartbeats.insert_event(
                    connection,
                    "sold-by-hand",
                    f"{missing - left} kept {ticker} are not at the broker any more: taken as sold by"
                    " hand at the newest price.",
                )
        if left:
            ledger -= missing - left
            freeze(
                ticker,
                f"The broker holds {ledger - left} {ticker}, the ledger {ledger}."
                " Accept the broker's figure, or put it right there.",
            )

    def _unknown_card(self, algo_id: int, filled: list[BrokerOrder]) -> None:
        """Tell once of a card whose orders this ledger does not have, and never reuse its number."""
        system_db_manager.reserve_algorithm_id(algo_id)
        if not filled:
            return
        first = filled[0]
        message = (
            f"The broker filled orders from {first.client_order_id} on ({first.side}"
            f" {first.filled_shares} {first.ticker}; {len(filled)} in all), but this ledger has no"
            f" card {algo_id} that sent them: a backup was restored that does not know it."
            " Its shares are yours to keep or sell at the broker."
        )
        if heartbeats.record_event_once("unknown-card", message, algo_id):
            log.error("%s", message)


def _stop_again(algo_id: int) -> None:
    """Stop a card whose sale by a stop was lost with the stop itself: nobody else sends such an order."""
    card = system_db_manager.get_algorithm(algo_id)
    if card is not None and card["status"] == "running":
        message = (
            "It was stopped and sold before the ledger was restored: it is stopped again, and what it"
            " still holds is sold."
        )
        # The event first: after a crash in between it is told twice, not never
        heartbeats.record_event("stopped-again", message, algo_id)
        card_states.stop_and_sell(algo_id)
        log.warning("%s: %s", logs.about(algo_id, card["ticker"]), message)


def _tell_of_short(algo_id: int, ticker: str, short: Decimal) -> None:
    """Tell once of shares sold that nobody held, where no card is left that could be frozen for it."""
    message = (
        f"The broker is short {short.normalize():f} {ticker}, and no card holds any: what was sold by hand"
        " may have been sold by a card too. Buy it back at the broker, unless the short position is"
        " your own."
    )
    if heartbeats.record_event_once("short", message, algo_id):
        log.error("%s", message)


def _complete_until() -> datetime:
    """The moment up to which the journal surely has every order.

    Not simply its newest row: that may be younger than a gap which has not been looked at yet.
    """
    stamp = system_db_manager.get_config(COMPLETE_UNTIL) or order_journal.newest_time()
    return clock.parse(stamp) if stamp else clock.now()


def _overlap() -> timedelta:
    machine = OVERLAP.machine_seconds * clock.speed()
    return timedelta(seconds=max(OVERLAP.market_seconds, machine))


def _is_of_card(order: BrokerOrder, card: dict[str, Any] | None, minute: datetime) -> bool:
    """Whether this card can have sent the order: a new one may have a lost one's number."""
    return (
        card is not None
        and card["ticker"] == order.ticker
        and clock.parse(card["created_at"]) < minute + MINUTE
    )
