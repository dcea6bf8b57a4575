"""Connections to the broker that were idle: Alpaca ends them after a minute, as a cycle would use them."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestra import exchange
from orchestra.account_reader import AccountReader
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base.errors import ExchangeUnavailable
from tests.exchange_fixture import change, running_exchange

POSITION = b'{"symbol": "AAPL", "qty": "3", "side": "long"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Broker(socketserver.ThreadingTCPServer):
    """Answers the first ``answers`` requests of a connection; the next meets its end, without a word."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.connections = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: Broker

    def handle(self) -> None:
        self.server.connections += 1
        for _ in range(self.server.answers):
            while (line := self.rfile.readline()).strip():
                pass
            if not line:
                return
            self.wfile.write(ANSWER % (len(POSITION), POSITION))
        self.rfile.readline()


@contextmanager
def broker(answers: int) -> Iterator[Broker]:
    with running_exchange(), Broker(answers) as server:
        change(ALPACA_TRADING_URL=f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_nothing_is_sent_on_a_connection_that_was_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LONGEST_IDLE_SECONDS", 0.0)
    with broker(answers=1) as server:
        for reader in (AccountReader(), AlpacaWrapper()):
            assert reader.get_position("AAPL") == 3
            assert reader.get_position("AAPL") == 3
        assert server.connections == 4


def test_one_in_use_is_kept() -> None:
    with broker(answers=2) as server:
        reader = AccountReader()
        assert [reader.get_position("AAPL"), reader.get_position("AAPL")] == [3, 3]
        assert server.connections == 1
        with pytest.raises(ExchangeUnavailable):  # which is how an order would be lost
            reader.get_position("AAPL")
