"""The page on the network: only where a setting says so, under its names, and reading needs the PIN too."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.test import TestResponse

from orchestra.base import clock
from orchestra.base.settings import ROOT
from orchestra.web import security
from tests.exchange_fixture import OPEN_MARKET, change, set_clock
from tests.processes import running_terminal
from tests.web.conftest import Api, assert_error, close_logs, new_api

PHONE, NAME = "192.168.1.77", "wall.local:5000"
LAN = {"API_HOST": "192.168.1.20", "ALLOWED_HOSTS": "wall.local"}
OPEN_PATHS = ("/", "/script.js", "/healthz", "/lightweight-charts.js")


class Phone(Api):
    """Somebody on the same network, as the server sees them."""

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Host": NAME} | more.pop("headers", {})
        base = {"REMOTE_ADDR": PHONE} | more.pop("environ_base", {})
        return super().call(method, path, headers=headers, environ_base=base, **more)


@pytest.fixture
def phone() -> Iterator[Phone]:
    change(**LAN)
    set_clock(OPEN_MARKET)
    yield Phone(new_api().app)
    close_logs()


def readable(api: Api) -> list[str]:
    rules = [rule for rule in api.app.url_map.iter_rules() if "GET" in (rule.methods or set())]
    paths = [rule.rule for rule in rules if rule.rule.startswith("/api/")]
    assert len(paths) >= 8
    return [re.sub("<int:[a-z_]+>", "1", path).replace("<ticker>", "AAPL") for path in paths]


def test_a_phone_gets_the_page_and_nothing_else_without_the_pin(phone: Phone) -> None:
    for path in OPEN_PATHS:
        assert phone.get(path).status_code == 200
    for path in readable(phone):
        assert_error(phone.get(path), 401, "pin_required")


def test_with_the_pin_a_phone_reads_and_changes(phone: Phone) -> None:
    assert phone.enter_pin().status_code == 200
    assert phone.cards() == []
    assert phone.read("/api/health")["version"]
    assert_error(phone.stop(1), 404, "not_found")


def test_reading_all_day_does_not_keep_the_right_to_change_things(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "TOKEN_SECONDS", 0.2)
    phone.enter_pin()
    monkeypatch.setattr(security, "TOKEN_SECONDS", 60)
    assert phone.cards() == []
    clock.pause(0.25)
    assert phone.cards() == []
    assert_error(phone.stop(1), 401, "pin_required")


def test_a_token_that_nobody_reads_with_runs_out(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "TOKEN_SECONDS", 0.005)
    phone.enter_pin()
    clock.pause(0.010)
    assert_error(phone.get("/api/algorithms"), 401, "pin_required")


def test_the_wall_itself_reads_without_the_pin(phone: Phone) -> None:
    base = {"REMOTE_ADDR": "127.0.0.1"}
    for path in ("/api/algorithms", "/api/health"):
        for host in ("127.0.0.1:5000", "localhost:5000"):
            answer = phone.call("GET", path, headers={"Host": host}, environ_base=base)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Host": "127.0.0.1:5000"}, {}),
        ({"Host": "localhost"}, {}),
        ({"Host": "localhost", "X-Forwarded-For": "127.0.0.1"}, {}),
        ({"Host": "localhost", "Forwarded": "for=127.0.0.1"}, {}),
        ({}, {"REMOTE_ADDR": "127.0.0.1"}),  # something here hands a foreign request on
        ({"Host": "localhost"}, {"REMOTE_ADDR": ""}),
    ],
)
def test_what_a_phone_says_of_itself_makes_it_no_wall(
    phone: Phone, headers: dict[str, str], base: dict[str, str]
) -> None:
    answer = phone.call("GET", "/api/algorithms", headers=headers, environ_base=base)
    assert_error(answer, 401, "pin_required")


def test_guessing_from_the_network_locks_nobody_out_at_the_wall(phone: Phone) -> None:
    """Nor does the owner, entering his PIN there, give whoever guesses new tries."""
    for _ in range(5):
        guessed = phone.enter_pin("1111")
    assert_error(guessed, 429, "locked_out")
    wall = Api(phone.app)
    assert wall.enter_pin("2020").status_code == 200
    assert_error(wall.stop(1), 404, "not_found")  # let in
    assert_error(phone.enter_pin("2020"), 429, "locked_out")
    assert wall.call("PUT", "/api/pin", json={"pin": "481516"}).status_code == 200
    assert phone.enter_pin("481516").status_code == 200  # the old one's tries are forgotten


def test_guessing_at_the_wall_does_not_lock_the_owners_phone(phone: Phone) -> None:
    wall = Api(phone.app)
    for _ in range(5):
        guessed = wall.enter_pin("1111")
    assert_error(guessed, 429, "locked_out")
    assert phone.enter_pin("2020").status_code == 200
    assert_error(wall.enter_pin("2020"), 429, "locked_out")


def test_another_name_is_still_refused(phone: Phone) -> None:
    for host in ("evil.example", "sub.wall.local", "192.168.1.20", "wall.local.evil.example"):
        assert_error(phone.get("/", Host=host), 400, "bad_request")


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def test_a_real_server_on_the_network(tmp_path: Path) -> None:
    address = own_address()
    lan = {"API_HOST": address, "ALLOWED_HOSTS": f"{address},wall.local"}
    with running_terminal(tmp_path, ("api",), **lan) as terminal:
        assert terminal.get("/api/algorithms")["algorithms"] == []  # the wall, over the loopback
        port = terminal.api_url.rpartition(":")[2]
        with requests.Session() as phone:
            phone.trust_env = False
            there = f"http://{address}:{port}"
            assert phone.get(f"{there}/", timeout=20).status_code == 200
            answer = phone.get(f"{there}/api/algorithms", timeout=20)
            assert (answer.status_code, answer.json()["code"]) == (401, "pin_required")
            granted = phone.post(f"{there}/api/validate-pin", json={"pin": "2020"}, timeout=20)
            phone.headers["Authorization"] = f"Bearer {granted.json()['token']}"
            assert phone.get(f"{there}/api/algorithms", timeout=20).json()["algorithms"] == []


def test_without_names_a_server_on_the_network_does_not_start(tmp_path: Path) -> None:
    with running_terminal(tmp_path, (), API_HOST="0.0.0.0", ALLOWED_HOSTS="wall.local") as terminal:
        status, output = terminal.attempt("api", ALLOWED_HOSTS="")
    assert status != 0
    assert "ALLOWED_HOSTS" in output.strip().splitlines()[-1]
    assert str(ROOT) not in output.strip().splitlines()[-1]
