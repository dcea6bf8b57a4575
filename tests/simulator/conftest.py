"""The official client, connected over loopback to an exchange in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from alpaca.common.rest import RESTClient
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import MarketOrderRequest

from orchestra.base import clock
from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange

PATIENCE_SECONDS = 10.0
KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}


def eventually(question: Callable[[], Any]) -> Any:
    """The first true answer to a question; the test fails when none comes."""
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while clock.elapsed() < deadline:
        answer = question()
        if answer:
            return answer
        clock.pause(0.002)
    raise AssertionError(f"{question} stayed false for {PATIENCE_SECONDS} s")


def market_order(symbol: str, qty: float, side: str = "buy", **more: Any) -> MarketOrderRequest:
    return MarketOrderRequest(
        symbol=symbol, qty=qty, side=OrderSide(side), time_in_force=TimeInForce.DAY, **more
    )


class Trader:
    """A TradingClient and the few things tests do with it."""

    def __init__(self, client: TradingClient) -> None:
        self.client = client

    def place(self, symbol: str, qty: float, side: str = "buy", **more: Any) -> Order:
        order = self.client.submit_order(market_order(symbol, qty, side, **more))
        assert isinstance(order, Order)
        return order

    def get(self, order: Order) -> Order:
        found = self.client.get_order_by_id(order.id)
        assert isinstance(found, Order)
        return found

    def until(self, order: Order, status: str) -> Order:
        """Poll until the order has a status."""
        found = eventually(lambda: (o := self.get(order)).status == status and o)
        assert isinstance(found, Order)
        return found

    def fill(self, symbol: str, qty: float, side: str = "buy", **more: Any) -> Order:
        return self.until(self.place(symbol, qty, side, **more), "filled")


class Http:
    """Requests without the official client, for what it never sends or hides."""

    def __init__(self, exchange: Exchange) -> None:
        self._url = exchange.url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(KEYS)

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self._url + path, timeout=PATIENCE_SECONDS, **more)

    def order(self, **fields: Any) -> requests.Response:
        body = {
            "symbol": "AAPL",
            "qty": "1",
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
        }
        return self("POST", "/v2/orders", json={**body, **fields})


def unhurried(client: RESTClient) -> None:
    """Switch off what the client would hide: its retries and the machine's proxy."""
    client._retry = 0
    client._session.trust_env = False


@contextmanager
def connected_trader(exchange: Exchange) -> Iterator[Trader]:
    client = TradingClient("any", "pair", url_override=exchange.url)
    unhurried(client)
    yield Trader(client)
    client._session.close()


@contextmanager
def connected_data(exchange: Exchange) -> Iterator[StockHistoricalDataClient]:
    client = StockHistoricalDataClient("any", "pair", url_override=exchange.url)
    unhurried(client)
    yield client
    client._session.close()


@contextmanager
def connected_http(exchange: Exchange) -> Iterator[Http]:
    found = Http(exchange)
    yield found
    found.session.close()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """An exchange with generated bars; market time stands still at 10:30 New York on 2024-06-04."""
    with running_exchange() as running:
        yield running


@pytest.fixture
def trader(exchange: Exchange) -> Iterator[Trader]:
    with connected_trader(exchange) as found:
        yield found


@pytest.fixture
def data(exchange: Exchange) -> Iterator[StockHistoricalDataClient]:
    with connected_data(exchange) as client:
        yield client


@pytest.fixture
def http(exchange: Exchange) -> Iterator[Http]:
    with connected_http(exchange) as found:
        yield found
