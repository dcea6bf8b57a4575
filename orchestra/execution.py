"""Carries out orders and settles what is open, so that journal and broker agree.

An order's way: written into the journal, sent once, followed to a terminal state, closed together with
its transaction. Whatever fails in between decides nothing: ``reconcile`` asks the broker by
client_order_id. That is the first step of every cycle and every start; recovery is the normal path.
"""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from orchestra import exchange
from orchestra.alpaca_wrapper import AlpacaWrapper, BrokerOrder
from orchestra.base import clock, logs
from orchestra.base.errors import ExchangeUnavailable, OrderRefused, OrderUnsettled
from orchestra.base.market_calendar import MINUTE
from orchestra.base.threads import full_pool
from orchestra.decision import below_zero
from system_databse import card_calculations, card_states, decision_journal, order_journal
from system_databse.order_journal import JournalledOrder

TICKERS_AT_ONCE = 8
# A POST can still be under way when the broker does not know it yet; after this long it is not
LOST_AFTER_SECONDS = 15.0
CLOSED_AS = {"canceled": "cancelled", "expired": "expired", "rejected": "refused"}

log = logging.getLogger("autotrader.orchestrator")


@dataclass(frozen=True)
class Intent:
    """An order to be sent: checked, not yet in the journal. ``minute`` is the cycle's."""

    algorithm_id: int
    ticker: str
    side: str
    shares: int
    minute: datetime
    exit: bool = False
    price: float | None = None  # it was checked at, with the cushion, dollars


_Sent = tuple[JournalledOrder, BrokerOrder, float]  # the last is when, on clock.elapsed's scale


class Execution:
    """Sends orders and follows them, tickers in parallel, without holding up the next minute."""

    def __init__(self, wrapper: AlpacaWrapper) -> None:
        self._wrapper = wrapper
        self._pool = full_pool(TICKERS_AT_ONCE, "orders")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._tickers: dict[str, threading.Lock] = {}  # one batch of orders at a time on each
        self._began = clock.stamp()
        self._taken: set[Intent] = set()  # a thread of ours is sending or following them
        self._under_way: set[str] = set()  # client_order_ids a thread of ours is following
        self._unknown_since: dict[str, float] = {}

    def close(self) -> None:
        """Send nothing more; what is under way is left to the next start's reconciliation."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def carry_out(self, intents: Iterable[Intent]) -> list["Future[None]"]:
        """Journal and send orders: tickers in parallel, on one ticker the first side first."""
        by_ticker: dict[str, list[Intent]] = {}
        for intent in intents:
            by_ticker.setdefault(intent.ticker, []).append(intent)
        with self._lock:
            self._taken.update(*by_ticker.values())
        return [
            self._pool.submit(self._in_turn, ticker, orders) for ticker, orders in by_ticker.items()
        ]

    def unsettled_cards(self) -> set[int]:
        """Return the cards with an order whose end is not recorded: they are not asked."""
        return order_journal.cards_with_open_orders()

    def reconcile(self) -> None:
        """Settle every open order of the journal by asking the broker, each for itself.

        Raises ExchangeUnavailable: at once where the broker cannot be reached, and after the last order
        where one's answer was of no use.
        """
        still_open: dict[str, list[_Sent]] = {}
        useless: ExchangeUnavailable | None = None
        try:
            for order in order_journal.open_orders():
                if self._is_under_way(order):
                    continue
                try:
                    found = self._wrapper.find(order.client_order_id, order.shares)
                except ExchangeUnavailable as error:
                    if not exchange.has_answered(error):
                        raise
                    useless = error
                    continue
                if found is None:
                    self._not_known(order)
                elif found.is_terminal:
                    self._conclude(order, found)
                else:
                    self._enter(order)
                    of_ticker = still_open.setdefault(order.ticker, [])
                    of_ticker.append((order, found, clock.elapsed()))
        finally:
            for ticker, orders in still_open.items():
                self._pool.submit(self._follow_in_turn, ticker, orders)
        if useless is not None:
            raise useless

    def note_outcomes(self) -> None:
        """Say what became of decisions whose outcome a crash kept from being noted, from the journal."""
        with self._lock:
            taken = {(intent.algorithm_id, clock.stamp(intent.minute)) for intent in self._taken}
        for algo_id, minute, action in decision_journal.awaiting():
            identity = order_journal.client_order_id(algo_id, clock.parse(minute), action)
            order = order_journal.find(identity)
            if (algo_id, minute) in taken or (
                order and (order.is_open or self._is_under_way(order))
            ):
                continue
            if order is None:
                why = "the trader was stopped" if minute < self._began else "the cycle failed"
                outcome = f"no order was sent: {why}"
            else:
                outcome = _outcome(order, order_journal.fill_of(identity))
            decision_journal.note_outcome(algo_id, minute, outcome)

    def _in_turn(self, ticker: str, orders: list[Intent]) -> None:
        """Carry out a batch when the one before it on this ticker is done."""
        try:
            with self._turn(ticker):
                self._carry_out_ticker(orders)
        finally:
            with self._lock:
                self._taken.difference_update(orders)

    def _follow_in_turn(self, ticker: str, orders: list[_Sent]) -> None:
        with self._turn(ticker):
            for order in orders:
                self._follow(*order)

    def _turn(self, ticker: str) -> threading.Lock:
        with self._lock:
            return self._tickers.setdefault(ticker, threading.Lock())

    def _carry_out_ticker(self, intents: list[Intent]) -> None:
        """Send one side together, then the other: Alpaca refuses opposite orders as a wash trade."""
        for side in sorted({intent.side for intent in intents}, reverse=True):  # sells bring cash
            sent: list[_Sent] = []
            try:
                for intent in intents:
                    if intent.side == side:
                        self._send(intent, sent)
            finally:
                for each in sent:
                    self._follow(*each)

    def _send(self, intent: Intent, sent: list[_Sent]) -> None:
        order = _written_down(intent)
        if order is None:
            return
        if self._closing.is_set():
            self._close_unfilled(order, "cancelled", "dropped: the program was ending")
            return
        if clock.now() >= intent.minute + MINUTE:
            reason = "dropped: the minute was over before it could be sent"
            self._close_unfilled(order, "cancelled", reason)
            return
        if _other_side_is_open(order):
            reason = "dropped: an order of the other side is not settled yet"
            self._close_unfilled(order, "cancelled", reason)
            return
        self._enter(order)
        try:
            at_broker = self._wrapper.submit(
                order.ticker,
                order.side,
                order.shares,
                order.client_order_id,
                until=clock.due(intent.minute + MINUTE),
            )
        except OrderRefused as error:
            try:
                self._close_unfilled(order, "refused", str(error))
            finally:  # where it cannot be written down now it stays open, and is settled later
                self._leave(order)
        except OrderUnsettled as error:
            log.warning("%s", error)
            self._leave(order)
        except BaseException:
            self._leave(order)
            raise
        else:
            sent.append((order, at_broker, clock.elapsed()))
            order_journal.mark_submitted(order.client_order_id)

    def _follow(self, order: JournalledOrder, at_broker: BrokerOrder, since: float) -> None:
        try:
            self._conclude(order, self._wrapper.follow(at_broker, self._closing, since))
        except OrderUnsettled as error:
            log.warning("%s", error)
        except Exception:
            # Nothing is lost: the order stays open in the journal and is reconciled
            log.exception("Order %s could not be concluded", order.client_order_id)
        finally:
            self._leave(order)

    def _conclude(self, order: JournalledOrder, at_broker: BrokerOrder) -> None:
        """Close the journal's order as the broker ended it, with what was really filled."""
        self._unknown_since.pop(order.client_order_id, None)
        if at_broker.filled_shares == 0 or at_broker.filled_price is None:
            state = CLOSED_AS.get(at_broker.status, "cancelled")
            self._close_unfilled(order, state, f"the broker ended it as {at_broker.status}")
            return
        recorded = order_journal.close_filled(
            order.client_order_id,
            at_broker.filled_shares,
            at_broker.filled_price,
            at_broker.filled_at or clock.now(),
        )
        if recorded is not None:
            what = _outcome(order, (at_broker.filled_shares, at_broker.filled_price))
            cash = card_calculations.calculate_cash(order.algorithm_id)
            if order.side == "buy" and cash < -order_journal.NOISE:
                what += f", worse than checked: {below_zero(cash)}"
            decision_journal.note_outcome(order.algorithm_id, order.minute, what)
            log.info("%s: %s", logs.about(order.algorithm_id, order.ticker, order.minute), what)

    def _not_known(self, order: JournalledOrder) -> None:
        since = self._unknown_since.setdefault(order.client_order_id, clock.elapsed())
        if clock.elapsed() - since >= LOST_AFTER_SECONDS:
            self._unknown_since.pop(order.client_order_id)
            self._close_unfilled(order, "lost", "the broker never had it")

    def _close_unfilled(self, order: JournalledOrder, state: str, reason: str) -> None:
        order_journal.close_unfilled(order.client_order_id, state, reason)
        decision_journal.note_outcome(order.algorithm_id, order.minute, f"{state}: {reason}")
        if order.is_exit:
            why = f"Its sale was {state}: {reason}. It is tried again in the next open minute."
            card_states.explain_stopping(order.algorithm_id, why)
        about = logs.about(order.algorithm_id, order.ticker, order.minute)
        log.warning("%s: trade failed: %s %s: %s", about, order.side, order.shares, reason)

    def _enter(self, order: JournalledOrder) -> None:
        with self._lock:
            self._under_way.add(order.client_order_id)

    def _leave(self, order: JournalledOrder) -> None:
        with self._lock:
            self._under_way.discard(order.client_order_id)

    def _is_under_way(self, order: JournalledOrder) -> bool:
        with self._lock:
            return order.client_order_id in self._under_way


def _outcome(order: JournalledOrder, fill: tuple[int, float] | None) -> str:
    """What became of a closed order; ``fill`` is what was filled of it, shares and price."""
    if fill is None:
        return f"{order.state}: {order.reason}"
    shares, price = fill
    what = f"{'bought' if order.side == 'buy' else 'sold'} {shares} at {price:.2f}"
    return what if shares == order.shares else f"{what} of {order.shares} asked"


def _other_side_is_open(order: JournalledOrder) -> bool:
    """Whether the broker may have an order that it holds this one against, as a wash trade."""
    return any(
        each.ticker == order.ticker and each.side != order.side
        for each in order_journal.open_orders()
    )


def _written_down(intent: Intent) -> JournalledOrder | None:
    """The intent in the journal; None where this card has had its order, or may not send it any more."""
    try:
        return order_journal.intend(
            intent.algorithm_id,
            intent.ticker,
            intent.side,
            intent.shares,
            intent.minute,
            exit=intent.exit,
            price=intent.price,
        )
    except OrderRefused as error:
        reason = f"not sent: {error}"
        decision_journal.note_outcome(intent.algorithm_id, clock.stamp(intent.minute), reason)
        about = logs.about(intent.algorithm_id, intent.ticker, intent.minute)
        log.warning("%s: trade failed: %s %s: %s", about, intent.side, intent.shares, reason)
        return None
