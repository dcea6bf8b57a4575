"""gunicorn as it is started on the Pi: many at once, and a broker that does not answer."""

import os
import signal
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from system_databse import system_db_manager
from tests.exchange_fixture import OPEN_MARKET, STANDING_STILL
from tests.processes import Json, Terminal, running_terminal

CARD = {"ticker": "AAPL", "algorithm_type": "sma_crossover", "initial_capital": 14_000}
STILL = {"MARKET_CLOCK_START": OPEN_MARKET, "MARKET_CLOCK_SPEED": STANDING_STILL}
SERVER = ("exchange", "api")
NEVER_WAIT = ("/healthz", "/api/health", "/api/algorithms", "/api/available-algorithms")


def ask_cash(terminal: Terminal) -> requests.Response:
    """As a page of its own would: with a connection of its own."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{terminal.api_url}/api/account/cash", timeout=60)


def hits(terminal: Terminal) -> int:
    faults: list[Json] = terminal.exchange("GET", "/_faults")["faults"]
    return sum(fault["hits"] for fault in faults)


def test_forty_at_once_get_the_cash_that_there_is_for_seven(tmp_path: Path) -> None:
    with running_terminal(tmp_path, SERVER, **STILL) as terminal:
        # The server's first seconds go into importing alpaca-py
        terminal.wait_for(lambda: ask_cash(terminal).status_code == 200, what="cash is known")
        token = terminal.token()
        url = f"{terminal.api_url}/api/algorithms"

        def post(_: int) -> tuple[int, str]:
            with requests.Session() as session:
                session.trust_env = False
                headers = {"Authorization": f"Bearer {token}"}
                response = session.post(url, json=CARD, headers=headers, timeout=60)
                return response.status_code, response.json().get("code", "")

        with ThreadPoolExecutor(40) as pool:
            answers = Counter(pool.map(post, range(40)))
        assert answers == {(201, ""): 7, (409, "not_enough_cash"): 33}
        assert len(system_db_manager.get_all_algorithms("running")) == 7
        assert terminal.get("/api/account/cash")["available"] == 2000.0


def test_a_hanging_broker_holds_up_nothing_but_its_own_answers(tmp_path: Path) -> None:
    with (
        running_terminal(tmp_path, SERVER, **STILL) as terminal,
        ThreadPoolExecutor(8) as pool,
    ):
        terminal.misbehave("hang", path="/v2/account")
        waiting: list[Future[requests.Response]] = [
            pool.submit(ask_cash, terminal) for _ in range(8)
        ]
        terminal.wait_for(lambda: hits(terminal) > 0, what="the broker was asked")
        for path in NEVER_WAIT:
            assert terminal.call("GET", path).status_code == 200
        assert not all(future.done() for future in waiting), "they waited for the broker"
        for future in waiting:
            answer = future.result()
            assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
        assert hits(terminal) == 1  # one call for all of them
        terminal.exchange("DELETE", "/_faults")
        terminal.wait_for(lambda: ask_cash(terminal).status_code == 200, what="cash again")


def test_two_slow_calls_at_once_leave_the_page_as_it_is(tmp_path: Path) -> None:
    with (
        running_terminal(tmp_path, SERVER, **STILL) as terminal,
        ThreadPoolExecutor(2) as pool,
    ):
        token = terminal.token()
        terminal.misbehave("delay", seconds=60, path="/v2/")
        adding = pool.submit(terminal.call, "POST", "/api/algorithms", CARD, token)
        asking = pool.submit(ask_cash, terminal)
        terminal.wait_for(lambda: hits(terminal) == 2, what="the broker was asked for both")
        with requests.Session() as page:
            page.trust_env = False
            for path in NEVER_WAIT * 5:
                assert page.get(f"{terminal.api_url}{path}", timeout=20).status_code == 200
        assert not (adding.done() and asking.done()), "the page waited for the broker"
        for answer in (adding.result(), asking.result()):
            assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
        assert terminal.cards("all") == []


def test_a_slow_broker_is_asked_once_by_two(tmp_path: Path) -> None:
    with (
        running_terminal(tmp_path, SERVER, **STILL) as terminal,
        ThreadPoolExecutor(2) as pool,
    ):
        terminal.misbehave("delay", seconds=1.5, path="/v2/account")
        answers = list(pool.map(lambda _: ask_cash(terminal), range(2)))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert [answer.json()["cash"] for answer in answers] == [100000.0, 100000.0]
        assert hits(terminal) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running_terminal(tmp_path, ("api",)) as terminal:
        assert terminal.get("/api/algorithms")["algorithms"] == []
        process = terminal.processes["api"]
        os.kill(process.pid, number)
        assert process.wait(30) == 0


def test_a_wrong_setting_ends_the_server_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_terminal(tmp_path, ()) as terminal:
        monkeypatch.setenv("ALPACA_PAPER", "yes")
        process, output = terminal.attempt("api")
    assert process != 0
    assert "ALPACA_PAPER" in output.strip().splitlines()[-1]
    assert "Traceback" not in output
