"""The terminal's real processes for a test: ``with running_terminal(tmp_path, ...) as terminal: ...``.

Simulator, API server and orchestrator run as the README starts them, on free ports, with this process's
environment: the test reads the same databases and the same market clock. Their output is in tmp_path.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from orchestra.base import clock, settings
from orchestra.base.settings import ROOT
from tests.exchange_fixture import change, free_port, restore

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
PATIENCE_SECONDS = 60.0
REQUEST_SECONDS = 20.0
POLL_SECONDS = 0.02
TAIL_LINES = 30
BEFORE_THE_OPEN = "2024-06-04T13:25:00Z"  # five minutes before 09:30 New York on a Tuesday
BROKER_KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}
BUYER = """
class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        return ("buy", 1)
"""
COMMANDS = {
    "exchange": ["-m", "orchestra", "simulate"],
    "api": ["-m", "gunicorn", "-c", "gunicorn.conf.py", "api_server:app"],
    "orchestrator": ["orchestrator.py"],
}
READY_WORDS = {  # one of them is in what a process that is ready has printed
    "exchange": ("Simulated exchange ready",),
    "api": ("Booting worker",),  # its address is asked as well
    "orchestrator": ("cycle started", "Market is closed", "The clock is"),
}

Json = dict[str, Any]
Found = TypeVar("Found")


class Part:
    """One process, and what it has printed since it was started."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str] = {}) -> None:
        self.name = name
        number = len(list(folder.glob(f"{name}-*.out"))) + 1
        self.output = folder / f"{name}-{number}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *COMMANDS[name]],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def tail(self) -> str:
        lines = "\n".join(self.log.splitlines()[-TAIL_LINES:])
        return f"--- {self.name} (exit status {self.process.poll()}):\n{lines}"

    def await_ready(self) -> "Part":
        until(self._is_ready, READY_SECONDS, lambda: self.tail, f"{self.name} is ready")
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"The {self.name} ended at once.\n{self.tail}")
        return any(words in self.log for words in READY_WORDS[self.name])

    def kill(self) -> None:
        """SIGKILL the process, not its children, as a crash does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM the process and return its exit status; the test fails if it does not end."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.end()
            pytest.fail(f"The {self.name} did not end on SIGTERM.\n{self.tail}")

    def end(self) -> None:
        """Leave nothing of it behind, children included."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Terminal:
    """The running processes, and what a person or a browser does with them over HTTP."""

    def __init__(self, folder: Path) -> None:
        chosen = settings.current()
        self._folder = folder
        self._parts: dict[str, Part] = {}
        self._ended: list[Part] = []
        self.http = requests.Session()
        self.http.trust_env = False
        self.api_url = chosen.page_url
        self.exchange_url = chosen.trading_url

    @property
    def orchestrator(self) -> "subprocess.Popen[bytes]":
        return self.processes["orchestrator"]

    @property
    def processes(self) -> "dict[str, subprocess.Popen[bytes]]":
        """The processes by name: ``exchange``, ``api``, ``orchestrator``."""
        return {name: part.process for name, part in self._parts.items()}

    def attempt(self, name: str, **environment: str) -> tuple[int, str]:
        """Start a part that is to refuse; return its exit status and what it printed."""
        part = Part(name, self._folder, environment)
        self._ended.append(part)
        return part.process.wait(READY_SECONDS), part.log

    def start(self, *names: str, **environment: str) -> None:
        """Start these parts together, each with ``environment`` on top, and wait until they are ready."""
        for name in names:
            old = self._parts.get(name)
            if old is not None:
                self._ended.append(old)
            self._parts[name] = Part(name, self._folder, environment)
        for name in names:
            self._parts[name].await_ready()
        if "api" in names:
            self.wait_for(self._answers, READY_SECONDS, "the API answers")

    def stop(self, *names: str) -> None:
        """SIGTERM these parts, in this order; each must end with status 0."""
        for name in names:
            assert self._parts[name].stop() == 0, self._parts[name].tail

    def kill(self, *names: str) -> None:
        """SIGKILL these parts."""
        for name in names:
            self._parts[name].kill()

    def restart_orchestrator(self, *, kill: bool = False) -> None:
        """Stop the orchestrator (with ``kill`` by SIGKILL), start it again, wait until it is ready."""
        if kill:
            self.kill("orchestrator")
        else:
            self.stop("orchestrator")
        self.start("orchestrator")

    def end(self) -> None:
        """End every process that was started, however it is."""
        self.http.close()
        for part in (*self._ended, *reversed(self._parts.values())):
            if part.process.poll() is None:
                part.process.terminate()
        for part in (*self._ended, *self._parts.values()):
            with suppress(subprocess.TimeoutExpired):
                part.process.wait(STOP_SECONDS)
            part.end()

    def log(self, name: str = "orchestrator") -> str:
        """What a part has printed since its last start."""
        return self._parts[name].log

    def wait_for(
        self, predicate: Callable[[], Found], seconds: float = PATIENCE_SECONDS, what: str = ""
    ) -> Found:
        """Return the first true answer of ``predicate``; fail with the logs' tails without one."""
        return until(predicate, seconds, self._tails, what)

    def _answers(self) -> bool:
        with suppress(requests.ConnectionError):
            return self.call("GET", "/healthz").text == "ok"
        return False

    def _tails(self) -> str:
        return "\n".join(part.tail for part in self._parts.values())

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        token: str | None = None,
        **more: Any,
    ) -> requests.Response:
        """Send one request to the API; ``body`` goes as JSON."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.api_url + path
        return self.http.request(
            method, url, json=body, headers=headers, timeout=REQUEST_SECONDS, **more
        )

    def get(self, path: str) -> Any:
        """Return the JSON of an address that answers 200."""
        return _json(self.call("GET", path), 200)

    def token(self, pin: str = "2020") -> str:
        """Enter the PIN and return the token."""
        answer = _json(self.call("POST", "/api/validate-pin", {"pin": pin}), 200)
        return str(answer["token"])

    def add_card(
        self, ticker: str, algorithm: str = "sma_crossover", capital: float = 10_000.0
    ) -> Json:
        """Add a card with the PIN and return it."""
        body = {"ticker": ticker, "algorithm_type": algorithm, "initial_capital": capital}
        return _json(self.call("POST", "/api/algorithms", body, self.token()), 201)

    def stop_card(self, number: int, *, liquidate: bool = False) -> Json:
        """Stop a card with the PIN and return it."""
        path = f"/api/algorithms/{number}?liquidate={str(liquidate).lower()}"
        return _json(self.call("DELETE", path, token=self.token()), 200)

    def cards(self, status: str = "running") -> list[Json]:
        """Return the cards; ``status`` may be ``stopped`` or ``all``."""
        found = self.get(f"/api/algorithms?status={status}")["algorithms"]
        assert isinstance(found, list)
        return found

    def card(self, number: int) -> Json:
        """Return one card."""
        return _json(self.call("GET", f"/api/algorithms/{number}"), 200)

    def exchange(self, method: str, path: str, body: object = None) -> Any:
        """Ask the exchange itself, for example for ``/v2/positions`` or ``/_subscriptions``."""
        url = self.exchange_url + path
        response = self.http.request(
            method, url, json=body, headers=BROKER_KEYS, timeout=REQUEST_SECONDS
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def subscribed(self) -> list[str]:
        """The tickers whose minute bars are streamed to somebody now."""
        found = self.exchange("GET", "/_subscriptions")["current"]
        assert isinstance(found, list)
        return found

    def misbehave(self, name: str, **parameters: Any) -> None:
        """Put a fault of the simulated exchange in force."""
        self.exchange("POST", "/_faults", {"name": name, **parameters})


@contextmanager
def running_terminal(
    tmp_path: Path,
    parts: tuple[str, ...] = ("exchange", "api", "orchestrator"),
    /,
    **values: object,
) -> Iterator[Terminal]:
    """Start the terminal's processes with these settings over the test's own; end them afterwards.

    Market time on entry is MARKET_CLOCK_START (default: five minutes before an open), one market
    minute a second. Without the part ``exchange`` the addresses stay those of the environment.
    """
    changes: dict[str, object] = {"API_PORT": free_port()}
    if "exchange" in parts:
        changes |= {
            "SIMULATOR_PORT": free_port(),
            "SIMULATOR_STREAM_PORT": free_port(),
            "MARKET_CLOCK_START": BEFORE_THE_OPEN,
            "MARKET_CLOCK_SPEED": 60,
            "MARKET_CLOCK_SKIP_CLOSED": True,
            "MARKET_CLOCK_ANCHOR": clock.machine_now().timestamp(),
        }
    changes |= values
    before = {name: os.environ.get(name) for name in changes}
    with ExitStack() as undo:
        undo.callback(restore, before)
        change(**changes)
        terminal = Terminal(tmp_path)
        undo.callback(terminal.end)
        if "exchange" in parts:
            terminal.start("exchange")
        terminal.start(*(name for name in parts if name != "exchange"))
        yield terminal


def until(
    predicate: Callable[[], Found],
    seconds: float = PATIENCE_SECONDS,
    evidence: Callable[[], str] = str,
    what: str = "",
) -> Found:
    """Poll until ``predicate`` gives a true answer, and return it; fail with ``evidence`` without."""
    deadline = clock.elapsed() + seconds
    while not (found := predicate()):
        if clock.elapsed() > deadline:
            pytest.fail(f"After {seconds:g} s it is still not so: {what}\n{evidence()}")
        clock.pause(POLL_SECONDS)
    return found


def _json(response: requests.Response, status: int) -> Json:
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    found = response.json()
    assert isinstance(found, dict)
    return found
