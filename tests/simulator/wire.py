"""Connections to the stream: raw ones, message by message, and the official client's."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
from alpaca.data.enums import DataFeed
from alpaca.data.live import StockDataStream
from websockets.sync.client import ClientConnection, connect

from orchestra.simulator import Exchange
from tests.simulator.conftest import PATIENCE_SECONDS, eventually

EMPTY = {
    "T": "subscription",
    "trades": [],
    "quotes": [],
    "bars": [],
    "updatedBars": [],
    "dailyBars": [],
    "statuses": [],
    "lulds": [],
    "corrections": [],
    "cancelErrors": [],
}


class Wire:
    """One raw connection, msgpack or JSON."""

    def __init__(self, connection: ClientConnection, packed: bool) -> None:
        self._connection = connection
        self._packed = packed

    def send(self, **message: Any) -> None:
        text = msgpack.packb(message) if self._packed else json.dumps(message)
        self._connection.send(text)

    def send_raw(self, frame: Any) -> None:
        self._connection.send(frame)

    def receive(self) -> Any:
        frame = self._connection.recv(timeout=PATIENCE_SECONDS)
        assert isinstance(frame, bytes) == self._packed
        return msgpack.unpackb(frame) if self._packed else json.loads(frame)

    def error(self) -> int:
        (message,) = self.receive()
        assert message["T"] == "error"
        return int(message["code"])

    def log_in(self) -> None:
        assert self.receive() == [{"T": "success", "msg": "connected"}]
        self.send(action="auth", key="any", secret="pair")
        assert self.receive() == [{"T": "success", "msg": "authenticated"}]


@contextmanager
def wire(exchange: Exchange, packed: bool = True) -> Iterator[Wire]:
    headers = {"Content-Type": "application/msgpack"} if packed else {}
    with connect(exchange.stream_url, additional_headers=headers, proxy=None) as connection:
        yield Wire(connection, packed)


@contextmanager
def following(exchange: Exchange, *symbols: str) -> Iterator[tuple[StockDataStream, Any]]:
    """The official client in its thread, subscribed to minute bars; they arrive in the queue."""
    client = StockDataStream("any", "pair", feed=DataFeed.IEX, url_override=exchange.stream_url)
    bars: queue.Queue[Any] = queue.Queue()

    async def receive(bar: Any) -> None:
        bars.put(bar)

    client.subscribe_bars(receive, *symbols)
    thread = threading.Thread(target=client.run, daemon=True)
    thread.start()
    eventually(lambda: client._running)
    yield client, bars
    client.stop()
    thread.join(PATIENCE_SECONDS)
