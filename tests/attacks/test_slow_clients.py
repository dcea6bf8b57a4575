"""Clients that say nothing, never finish, or do not read: none of them keeps the page from the others."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestra.base import clock
from tests.processes import Terminal, running_terminal

UNFINISHED = (  # one for each of the server's threads
    b"GET /api/algor",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /api/validate-pin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 500\r\n\r\n{",
    b"POST /api/validate-pin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
)
CHARTS = b"GET /lightweight-charts.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    worker = "tests.attacks.impatient.ImpatientWorker"
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--keep-alive 60 --worker-class {worker}")
    with running_terminal(tmp_path, ("api",)) as running:
        yield running


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def connect(terminal: Terminal, opened: ExitStack, first_words: bytes = b"") -> socket.socket:
    parts = urlsplit(terminal.api_url)
    client = opened.enter_context(socket.create_connection((parts.hostname, parts.port), 20))
    client.sendall(first_words)
    return client


def test_connections_that_say_nothing_cost_no_thread(
    terminal: Terminal, connections: ExitStack
) -> None:
    # Each thread would wait five seconds for each of them
    silent = [connect(terminal, connections) for _ in range(300)]
    assert terminal.call("GET", "/healthz").text == "ok"
    silent[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert silent[-1].recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_requests_that_are_never_finished_are_given_up(
    terminal: Terminal, connections: ExitStack
) -> None:
    stuck = [connect(terminal, connections, words) for words in UNFINISHED]
    assert terminal.call("GET", "/healthz").text == "ok"
    for client in stuck:
        while client.recv(65536):  # until the server hangs up
            pass
    assert "Traceback" not in terminal.log("api")


def test_clients_that_do_not_read_their_answers_are_given_up(
    terminal: Terminal, connections: ExitStack
) -> None:
    for _ in UNFINISHED:
        connect(terminal, connections, CHARTS * 500)
    for _ in range(20):  # while what the sockets hold fills up, and when it is full
        assert terminal.call("GET", "/healthz").text == "ok"
        clock.pause(0.1)
    assert "Traceback" not in terminal.log("api")
