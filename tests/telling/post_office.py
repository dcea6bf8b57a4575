"""A notification service of our own on the loopback: it keeps what it is sent, refuses it, or hangs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class PostOffice:
    """``messages`` are the JSON bodies posted, ``calls`` the addresses called."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.hangs = threading.Event()
        self.refuses = False
        self.longest = 100_000  # characters of a message; a longer one is refused
        self._ends = threading.Event()
        office = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                office.calls.append(self.path)
                self._answer()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                too_long = len(body["message"]) > office.longest
                if not office.hangs.is_set() and not office.refuses and not too_long:
                    office.messages.append(body)
                self._answer(too_long)

            def _answer(self, too_long: bool = False) -> None:
                if office.hangs.is_set():
                    office._ends.wait()
                self.send_response(500 if office.refuses else 400 if too_long else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def lines(self) -> list[str]:
        """Every line of every message, in the order told."""
        return [line for each in self.messages for line in each["message"].splitlines()]


@contextmanager
def running_office() -> Iterator[PostOffice]:
    office = PostOffice()
    office._thread.start()
    try:
        yield office
    finally:
        office._ends.set()
        office._server.shutdown()
        office._server.server_close()
        office._thread.join()
