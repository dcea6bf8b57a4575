"""The API in this process, where the market stands still at 10:30 New York on 2024-06-04.

A test that needs the broker asks for the fixture ``exchange`` too: a real simulated exchange.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orchestra.base import clock
from orchestra.simulator import Exchange
from orchestra.web.app import create_app
from tests.exchange_fixture import OPEN_MARKET, running_exchange, set_clock

Json = dict[str, Any]
PATIENCE_SECONDS = 60.0
CARD = {"ticker": "AAPL", "algorithm_type": "sma_crossover", "initial_capital": 10_000}


class Api:
    """A page's way to the API: JSON bodies, and the token once the PIN was entered."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self.token: str | None = None

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, buffered=True, **more)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.call("GET", path, headers=headers)

    def read(self, path: str) -> Any:
        """The JSON of an address that answers 200."""
        response = self.get(path)
        assert (response.status_code, response.mimetype) == (200, "application/json")
        return response.json

    def post(self, path: str, body: object) -> TestResponse:
        return self.call("POST", path, json=body)

    def post_text(self, path: str, text: str | bytes) -> TestResponse:
        """Send a body as it is, called JSON."""
        return self.call("POST", path, data=text, content_type="application/json")

    def enter_pin(self, pin: str = "2020") -> TestResponse:
        response = self.post("/api/validate-pin", {"pin": pin})
        if response.status_code == 200:
            self.token = response.json["token"]  # type: ignore[index]
        return response

    def add(self, **changes: object) -> TestResponse:
        return self.post("/api/algorithms", CARD | changes)

    def added(self, **changes: object) -> Json:
        """A new card, which the server must accept."""
        response = self.add(**changes)
        assert response.status_code == 201, response.text
        return dict(response.json or {})

    def stop(self, number: int, query: str = "") -> TestResponse:
        return self.call("DELETE", f"/api/algorithms/{number}{query}")

    def cards(self, query: str = "") -> list[Json]:
        found = self.read(f"/api/algorithms{query}")["algorithms"]
        assert isinstance(found, list)
        return found

    def card(self, number: int) -> Json:
        found = self.read(f"/api/algorithms/{number}")
        assert isinstance(found, dict)
        return found


def ended(api: Api, number: int) -> Json:
    """What came of a backtest, once nothing of it is at work any more."""
    deadline = clock.elapsed() + PATIENCE_SECONDS
    while True:
        found = api.read(f"/api/backtests/{number}")
        if found["status"] != "running":
            return dict(found)
        assert clock.elapsed() < deadline
        clock.pause(0.05)


def assert_error(response: TestResponse, status: int, code: str) -> Json:
    """Every refusal is one sentence and one code, as JSON, and tells nothing of our insides."""
    body = response.json
    assert isinstance(body, dict), response.text
    assert (response.status_code, body["code"]) == (status, code)
    assert response.mimetype == "application/json"
    assert isinstance(body["error"], str) and body["error"]
    assert "Traceback" not in response.text and "File " not in response.text
    return body


def close_logs() -> None:
    """Take away what create_app has hung on the root logger."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__module__.startswith(("logging", "orchestra")):
            root.removeHandler(handler)
            handler.close()


def new_api() -> Api:
    """The API as after a restart of the server."""
    close_logs()
    return Api(create_app())


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


@pytest.fixture
def locked() -> Iterator[Api]:
    """The API without a PIN entered."""
    set_clock(OPEN_MARKET)
    yield new_api()
    close_logs()


@pytest.fixture
def api(locked: Api) -> Api:
    """The API with the PIN entered."""
    assert locked.enter_pin().status_code == 200
    return locked
