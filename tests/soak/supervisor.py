"""Keeps the terminal's three parts running as systemd would: what ends is started again after a moment."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from orchestra.base import clock, settings
from orchestra.base.settings import ROOT
from system_databse import heartbeats
from tests.processes import COMMANDS
from tests.soak import processes
from tests.soak.journal import Journal

RESTART_SECONDS = 2.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
READY_SECONDS = 90.0
PARTS = {"exchange": "exchange", "gunicorn": "api", "orchestrator": "orchestrator"}


@dataclass
class _Part:
    name: str
    process: "subprocess.Popen[bytes] | None" = None
    is_up: bool = False
    started: float = 0.0
    down_since: float | None = None
    killed: bool = False  # by us: that it ended is no surprise
    errors: Path = field(default_factory=Path)


class Supervisor:
    """Starts, watches, kills and ends the parts. ``facts`` of the market outlive the exchange."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._parts = {name: _Part(name, errors=folder / f"{name}.stderr") for name in PARTS}
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.facts: list[dict[str, Any]] = []

    def start(self, before_trading: Callable[[], None]) -> None:
        """Start the parts in order, each once the one before is up, and watch them from then on."""
        for part in self._parts.values():
            if part.name == "orchestrator":
                before_trading()
            self._spawn(part)
            deadline = clock.elapsed() + READY_SECONDS
            while not self._look_whether_up(part):
                if clock.elapsed() > deadline or part.process.poll() is not None:  # type: ignore[union-attr]
                    raise RuntimeError(f"The {part.name} did not start: see {part.errors}")
                clock.pause(POLL_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """SIGTERM the parts, orchestrator first; nothing of them is left behind."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for part in reversed(self._parts.values()):
            if part.process is None:
                continue
            part.process.terminate()
            try:
                status = part.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                status = None
            self._sweep(part)
            self._journal.note("stopped", part=part.name, status=status)

    def is_up(self, name: str) -> bool:
        return self._parts[name].is_up

    def kill(self, target: str) -> bool:
        """SIGKILL the process of that role; False where it is not there now."""
        with self._lock:
            name = next((each for each in PARTS if each in target), "orchestrator")
            part = self._parts[name]
            if not part.is_up or part.process is None or part.process.poll() is not None:
                return False
            pid = part.process.pid
            if target != name:
                found = processes.workers(name, pid)
                if not found:
                    return False
                pid = random.choice(found)
            part.killed |= target == name
            self._journal.note("kill", target=target)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return True

    def sample(self) -> list[processes.Process]:
        """Every process that is up, measured."""
        found = []
        for part in self._parts.values():
            if part.is_up and part.process is not None:
                found += processes.measured(part.name, part.process.pid)
        return found

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for part in self._parts.values():
                with self._lock:
                    self._tend(part)
            clock.pause(POLL_SECONDS, self._stopping)

    def _tend(self, part: _Part) -> None:
        assert part.process is not None
        if part.down_since is not None:
            if clock.elapsed() - part.down_since >= RESTART_SECONDS:
                self._spawn(part)
        elif part.process.poll() is not None:
            self._note_end(part)
        elif not part.is_up:
            self._look_whether_up(part)

    def _note_end(self, part: _Part) -> None:
        assert part.process is not None
        words = part.errors.read_text(errors="replace").strip().splitlines()[-3:]
        self._journal.note(
            "down",
            part=part.name,
            status=part.process.returncode,
            killed=part.killed,
            words=[] if part.killed else words,
        )
        self._sweep(part)
        part.is_up, part.killed, part.down_since = False, False, clock.elapsed()

    def _sweep(self, part: _Part) -> None:
        """End what a part has left behind, as the service manager ends the whole group."""
        assert part.process is not None
        with suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()

    def _spawn(self, part: _Part) -> None:
        command = [sys.executable, *COMMANDS[PARTS[part.name]]]
        if part.name == "exchange":
            command += [word for fact in self.facts for word in ("--fault", json.dumps(fact))]
        part.started, part.down_since, part.is_up = clock.elapsed(), None, False
        with part.errors.open("ab") as errors:
            part.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # each part logs into its own file
                stderr=errors,
                start_new_session=True,
            )

    def _look_whether_up(self, part: _Part) -> bool:
        part.is_up = self._answers(part)
        if part.is_up:
            self._journal.note("up", part=part.name, after=round(clock.elapsed() - part.started, 2))
        return part.is_up

    def _answers(self, part: _Part) -> bool:
        chosen = settings.current()
        if part.name == "orchestrator":
            if not chosen.system_db_path.exists():
                return False
            beat = heartbeats.heartbeats().get("orchestrator")
            return beat is not None and beat.age < clock.elapsed() - part.started
        address = f"{chosen.page_url}/healthz"
        if part.name == "exchange":
            address = f"{chosen.trading_url}/_label"
        try:
            return ask(address).status_code == 200
        except requests.RequestException:
            return False


def ask(address: str, seconds: float = 0.5) -> requests.Response:
    """GET from this machine, past any proxy."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, timeout=seconds)
