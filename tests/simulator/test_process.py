"""The exchange as a process: python -m orchestra simulate."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from alpaca.trading.client import TradingClient

from tests.exchange_fixture import free_port
from tests.simulator.conftest import KEYS, unhurried

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestra", "simulate", *arguments]


@contextmanager
def process(*arguments: str, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """A started exchange whose ready line has been read."""
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    with subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith(
                "Simulated exchange ready: http://127.0.0.1:"
            )
            yield running
        finally:
            running.kill()


@pytest.fixture
def ports() -> dict[str, object]:
    return {"SIMULATOR_PORT": free_port(), "SIMULATOR_STREAM_PORT": free_port()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_stops_when_told(
    ports: dict[str, object], number: signal.Signals
) -> None:
    with process(**ports) as running:
        client = TradingClient(
            "any", "pair", url_override=f"http://127.0.0.1:{ports['SIMULATOR_PORT']}"
        )
        unhurried(client)
        assert client.get_account().cash == "100000"
        running.send_signal(number)
        _, errors = running.communicate(timeout=20)
        assert (running.returncode, errors) == (0, "")
        client._session.close()


def test_a_second_one_on_the_same_account_names_the_first(ports: dict[str, object]) -> None:
    with process(**ports) as running:
        others = {"SIMULATOR_PORT": str(free_port()), "SIMULATOR_STREAM_PORT": str(free_port())}
        second = subprocess.run(
            command(), cwd=ROOT, env={**os.environ, **others}, capture_output=True, text=True
        )
    assert second.returncode != 0
    assert len(second.stderr.splitlines()) == 1
    assert f"(pid {running.pid}) is already running" in second.stderr


def test_after_a_kill_the_next_one_starts_on_the_same_account(ports: dict[str, object]) -> None:
    numbers = []
    for _ in range(2):
        with process(**ports):
            address = f"http://127.0.0.1:{ports['SIMULATOR_PORT']}/v2/account"
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(address, headers=KEYS, timeout=10)
            numbers.append(answer.json()["account_number"])
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", ["SIMULATOR_PORT", "SIMULATOR_STREAM_PORT"])
def test_a_busy_port_ends_in_one_sentence(
    ports: dict[str, object], tmp_path: Path, name: str
) -> None:
    with process(**ports):
        others = {
            "SIMULATOR_PORT": str(free_port()),
            "SIMULATOR_STREAM_PORT": str(free_port()),
            "SIMULATOR_DB": str(tmp_path / "other.db"),
            name: str(ports[name]),
        }
        second = subprocess.run(
            command(), cwd=ROOT, env={**os.environ, **others}, capture_output=True, text=True
        )
    assert second.returncode != 0
    assert second.stderr == (
        f"Setting {name}: cannot listen on port {ports[name]}: Address already in use.\n"
    )


def test_faults_can_be_set_at_the_start(ports: dict[str, object]) -> None:
    fault = '{"name": "429", "times": 1, "path": "/v2/account"}'
    with process("--fault", fault, **ports), requests.Session() as session:
        session.trust_env = False
        address = f"http://127.0.0.1:{ports['SIMULATOR_PORT']}/v2/account"
        answers = [session.get(address, headers=KEYS, timeout=10).status_code for _ in range(2)]
    assert answers == [429, 200]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [('{"name": "gremlin"}', "There is no fault 'gremlin'"), ("[1]", "Expected a JSON object")],
)
def test_a_fault_that_makes_no_sense_ends_it(fault: str, sentence: str) -> None:
    result = subprocess.run(
        command("--fault", fault), cwd=ROOT, env=dict(os.environ), capture_output=True, text=True
    )
    assert result.returncode != 0
    assert sentence in result.stderr


def test_the_commands_are_listed() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "orchestra", "--help"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert "simulate" in result.stdout
