"""What the service manager hears: from ``notify`` itself, and from each of the real processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.base import clock, systemd
from orchestra.base.settings import ROOT
from system_databse import heartbeats
from tests.processes import running_terminal

LIMIT_SECONDS = 1.5
PATIENCE_SECONDS = 60.0


class Manager:
    """The receiving end of $NOTIFY_SOCKET."""

    def __init__(self, folder: Path, name: str) -> None:
        self.address = str(folder / f"{name}.notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    @property
    def environment(self) -> dict[str, str]:
        """What a unit with a watchdog is started with."""
        microseconds = str(int(LIMIT_SECONDS * 1e6))
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": microseconds}

    def hear(self, seconds: float = PATIENCE_SECONDS) -> dict[str, str] | None:
        """The next message, field by field; None when there is none for so long."""
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(4096).decode()
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in message.strip().splitlines())

    def hear_until(self, field: str, value: str) -> dict[str, str]:
        """Read messages until one has this field begin like this; return it."""
        while message := self.hear():
            if message.get(field, "").startswith(value):
                return message
        raise AssertionError(f"{field}={value} never came")

    def forget(self) -> None:
        """Drop what has come so far."""
        while self.hear(0.001):
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(tmp_path, "manager")
    yield found
    found.close()


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert systemd.notify("READY=1") is False


def test_a_manager_hears_a_message(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    assert systemd.notify("READY=1")
    assert manager.hear() == {"READY": "1"}
    assert systemd.alive("The market\nis closed.")
    assert manager.hear() == {"WATCHDOG": "1", "STATUS": "The market is closed."}


def test_an_abstract_address_begins_with_a_zero_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"autotrader-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert systemd.notify("WATCHDOG=1")
        assert receiver.recv(100) == b"WATCHDOG=1"


def test_a_manager_out_of_reach_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert systemd.notify("WATCHDOG=1") is False


def test_the_trading_loop_and_the_exchange_feed_their_watchdogs(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in manager.environment.items():
        monkeypatch.setenv(name, value)
    with running_terminal(tmp_path, ("exchange",)) as terminal:
        assert manager.hear() == {"READY": "1"}
        assert manager.hear() == {"WATCHDOG": "1"}
        manager.forget()
        os.kill(terminal.processes["exchange"].pid, signal.SIGSTOP)
        manager.forget()
        assert manager.hear(LIMIT_SECONDS) is None
        os.kill(terminal.processes["exchange"].pid, signal.SIGCONT)
        assert manager.hear() == {"WATCHDOG": "1"}
        trader = Manager(tmp_path, "trader")
        try:
            terminal.start("orchestrator", **trader.environment)
            trader.hear_until("READY", "1")
            assert trader.hear_until("STATUS", "Cycle of 2024-06-04T13:")["WATCHDOG"] == "1"
            terminal.stop("orchestrator")
            trader.hear_until("STOPPING", "1")
        finally:
            trader.close()


def test_a_loop_without_an_exchange_is_alive_and_says_what_it_waits_for(
    tmp_path: Path, manager: Manager
) -> None:
    address = "http://127.0.0.1:1"
    with running_terminal(
        tmp_path,
        (),
        ALPACA_TRADING_URL=address,
        ALPACA_DATA_URL=address,
        ALPACA_STREAM_URL="ws://127.0.0.1:1/v2/iex",
    ):
        process = subprocess.Popen(
            [sys.executable, "orchestrator.py"],
            cwd=ROOT,
            env={**os.environ, **manager.environment},
            stdout=subprocess.DEVNULL,
        )
        try:
            assert manager.hear() == {"READY": "1"}
            message = manager.hear_until("STATUS", "Waiting for the exchange")
            assert message["WATCHDOG"] == "1"
            told = heartbeats.heartbeats()[
                "clock"
            ]  # offline after a power cut it is not set either
            assert told.status == ("ok" if clock.SYNCHRONIZED.exists() else "down")
        finally:
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == 0


def test_the_page_feeds_its_watchdog_while_it_is_answered(tmp_path: Path, manager: Manager) -> None:
    with running_terminal(tmp_path, ()) as terminal:
        terminal.start("api", **manager.environment)
        manager.hear_until("READY", "1")
        manager.hear_until("WATCHDOG", "1")
        master = terminal.processes["api"].pid
        worker = int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])
        os.kill(worker, signal.SIGSTOP)
        manager.forget()
        assert manager.hear(LIMIT_SECONDS) is None
        os.kill(worker, signal.SIGCONT)
        manager.hear_until("WATCHDOG", "1")
