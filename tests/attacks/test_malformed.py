"""Requests that no browser sends: oversized, malformed, smuggled, with tricks in every field."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from orchestra.base import settings
from orchestra.base.settings import ROOT
from system_databse import system_db_manager
from tests.processes import Terminal, running_terminal
from tests.web.conftest import Api

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
PIN = b"POST /api/validate-pin HTTP/1.1\r\n" + JSON
MALFORMED = {
    "no host": b"GET /api/algorithms HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /api/algorithms HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "a host with a user": b"GET /api/algorithms HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n",
    "a host with a path": b"GET /api/algorithms HTTP/1.1\r\nHost: evil.example/localhost\r\n\r\n",
    "another address": b"GET http://evil.example/api/algorithms HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no method": b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a made-up method": b"BREW /api/algorithms HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /api/algorithms\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "rubbish": bytes(range(256)) * 4 + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    "a zero byte": b"GET /api/\x00algorithms HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long line": b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n" * 5_000 + b"\r\n",
    "a header over two lines": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "a length below zero": PIN + b"Content-Length: -5\r\n\r\n{}",
    "a length in words": PIN + b"Content-Length: five\r\n\r\n{}",
    "two lengths": PIN + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length and chunks": PIN
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/health HTTP/1.1\r\n",
    "chunks of no size": PIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunks under another name": PIN + b"Transfer-Encoding: xchunked\r\n\r\n{}",
    "a huge length": PIN + b"Content-Length: 99999999999\r\n\r\n{",
    "a huge body": PIN + b"Content-Length: 2000000\r\n\r\n" + b"0" * 2_000_000,
    "a huge body in chunks": PIN
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"ffff\r\n" + b"0" * 0xFFFF + b"\r\n") * 20,
}
FILES = (
    "/.env",
    "/../.env",
    "/..%2f.env",
    "/%2e%2e/.env",
    "/..;/.env",
    "//.env",
    "/./.env",
    "/..\\.env",
)
MORE_FILES = (
    "/../api_server.py",
    "/%2e%2e%2f%2e%2e%2fetc/passwd",
    "//etc/passwd",
    "/icon.svg/../../.env",
)
SQL = (
    "' OR '1'='1",
    "'; DROP TABLE transactions;--",
    '" OR ""="',
    "1; DELETE FROM orders",
    "%",
    "*",
)
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}",
)
PATHS = (
    "../../etc/passwd",
    "..%2f..%2f.env",
    "/etc/passwd",
    "file:///etc/passwd",
    "C:\\x",
    ".",
    "..",
)
ODD = (
    "\0",
    "a\r\nSet-Cookie: x=1",
    "\u202e",
    "\ud800",
    "😀" * 50,
    "A" * 5_000,
    "NaN",
    "1e999",
    "-0",
)
TRICKS = (*SQL, *MARKUP, *PATHS, *ODD)
OTHER_KINDS: tuple[Any, ...] = (None, True, [], ["AAPL"], {}, {"$ne": 1}, -1, 2**70, 1e308)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with running_terminal(tmp_path, ("api",)) as running:
        yield running


def send(terminal: Terminal, raw: bytes) -> bytes:
    """Send bytes as they are; what comes back until the server hangs up or has said its part."""
    parts = urlsplit(terminal.api_url)
    with socket.create_connection((parts.hostname, parts.port), 30) as client:
        try:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        except OSError:  # hung up on in the middle of a body
            return b""
    return answer


def test_what_is_malformed_is_refused_and_the_server_lives_on(terminal: Terminal) -> None:
    let_in = {}
    for what, raw in MALFORMED.items():
        answer = send(terminal, raw)
        if answer and not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 501")):
            let_in[what] = answer[:100]
        assert b"Traceback" not in answer and str(ROOT).encode() not in answer
        assert answer.count(b"HTTP/1.1 ") <= 1, f"{what}: one request, two answers"
        assert terminal.call("GET", "/healthz").text == "ok"
    assert let_in == {}
    assert "Traceback" not in terminal.log("api")
    (failures,) = system_db_manager.ledger().execute("SELECT failures FROM access").fetchone()
    assert failures == 0


def test_no_address_leads_out_of_the_pages_folder(terminal: Terminal) -> None:
    for path in (*FILES, *MORE_FILES):
        answer = send(
            terminal, f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n\r\n"
        )
        status = answer.split(b" ")[1]
        assert status in (b"400", b"404", b"308"), (path, answer[:200])
        assert b"ALPACA" not in answer and b"root:" not in answer and b"import" not in answer


def contents() -> dict[str, list[Any]]:
    """Everything in the ledger."""
    with sqlite3.connect(settings.current().system_db_path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f"SELECT * FROM {name}").fetchall()
            for (name,) in tables.fetchall()
        }


def addresses(api: Api) -> Iterator[tuple[str, str, dict[str, Any], list[str]]]:
    """Each described call: method, path, its body's fields with an example each, its query's names."""
    found = api.read("/api/openapi.json")
    for path, of in found["paths"].items():
        for method in of.keys() & {"get", "post", "put", "patch", "delete"}:
            body = of[method].get("requestBody", {}).get("content", {}).get("application/json", {})
            fields = {
                name: about.get("example", 1)
                for name, about in body.get("schema", {}).get("properties", {}).items()
            }
            asked = [each["name"] for each in of[method].get("parameters", [])]
            yield method.upper(), path, fields, asked


def assert_proper(api: Api, what: tuple[object, ...], response: Any) -> None:
    assert response.status_code < 500 or response.status_code == 503, (what, response.text)
    assert response.mimetype in ("application/json", "text/plain", "text/html"), what
    if response.mimetype == "text/html":  # a redirection of two slashes to one
        assert response.status_code == 308, what
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers
    assert "Traceback" not in response.text and str(ROOT) not in response.text, what


def test_tricks_in_every_field_of_every_call_change_nothing(api: Api) -> None:
    system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    before, calls = contents(), 0
    for method, path, fields, asked in addresses(api):
        usual = path.replace("{algo_id}", "1").replace("{ticker}", "AAPL")
        for trick in TRICKS:
            quoted = quote(trick, safe="", errors="surrogatepass")
            if "{" in path:
                tricked = path.replace("{algo_id}", quoted).replace("{ticker}", quoted)
                tricked = tricked.replace("{backtest_id}", quoted)
                assert_proper(api, (method, tricked), api.call(method, tricked, json=fields))
            for name in asked:
                query = f"{usual}?{name}={quoted}"
                if method == "GET":
                    assert_proper(api, (method, query), api.call(method, query))
                calls += 1
        for name in fields:
            for value in (*TRICKS, *OTHER_KINDS):
                if name == "pin" or (name == "liquidate" and value is True):
                    continue  # any text may be tried as a PIN: see below. True is proper
                body = json.dumps({**fields, name: value})
                response = api.call(method, usual, data=body, content_type="application/json")
                assert_proper(api, (method, usual, body), response)
                assert response.status_code >= 400 or name == "parameters", (usual, body)
                calls += 1
    assert calls > 200
    assert contents() == before


def test_tricks_for_a_pin_are_wrong_or_no_pin(api: Api) -> None:
    for trick in (*TRICKS, *OTHER_KINDS):
        response = api.call(
            "PUT", "/api/pin", data=json.dumps({"pin": trick}), content_type="application/json"
        )
        assert response.status_code == 400, trick
    assert system_db_manager.get_pin() == "2020"
    for trick in (*TRICKS, *OTHER_KINDS):
        body = json.dumps({"pin": trick})
        response = api.call("POST", "/api/validate-pin", data=body, content_type="application/json")
        assert response.status_code in (400, 401, 429), trick
        assert response.json is not None and response.json["valid"] is False
