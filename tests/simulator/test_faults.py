"""What the exchange can be told to misbehave in: over REST, in orders, in its answers."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError

from orchestra.base import clock
from orchestra.base.errors import BadInput
from orchestra.simulator import Exchange
from orchestra.simulator.faults import Faults
from tests.exchange_fixture import set_clock
from tests.simulator.conftest import Http, Trader, connected_http, eventually

Told = Callable[..., Any]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def tell(http: Http) -> Told:
    """Tell the exchange a fault over its own address."""

    def post(name: str, **parameters: Any) -> Any:
        answer = http("POST", "/_faults", json={"name": name, **parameters})
        assert answer.status_code == 201, answer.text
        return answer.json()

    return post


def test_faults_are_listed_counted_and_cleared(http: Http, tell: Told) -> None:
    assert http("GET", "/_faults").json() == {"faults": []}
    tell("500", times=2, path="/v2/clock")
    tell("delay", seconds=0)
    assert http("GET", "/v2/clock").status_code == 500
    listed = http("GET", "/_faults").json()["faults"]
    assert [(each["name"], each["times"], each["hits"]) for each in listed] == [
        ("500", 1, 1),
        ("delay", None, 1),
    ]
    assert http("GET", "/v2/clock").status_code == 500
    assert http("GET", "/v2/clock").status_code == 200
    assert len(http("DELETE", "/_faults?name=delay").json()["faults"]) == 1
    assert http("DELETE", "/_faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"name": "gremlin"}, "There is no fault 'gremlin'; there are 406, 429, 500"),
        ({"name": "delay"}, "Fault delay needs the parameter 'seconds'"),
        ({"name": "delay", "seconds": "1"}, "expected seconds to be a number of seconds, was '1'"),
        ({"name": "429", "times": 0}, "expected times to be a whole number or null, was 0"),
        ({"name": "429", "speed": 1}, "Fault 429 has no parameter 'speed'"),
        ({"name": "stall", "point": "noon"}, "point to be received or accepted or filled"),
        ({"name": "early_close", "day": "soon"}, "day to be a day like 2024-01-03, was 'soon'"),
        ({"name": "early_close", "day": "2024-06-05", "time": "25:00"}, "a New York time"),
        ({"name": "split", "symbol": "A", "day": "2024-06-05", "ratio": 0}, "a number above 0"),
        ({"name": "split", "symbol": "A", "day": "2024-06-05", "ratio": inf}, "a number above 0"),
        ({"name": "late_bars", "seconds": nan}, "a number of seconds, was nan"),
        ({"name": "missing_bars", "symbols": "AAPL"}, "a list of symbols"),
        ({"name": "missing_bars", "probability": 2}, "a number from 0 to 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_explained(wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        Faults().add(wanted)
    assert sentence in str(refused.value)


def test_the_explanation_is_an_answer_too(http: Http) -> None:
    answer = http("POST", "/_faults", json={"name": "gremlin"})
    assert answer.status_code == 422 and "There is no fault" in answer.json()["message"]
    assert http("POST", "/_faults", data=b"?").status_code == 422


def test_429_and_unauthorized(trader: Trader, tell: Told) -> None:
    tell("429", times=1)
    with pytest.raises(APIError) as refused:
        trader.client.get_account()
    assert (refused.value.status_code, refused.value.code) == (429, 42910000)
    tell("unauthorized", times=1)
    with pytest.raises(APIError) as refused:
        trader.client.get_account()
    assert refused.value.status_code == 401
    assert trader.client.get_account().status == "ACTIVE"


def test_a_delay_holds_only_its_path(http: Http, tell: Told) -> None:
    tell("delay", seconds=0.2, path="/v2/account")
    begun = clock.elapsed()
    assert http("GET", "/v2/account").status_code == 200
    assert clock.elapsed() - begun >= 0.2
    assert http("GET", "/_faults").json()["faults"][0]["hits"] == 1


def test_504_although_the_order_was_accepted(trader: Trader, tell: Told) -> None:
    tell("504_after_accept", times=1)
    with pytest.raises(APIError) as lost:
        trader.place("AAPL", 1, client_order_id="mine")
    assert lost.value.status_code == 504
    found = trader.client.get_order_by_client_id("mine")
    trader.until(found, "filled")
    with pytest.raises(APIError, match="client_order_id must be unique"):
        trader.place("AAPL", 1, client_order_id="mine")


def test_a_connection_cut_after_the_order_was_accepted(trader: Trader, tell: Told) -> None:
    tell("cut", times=1)
    with pytest.raises(requests.ConnectionError):
        trader.place("AAPL", 1, client_order_id="mine")
    assert trader.until(trader.client.get_order_by_client_id("mine"), "filled").qty == "1"


def test_a_connection_cut_before_the_order_arrived(trader: Trader, tell: Told) -> None:
    tell("cut", times=1, when="before")
    with pytest.raises(requests.ConnectionError):
        trader.place("AAPL", 1, client_order_id="mine")
    with pytest.raises(APIError, match="order not found for mine"):
        trader.client.get_order_by_client_id("mine")


def test_a_hung_request_hears_nothing_until_it_is_cut(http: Http, tell: Told) -> None:
    tell("hang", path="/v2/account", times=1)
    with pytest.raises(requests.ReadTimeout):
        http.session.get(f"{http._url}/v2/account", timeout=0.1)
    held = http("GET", "/_faults").json()["faults"][0]["holding"]
    assert held == ["GET /v2/account"]
    http("DELETE", "/_faults")
    assert http("GET", "/v2/account").status_code == 200


def test_an_order_rejected_after_it_was_accepted(trader: Trader, tell: Told) -> None:
    tell("reject", times=1, symbol="AAPL")
    trader.fill("MSFT", 1)
    order = trader.place("AAPL", 1)
    assert order.status == "pending_new"
    rejected = trader.until(order, "rejected")
    assert rejected.failed_at is not None and rejected.filled_qty == "0"
    trader.fill("AAPL", 1)


def test_an_order_stuck_in_new_until_the_fault_is_cleared(
    trader: Trader, tell: Told, http: Http
) -> None:
    tell("stuck")
    stuck = trader.until(trader.place("AAPL", 1), "new")
    canceled = trader.until(trader.place("MSFT", 1), "new")
    trader.client.cancel_order_by_id(canceled.id)
    assert trader.get(canceled).status == "canceled"
    with pytest.raises(APIError, match="potential wash trade"):
        trader.place("AAPL", 1, "sell")
    assert trader.client.get_account().buying_power == "99788.46"
    http("DELETE", "/_faults")
    assert trader.until(stuck, "filled").filled_avg_price == "211.54"


def test_a_partial_fill_stays_open_or_can_be_cancelled(
    trader: Trader, tell: Told, http: Http
) -> None:
    tell("partial_fill", fraction=0.3)
    first = trader.until(trader.place("AAPL", 10), "partially_filled")
    assert (first.filled_qty, first.filled_avg_price, first.filled_at) == ("3", "211.54", None)
    assert trader.client.get_open_position("AAPL").qty == "3"
    trader.client.cancel_order_by_id(first.id)
    assert (trader.get(first).status, trader.get(first).filled_qty) == ("canceled", "3")
    second = trader.until(trader.place("AAPL", 10), "partially_filled")
    http("DELETE", "/_faults")
    assert trader.until(second, "filled").filled_qty == "10"
    assert trader.client.get_account().cash == "97249.98"


def test_a_partial_fill_that_the_exchange_ends_itself(trader: Trader, tell: Told) -> None:
    tell("partial_fill", fraction=0.5, then="canceled", times=1)
    order = trader.until(trader.place("AAPL", 5), "canceled")
    assert order.filled_qty == "2"
    assert trader.client.get_account().buying_power == "99576.92"


def test_a_partial_fill_expires_at_the_close(trader: Trader, tell: Told) -> None:
    tell("partial_fill", fraction=0.5)
    order = trader.until(trader.place("AAPL", 4), "partially_filled")
    set_clock("2024-06-04T20:00:01Z")
    expired = trader.get(order)
    assert (expired.status, expired.filled_qty) == ("expired", "2")


@pytest.mark.parametrize(
    ("point", "known", "status_while_held"),
    [("received", False, None), ("accepted", True, "new"), ("filled", True, "filled")],
)
def test_an_order_stalls_at_a_point_until_released(
    exchange: Exchange,
    trader: Trader,
    tell: Told,
    http: Http,
    point: str,
    known: bool,
    status_while_held: str | None,
) -> None:
    tell("stall", point=point, times=1)
    answers: list[Any] = []

    def post() -> None:
        with connected_http(exchange) as other:
            answers.append(other.order(client_order_id="mine").json())

    poster = threading.Thread(target=post)
    poster.start()
    eventually(lambda: http("GET", "/_faults").json()["faults"][0]["holding"] == ["mine"])
    assert answers == []
    found = http("GET", "/v2/orders:by_client_order_id?client_order_id=mine")
    assert (found.status_code == 200) is known
    if status_while_held:
        held = trader.client.get_order_by_client_id("mine")
        assert trader.until(held, status_while_held).client_order_id == "mine"
    http("DELETE", "/_faults")
    poster.join()
    assert answers[0]["status"] == "pending_new"
    trader.until(trader.client.get_order_by_client_id("mine"), "filled")


def test_the_clock_can_be_wrong(trader: Trader, tell: Told) -> None:
    tell("clock_skew", seconds=-90)
    found = trader.client.get_clock()
    assert found.timestamp.isoformat().startswith("2024-06-04T10:28:30")
    assert found.is_open
