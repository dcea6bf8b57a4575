"""Trading through Alpaca: account, tickers, market orders. Protocol facts: docs.alpaca.markets, Trading API.

Every order carries a client_order_id, is sent once, and is followed to a terminal state. An answer that
says neither yes nor no raises OrderUnsettled: only asking by client_order_id can tell.
"""

import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, PositionIntent, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, MarketOrderRequest

from orchestra import exchange
from orchestra.account_reader import AccountReader
from orchestra.base import clock, settings
from orchestra.base.errors import ExchangeUnavailable, OrderRefused, OrderUnsettled, PartlyFilled
from orchestra.exchange import figures
from system_databse.system_db_manager import whole_shares

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
# Answers to a POST that mean: the order does not exist. All else leaves it open what happened.
REFUSALS = frozenset({400, 401, 403, 404, 422, 429})
ENDS = ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at")  # an order's fields
FIRST_POLL_SECONDS = 0.02
# Many slow orders, each asked for every second, would use up the minute's requests: then none can be
# cancelled or sent
LONGEST_POLL_SECONDS = 5.0  # of market time, as that limit is counted
SHORTEST_WAIT_SECONDS = 1.0
ORDERS_A_PAGE = 500  # the most Alpaca gives; a page with fewer is the last
CANCEL_SECONDS = 5.0  # how long a cancelled order is given to become terminal


@dataclass(frozen=True)
class BrokerOrder:
    """The broker's word on one order; ``filled_price`` in dollars a share.

    ``filled_at`` is aware UTC; of one that was filled in part it is when it ended.
    """

    id: str
    client_order_id: str
    ticker: str
    side: str
    shares: int
    status: str
    filled_shares: int
    filled_price: float | None
    filled_at: datetime | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


class AlpacaWrapper(AccountReader):
    """Alpaca's trading API as the terminal uses it; one object may serve many threads."""

    def __init__(self) -> None:
        chosen = settings.current()
        exchange.trading_client()
        print(
            f"✅ Alpaca client initialized in {chosen.mode.upper()} mode"
            f" with {chosen.alpaca_feed} feed",
            flush=True,
        )

    def _client(self) -> TradingClient:
        return exchange.trading_client()

    def get_time(self) -> datetime:
        """Return the broker's clock, aware UTC. Raises ExchangeUnavailable."""
        with exchange.answering():
            shown = figures.mapping(exchange.trading_client().get_clock())
            return figures.moment(shown["timestamp"])

    def place_market_buy(self, ticker: str, shares: int) -> float:
        """Buy at the market and return the average fill price in dollars.

        Raises OrderRefused, PartlyFilled (with what was filled) or OrderUnsettled.
        """
        return self._place(ticker, "buy", shares)

    def place_market_sell(self, ticker: str, shares: int) -> float:
        """Sell at the market and return the average fill price in dollars; raises as a buy does."""
        return self._place(ticker, "sell", shares)

    def _place(self, ticker: str, side: str, shares: int) -> float:
        shares = whole_shares(shares)
        order = self.follow(self.submit(ticker, side, shares, f"apac-manual-{uuid.uuid4().hex}"))
        if order.filled_shares == 0 or order.filled_price is None:
            raise OrderRefused(
                f"The {side} of {shares} {ticker} ended {order.status}, nothing filled"
            )
        if order.filled_shares < shares:
            raise PartlyFilled(order.filled_shares, shares, order.filled_price)
        return order.filled_price

    def submit(
        self, ticker: str, side: str, shares: int, client_order_id: str, *, until: float = 0.0
    ) -> BrokerOrder:
        """Send one market order for the day, once. Raises OrderRefused or OrderUnsettled.

        A sale says that it closes a position: where nothing is held any more, for it was sold by hand a
        moment ago, the broker refuses it instead of making a margin account short.
        A rate limit is a no that time heals: its reset is waited for, if it comes before ``until``
        (an instant on ``clock.elapsed``'s scale).
        """
        request = MarketOrderRequest(
            symbol=ticker,
            qty=shares,
            side=OrderSide(side),
            time_in_force=TimeInForce.DAY,
            client_order_id=client_order_id,
            position_intent=PositionIntent.SELL_TO_CLOSE if side == "sell" else None,
        )
        while True:
            try:
                answer = exchange.trading_client().submit_order(request)
                return _own_order(answer, client_order_id, shares)
            except APIError as error:
                wait = _seconds_to_reset(error)
                if wait is None or clock.elapsed() + wait >= until:
                    _refused_or_unsettled(error, client_order_id)
            except exchange.UNUSABLE as error:
                raise OrderUnsettled(client_order_id, error) from error
            clock.pause(wait)

    def find(self, client_order_id: str, shares: int | None = None) -> BrokerOrder | None:
        """Ask for an order by our id; None when the broker has none. Raises ExchangeUnavailable.

        ``shares`` is what it was sent for, where that is known: an answer of another size is none.
        """
        try:
            with exchange.answering():
                found = exchange.trading_client().get_order_by_client_id(client_order_id)
                return _own_order(found, client_order_id, shares)
        except ExchangeUnavailable as error:
            if exchange.is_not_found(error):
                return None
            raise

    def orders_since(self, moment: datetime, prefix: str = "") -> list[BrokerOrder]:
        """Return the account's orders since ``moment`` whose client_order_id begins so, oldest first.

        No other is read: the owner's own may be of a kind that is none here, like an option spread with
        a price below zero. Raises ExchangeUnavailable.
        """
        found: dict[str, BrokerOrder] = {}
        seen: set[str] = set()
        after = moment
        while True:
            request = GetOrdersRequest(
                status=QueryOrderStatus.ALL, limit=ORDERS_A_PAGE, after=after, direction=Sort.ASC
            )
            with exchange.answering():
                rows = figures.rows(exchange.trading_client().get_orders(request))
                page = {str(row["id"]): row for row in rows}
                found |= {
                    identity: _order(row)
                    for identity, row in page.items()
                    if figures.text(row["client_order_id"]).startswith(prefix)
                }
                # ``after`` is exclusive: orders of the very same moment may lie on both pages
                submitted = [figures.moment(row["submitted_at"]) for row in rows]
            is_last = len(rows) < ORDERS_A_PAGE or page.keys() <= seen
            seen |= page.keys()
            if is_last:
                return list(found.values())
            after = max(submitted) - timedelta(microseconds=1)

    def follow(
        self,
        order: BrokerOrder,
        stop: threading.Event | None = None,
        since: float | None = None,
    ) -> BrokerOrder:
        """Poll an order to a terminal state; one that stays open too long is cancelled.

        It counts from ``since``, an instant on ``clock.elapsed``'s scale; by default from now. Returns it
        with what was filled. Raises OrderUnsettled when the broker stops answering, and when ``stop`` is
        set first.
        """
        stop = stop or threading.Event()
        since = clock.elapsed() if since is None else since
        give_up_at = since + settings.current().order_open_seconds
        order = self._poll(order, give_up_at, stop)
        if not order.is_terminal:
            self._cancel(order)
            order = self._poll(order, clock.elapsed() + CANCEL_SECONDS, stop)
        if not order.is_terminal:
            raise OrderUnsettled(
                order.client_order_id, f"still {order.status} after its cancelling"
            )
        return order

    def _poll(self, order: BrokerOrder, until: float, stop: threading.Event) -> BrokerOrder:
        """Ask for an order until it is terminal, once at least and at most ``until``."""
        wait, is_over = FIRST_POLL_SECONDS, False
        longest = max(SHORTEST_WAIT_SECONDS, LONGEST_POLL_SECONDS / max(1.0, clock.speed()))
        while not order.is_terminal and not is_over:
            if not clock.pause(min(wait, max(0.0, until - clock.elapsed())), stop):
                raise OrderUnsettled(order.client_order_id, "this program ends")
            wait = min(wait * 2, longest)
            try:
                with exchange.answering():
                    found = exchange.trading_client().get_order_by_id(order.id)
                    order = _own_order(found, order.client_order_id, order.shares)
            except ExchangeUnavailable as error:
                if clock.elapsed() >= until:
                    raise OrderUnsettled(order.client_order_id, error) from error
            is_over = clock.elapsed() >= until
        return order

    def _cancel(self, order: BrokerOrder) -> None:
        try:
            with exchange.answering():
                exchange.trading_client().cancel_order_by_id(order.id)
        except ExchangeUnavailable as error:
            # 422: it became terminal meanwhile, which the next poll will show
            if exchange.status_of(error.__cause__) != 422:
                raise OrderUnsettled(order.client_order_id, error) from error


def _refused_or_unsettled(error: APIError, client_order_id: str) -> NoReturn:
    reason = exchange.describe(error)
    if "client_order_id must be unique" in reason or exchange.status_of(error) not in REFUSALS:
        raise OrderUnsettled(client_order_id, reason) from error
    if "position intent mismatch" in reason:
        reason = f"nothing of it is held at the broker ({reason})"
    raise OrderRefused(reason) from error


def _seconds_to_reset(error: APIError) -> float | None:
    """Machine seconds until a rate limit is reset; None where the error is no rate limit."""
    if error.status_code != 429:
        return None
    try:
        resets_at = float(error.response.headers["X-RateLimit-Reset"])
    except (AttributeError, KeyError, ValueError):
        return None
    return max(SHORTEST_WAIT_SECONDS, resets_at - clock.machine_now().timestamp())


def _own_order(answer: Any, client_order_id: str, shares: int | None) -> BrokerOrder:
    """Read the order that was asked for; one that contradicts itself is no answer. Raises ValueError."""
    order = _order(answer)
    if order.client_order_id != client_order_id:
        raise ValueError(f"expected order {client_order_id}, was {order.client_order_id}")
    if order.shares == 0 or order.shares != (shares or order.shares):
        raise ValueError(f"expected an order of {shares or 'some'} shares, was {order.shares}")
    if order.filled_shares > order.shares:
        raise ValueError(f"{order.filled_shares} filled of {order.shares}")
    if order.status == "filled" and order.filled_shares != order.shares:
        raise ValueError(f"filled, and yet {order.filled_shares} of {order.shares}")
    if order.filled_shares and order.filled_price is None:
        raise ValueError(f"{order.filled_shares} filled at no price")
    return order


def _order(answer: Any) -> BrokerOrder:
    """Read an order as the broker sends it: numbers as strings, nanosecond times."""
    row = figures.mapping(answer)
    price = row.get("filled_avg_price")
    filled_at = next((row[name] for name in ENDS if row.get(name)), None)
    return BrokerOrder(
        id=figures.text(row["id"]),
        client_order_id=figures.text(row["client_order_id"]),
        ticker=figures.symbol(row["symbol"]),
        side=figures.side(row["side"]),
        shares=figures.shares(row.get("qty") or 0),
        status=figures.text(row["status"]),
        filled_shares=figures.shares(row["filled_qty"]),
        filled_price=None if price is None else figures.price(price),
        filled_at=None if not filled_at else figures.moment(filled_at),
    )
