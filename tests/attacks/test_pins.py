"""Guessing the PIN: all ten thousand at once, and a token that was stolen."""

import json
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestra.base import clock, settings
from orchestra.simulator import Exchange
from orchestra.web import security
from system_databse import system_db_manager
from tests.processes import Terminal, running_terminal
from tests.web.conftest import CARD, Api, assert_error, new_api

RIGHT = "2020"
FREE_TRIES = 5
GUESSERS = 50


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with running_terminal(tmp_path, ("api",)) as running:
        yield running


def guess(terminal: Terminal, pins: list[str]) -> Counter[str]:
    """Try PINs over a connection of one's own, without waiting for an answer in between."""
    address = urlsplit(terminal.api_url)
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        connection.sendall(b"".join(map(request, pins)))
        answers = b""
        while answers.count(b"HTTP/1.1 ") < len(pins) or not answers.endswith(b"}\n"):
            piece = connection.recv(65536)
            assert piece, answers[-500:]
            answers += piece
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
    codes = re.findall(rb'"code":"(\w+)"', answers)
    assert len(statuses) == len(codes) == len(pins), "one of them was let in"
    return Counter(f"{a.decode()} {b.decode()}" for a, b in zip(statuses, codes, strict=True))


def request(pin: str) -> bytes:
    body = json.dumps({"pin": pin})
    head = (
        "POST /api/validate-pin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def test_ten_thousand_at_once_are_no_more_than_five_tries(terminal: Terminal) -> None:
    pins = [f"{number:04}" for number in range(10_000) if f"{number:04}" != RIGHT]
    random.Random(1).shuffle(pins)
    pins.insert(5_000, RIGHT)  # by then it must be too late even for the right one
    began = clock.elapsed()
    with ThreadPoolExecutor(GUESSERS) as pool:
        parts = pool.map(guess, [terminal] * GUESSERS, [pins[n::GUESSERS] for n in range(GUESSERS)])
        answers = sum(parts, Counter())
    took = clock.elapsed() - began
    compared, locked = FREE_TRIES, 0.0
    while (locked := locked + 30.0 * 2 ** (compared - FREE_TRIES)) < took:
        compared += 1  # a lock that ran out while we were guessing allows one more
    (failures,) = system_db_manager.ledger().execute("SELECT failures FROM access").fetchone()
    assert FREE_TRIES <= failures <= compared
    assert answers == {"401 wrong_pin": 4, "429 locked_out": 10_000 - 4}
    assert_few_lines(terminal)


def assert_few_lines(terminal: Terminal) -> None:
    """Nor does a flood of tries fill the disk with what is said about them."""
    lines = (settings.current().log_dir / "api.log").read_text().splitlines()
    assert len(lines) < 500
    assert len(terminal.log("api").splitlines()) < 500


def test_a_stolen_token_is_worth_nothing_later(
    locked: Api, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "TOKEN_SECONDS", 0.3)
    locked.enter_pin()
    assert locked.add().status_code == 201
    clock.pause(0.35)
    for _ in range(3):  # using it does not bring it back
        assert_error(locked.add(), 401, "pin_required")
    locked.client.set_cookie("token", locked.token or "")
    locked.client.set_cookie("Authorization", f"Bearer {locked.token}")
    assert_error(
        locked.call("POST", "/api/algorithms", json=CARD, headers={"Authorization": ""}),
        401,
        "pin_required",
    )
    assert len(locked.cards()) == 1


def test_a_token_is_worth_nothing_after_a_restart_or_a_new_pin(locked: Api) -> None:
    other = Api(locked.app)
    other.enter_pin()
    locked.enter_pin()
    assert locked.call("PUT", "/api/pin", json={"pin": "271828"}).status_code == 200
    assert_error(other.stop(1), 401, "pin_required")
    assert_error(locked.stop(1), 404, "not_found")  # whoever changed it is still in
    security._tokens.clear()  # they are in the process's memory and nowhere else
    restarted = new_api()
    restarted.token = locked.token
    assert_error(restarted.stop(1), 401, "pin_required")


def test_tokens_cannot_be_guessed_from_each_other(locked: Api) -> None:
    tokens = set()
    for _ in range(50):
        locked.enter_pin()
        tokens.add(locked.token or "")
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43  # 32 bytes of chance
    assert len({token[:6] for token in tokens}) == 50
    for wrong in ("", "x", min(tokens)[:-1], min(tokens) + "x", min(tokens).swapcase()):
        locked.token = wrong
        assert_error(locked.stop(1), 401, "pin_required")
