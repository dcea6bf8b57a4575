"""Trading through Alpaca: account, tickers, market orders. Protocol facts: docs.alpaca.markets, Trading API.

Every order carries a client_order_id, is sent once, and is followed to a terminal state. An answer that
says neither yes nor no raises OrderUnsettled: only asking by client_order_id can tell.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import requests
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import AssetClass, AssetStatus, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetAssetsRequest, GetOrdersRequest, MarketOrderRequest

from orchestra import exchange
from orchestra.base import clock, settings
from orchestra.base.errors import ExchangeUnavailable, OrderRefused, OrderUnsettled, PartlyFilled
from orchestra.base.tickers import is_ticker
from system_databse.system_db_manager import whole_shares

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
# Answers to a POST that mean: the order does not exist. All else leaves it open what happened.
REFUSALS = frozenset({400, 401, 403, 404, 422, 429})
FIRST_POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 1.0
ORDERS_A_PAGE = 500  # the most Alpaca gives; a page with fewer is the last
CANCEL_SECONDS = 5.0  # how long a cancelled order is given to become terminal


@dataclass(frozen=True)
class BrokerOrder:
    """The broker's word on one order; ``filled_price`` in dollars a share, ``filled_at`` aware UTC."""

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


class AlpacaWrapper:
    """Alpaca's trading API as the terminal uses it; one object may serve many threads."""

    def __init__(self) -> None:
        chosen = settings.current()
        exchange.trading_client()
        print(
            f"✅ Alpaca client initialized in {chosen.mode.upper()} mode"
            f" with {chosen.alpaca_feed} feed",
            flush=True,
        )

    def validate_ticker(self, symbol: str) -> bool:
        """Say whether ``symbol`` is an active, tradable stock. Raises ExchangeUnavailable."""
        # The form is checked first: the client puts the symbol into the path as it is
        if not is_ticker(symbol):
            return False
        try:
            with exchange.answering():
                asset = _mapping(exchange.trading_client().get_asset(symbol))
        except ExchangeUnavailable as error:
            if _status(error.__cause__) in (404, 422):
                return False
            raise
        return (
            asset.get("tradable") is True
            and asset.get("status") == "active"
            and asset.get("class") == "us_equity"
        )

    def get_tradable_assets(self) -> list[tuple[str, str]]:
        """Return symbol and name of every active, tradable stock. Raises ExchangeUnavailable."""
        wanted = GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY)
        with exchange.answering():
            found = exchange.trading_client().get_all_assets(wanted)
            return [
                (asset["symbol"], str(asset.get("name") or "").removesuffix(" Common Stock"))
                for asset in map(_mapping, found)
                if asset.get("tradable") is True and is_ticker(asset.get("symbol"))
            ]

    def get_account_cash(self) -> float:
        """Return the account's cash in dollars. Raises ExchangeUnavailable."""
        with exchange.answering():
            return float(_mapping(exchange.trading_client().get_account())["cash"])

    def get_account_number(self) -> str:
        """Return the broker's number of the account. Raises ExchangeUnavailable."""
        with exchange.answering():
            return str(_mapping(exchange.trading_client().get_account())["account_number"])

    def get_time(self) -> datetime:
        """Return the broker's clock, aware UTC. Raises ExchangeUnavailable."""
        with exchange.answering():
            shown = _mapping(exchange.trading_client().get_clock())["timestamp"]
            return datetime.fromisoformat(str(shown)).astimezone(UTC)

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

        A rate limit is a no that time heals: its reset is waited for, if it comes before ``until``
        (an instant on ``clock.elapsed``'s scale).
        """
        request = MarketOrderRequest(
            symbol=ticker,
            qty=shares,
            side=OrderSide(side),
            time_in_force=TimeInForce.DAY,
            client_order_id=client_order_id,
        )
        while True:
            try:
                return _order(exchange.trading_client().submit_order(request))
            except APIError as error:
                wait = _seconds_to_reset(error)
                if wait is None or clock.elapsed() + wait >= until:
                    _refused_or_unsettled(error, client_order_id)
            except (
                requests.RequestException,
                OSError,
                LookupError,
                TypeError,
                ValueError,
            ) as error:
                raise OrderUnsettled(client_order_id, error) from error
            clock.pause(wait)

    def find(self, client_order_id: str) -> BrokerOrder | None:
        """Ask for an order by our id; None when the broker has none. Raises ExchangeUnavailable."""
        try:
            with exchange.answering():
                return _order(exchange.trading_client().get_order_by_client_id(client_order_id))
        except ExchangeUnavailable as error:
            if _status(error.__cause__) == 404:
                return None
            raise

    def orders_since(self, moment: datetime) -> list[BrokerOrder]:
        """Return every order of the account since ``moment``, oldest first. Raises ExchangeUnavailable."""
        found: dict[str, BrokerOrder] = {}
        after = moment
        while True:
            request = GetOrdersRequest(
                status=QueryOrderStatus.ALL, limit=ORDERS_A_PAGE, after=after, direction=Sort.ASC
            )
            with exchange.answering():
                rows = [_mapping(row) for row in exchange.trading_client().get_orders(request)]
                page = {str(row["id"]): _order(row) for row in rows}
                # ``after`` is exclusive: orders of the very same moment may lie on both pages
                submitted = [datetime.fromisoformat(str(row["submitted_at"])) for row in rows]
            is_last = len(rows) < ORDERS_A_PAGE or page.keys() <= found.keys()
            found |= page
            if is_last:
                return list(found.values())
            after = max(submitted) - timedelta(microseconds=1)

    def get_positions(self) -> dict[str, Decimal]:
        """Return the account's shares by ticker (short ones below zero). Raises ExchangeUnavailable."""
        with exchange.answering():
            rows = [_mapping(row) for row in exchange.trading_client().get_all_positions()]
            return {str(row["symbol"]): Decimal(f"{float(row['qty']):.9f}") for row in rows}

    def follow(self, order: BrokerOrder) -> BrokerOrder:
        """Poll an order to a terminal state; one that stays open too long is cancelled.

        Returns it with what was filled. Raises OrderUnsettled when the broker stops answering.
        """
        give_up_at = clock.elapsed() + settings.current().order_open_seconds
        order = self._poll(order, give_up_at)
        if not order.is_terminal:
            self._cancel(order)
            order = self._poll(order, clock.elapsed() + CANCEL_SECONDS)
        if not order.is_terminal:
            raise OrderUnsettled(
                order.client_order_id, f"still {order.status} after its cancelling"
            )
        return order

    def _poll(self, order: BrokerOrder, until: float) -> BrokerOrder:
        wait = FIRST_POLL_SECONDS
        while not order.is_terminal and clock.elapsed() < until:
            clock.pause(min(wait, max(0.0, until - clock.elapsed())))
            wait = min(wait * 2, LONGEST_POLL_SECONDS)
            try:
                with exchange.answering():
                    order = _order(exchange.trading_client().get_order_by_id(order.id))
            except ExchangeUnavailable as error:
                if clock.elapsed() >= until:
                    raise OrderUnsettled(order.client_order_id, error) from error
        return order

    def _cancel(self, order: BrokerOrder) -> None:
        try:
            with exchange.answering():
                exchange.trading_client().cancel_order_by_id(order.id)
        except ExchangeUnavailable as error:
            # 422: it became terminal meanwhile, which the next poll will show
            if _status(error.__cause__) != 422:
                raise OrderUnsettled(order.client_order_id, error) from error


def _refused_or_unsettled(error: APIError, client_order_id: str) -> NoReturn:
    reason = exchange.describe(error)
    if "client_order_id must be unique" in reason or _status(error) not in REFUSALS:
        raise OrderUnsettled(client_order_id, reason) from error
    raise OrderRefused(reason) from error


def _seconds_to_reset(error: APIError) -> float | None:
    """Machine seconds until a rate limit is reset; None where the error is no rate limit."""
    if error.status_code != 429:
        return None
    try:
        resets_at = float(error.response.headers["X-RateLimit-Reset"])
    except (AttributeError, KeyError, ValueError):
        return None
    return max(LONGEST_POLL_SECONDS, resets_at - clock.machine_now().timestamp())


def _status(error: BaseException | None) -> int | None:
    return error.status_code if isinstance(error, APIError) else None


def _mapping(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise ValueError(f"expected a JSON object, was {type(answer).__name__}")
    return answer


def _order(answer: Any) -> BrokerOrder:
    """Read an order as the broker sends it: numbers as strings, nanosecond times."""
    row = _mapping(answer)
    price = row.get("filled_avg_price")
    filled_at = row.get("filled_at")
    return BrokerOrder(
        id=str(row["id"]),
        client_order_id=str(row["client_order_id"]),
        ticker=str(row.get("symbol")),
        side=str(row.get("side")),
        shares=int(float(row.get("qty") or 0)),
        status=str(row["status"]),
        filled_shares=int(float(row.get("filled_qty") or 0)),
        filled_price=None if price is None else float(price),
        filled_at=None if not filled_at else datetime.fromisoformat(filled_at).astimezone(UTC),
    )
