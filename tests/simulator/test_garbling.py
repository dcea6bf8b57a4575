"""An exchange that answers with nonsense: each way of it, the same for the same seed; whole again after."""

import json
from random import Random

import msgpack
import pytest

from orchestra.simulator import Exchange
from orchestra.simulator.garbling import HOWS, TREES, broken_frame, broken_json
from tests.simulator.conftest import Http

ACCOUNT = {"id": "a-b", "cash": "100.5", "status": "ACTIVE", "numbers": [1, 2.5], "in": {"n": None}}
BAR = {"T": "b", "S": "AAPL", "o": 1.5, "c": 2.5, "v": 10, "t": msgpack.Timestamp(1717511400, 0)}


@pytest.mark.parametrize("how", HOWS)
def test_an_answer_is_broken_and_the_same_for_the_same_seed(how: str) -> None:
    body = json.dumps(ACCOUNT).encode()
    broken = [broken_json(body, how, Random(seed)) for seed in range(8)]
    assert any(each != body for each in broken)
    assert broken == [broken_json(body, how, Random(seed)) for seed in range(8)]


@pytest.mark.parametrize("how", HOWS)
def test_a_frame_is_broken_and_the_same_for_the_same_seed(how: str) -> None:
    frame = msgpack.packb([BAR, BAR])
    broken = [broken_frame([BAR, BAR], how, Random(seed)) for seed in range(8)]
    assert any(each != frame for each in broken)
    assert broken == [broken_frame([BAR, BAR], how, Random(seed)) for seed in range(8)]


def test_what_is_not_json_any_more() -> None:
    body = json.dumps(ACCOUNT).encode()
    for how in ("empty", "html", "cut_off", "not_utf8", "deep"):
        with pytest.raises((ValueError, RecursionError)):
            json.loads(broken_json(body, how, Random(1)))
    for how in TREES:
        json.loads(broken_json(body, how, Random(1)))


def test_garbled_answers_come_with_their_status_until_the_fault_is_cleared(
    exchange: Exchange, http: Http
) -> None:
    whole = http("GET", "/v2/account").json()
    exchange.faults.add({"name": "garble", "how": "cut_off", "path": "/v2/account"})
    answer = http("GET", "/v2/account")
    assert (answer.status_code, http("GET", "/v2/clock").status_code) == (200, 200)
    with pytest.raises(ValueError):
        answer.json()
    exchange.faults.clear()
    assert http("GET", "/v2/account").json() == whole


def test_a_refusal_may_echo_what_it_was_sent(exchange: Exchange, http: Http) -> None:
    exchange.faults.add({"name": "echo_headers", "times": 1})
    answer = http("GET", "/v2/account")
    assert answer.status_code == 401
    assert (
        "APCA-API-SECRET-KEY" in answer.text.upper() and "pair" in answer.json()["message"].lower()
    )
