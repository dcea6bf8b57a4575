"""Runs the whole terminal for ``start_pi.sh``: starts each process, watches them, stops them in order."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from orchestra import browser, demo
from orchestra.base import clock, settings
from orchestra.base.errors import AutoTraderError, SettingsError
from orchestra.base.settings import ROOT, Settings
from orchestra.live_lock import refuse_unarmed_live
from orchestra.prepare import create_databases

START_SECONDS = 60.0  # a Pi on an old card is slow
STOP_SECONDS = 15.0
RESTART_SECONDS = 2.0
POLL_SECONDS = 0.1
LARGEST_STDERR = 1_000_000  # bytes; what a crash says last is kept over restarts up to here
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None)


@dataclass
class Part:
    """One process of the terminal, and the address that answers once it is up."""

    name: str
    command: list[str]
    ready_url: str
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    started: float = 0.0  # on clock.elapsed's scale


def launch(*, open_browser: bool, setup_only: bool) -> None:
    """Run the terminal until SIGINT or SIGTERM. Raises AutoTraderError with the sentence to show."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chosen = settings.current()
    refuse_unarmed_live()
    address = chosen.page_url
    if not setup_only and (_is_ours(address) or _service_answers(address, stop)):
        print(f"AutoTrader is running already: {address}/", flush=True)
        if open_browser:
            browser.open_page(f"{address}/")
        return
    create_databases()
    if setup_only:
        print("AutoTrader is set up. Start it with ./start_pi.sh")
        return
    _refuse_busy_ports(chosen)
    demo.set_clock(chosen)
    terminal = _Terminal(chosen, address)
    page = None
    try:
        terminal.start(stop)
        if not stop.is_set():
            print(f"AutoTrader is running ({chosen.mode.upper()}): {address}/", flush=True)
            if open_browser:
                page = browser.open_page(f"{address}/")
        terminal.watch(stop)
    finally:
        if page is not None:
            page.terminate()
        terminal.stop()


class _Terminal:
    def __init__(self, chosen: Settings, address: str) -> None:
        self._log_dir = chosen.log_dir
        self._simulated = chosen.simulated_by_default
        python = sys.executable
        self._parts: list[Part] = []
        if self._simulated:
            self._parts.append(
                Part(
                    "simulator",
                    [python, "-m", "orchestra", "simulate"],
                    f"{chosen.trading_url}/_label",
                )
            )
        gunicorn = [python, "-m", "gunicorn", "-c", "gunicorn.conf.py", "api_server:app"]
        self._parts += [
            Part("api", gunicorn, f"{address}/healthz"),
            Part("orchestrator", [python, "orchestrator.py"], f"{address}/api/health"),
        ]

    def start(self, stop: threading.Event) -> None:
        if self._simulated:
            demo.add_cards_to_new_ledger()
        for part in self._parts:
            self._spawn(part)
            self._await(part, stop)

    def watch(self, stop: threading.Event) -> None:
        """Start again whatever ends by itself, until ``stop`` is set."""
        while clock.pause(POLL_SECONDS, stop):
            for part in self._parts:
                self._bound_errors_of(part)
                if part.process is not None and part.process.poll() is not None:
                    print(f"The {part.name} ended ({self._last_words(part)}); starting it again.")
                    clock.pause(RESTART_SECONDS, stop)
                    if not stop.is_set():
                        self._spawn_again(part)

    def stop(self) -> None:
        for part in reversed(self._parts):
            if part.process is None:
                continue
            part.process.terminate()
            try:
                part.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()

    def _spawn(self, part: Part) -> None:
        part.started = clock.elapsed()
        self._log_dir.mkdir(parents=True, exist_ok=True)  # whoever tidies up may have removed it
        with self._errors_of(part).open("ab") as errors:
            part.process = subprocess.Popen(
                part.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # each part logs into its own file
                stderr=errors,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
                preexec_fn=_end_with_parent,
            )

    def _spawn_again(self, part: Part) -> None:
        """Start it, at the next look where that cannot be: no memory, or a disk that takes nothing."""
        try:
            self._spawn(part)
        except OSError as error:
            print(f"The {part.name} cannot be started: {error}", flush=True)

    def _await(self, part: Part, stop: threading.Event) -> None:
        give_up_at = clock.elapsed() + START_SECONDS
        while clock.pause(POLL_SECONDS, stop):
            if part.process is not None and part.process.poll() is not None:
                raise AutoTraderError(f"The {part.name} did not start: {self._last_words(part)}")
            if _is_ready(part):
                return
            if clock.elapsed() > give_up_at:
                raise AutoTraderError(
                    f"The {part.name} was not ready within {START_SECONDS:.0f} s:"
                    f" see {self._log_dir / part.name}.log"
                )

    def _errors_of(self, part: Part) -> Path:
        return self._log_dir / f"{part.name}.stderr"

    def _bound_errors_of(self, part: Part) -> None:
        """Empty a file that grew large, as by what an algorithm runs: who has it open goes on in it."""
        path = self._errors_of(part)
        with suppress(OSError):
            if path.stat().st_size > LARGEST_STDERR:
                os.truncate(path, 0)

    def _last_words(self, part: Part) -> str:
        lines: list[str] = []
        with suppress(OSError):
            lines = self._errors_of(part).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _end_with_parent() -> None:
    """In the child: get SIGTERM when this process dies, however it dies."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_ready(part: Part) -> bool:
    if part.name != "orchestrator":
        return _answers(part.ready_url)
    try:
        found = _get(part.ready_url).json()["parts"]["orchestrator"]
    except (requests.RequestException, ValueError, KeyError):
        return False
    # A sign of life from before this start is no sign of this one's life
    if found["age"] is None or found["age"] >= clock.elapsed() - part.started:
        return False
    if found["status"] != "ok":  # alive, and waiting for something: the page says so too
        print(found["message"], flush=True)
    return True


def _answers(url: str) -> bool:
    try:
        return _get(url).status_code == 200
    except requests.RequestException:
        return False


def _is_ours(address: str) -> bool:
    """Whether an AutoTrader answers there, not just anything that knows /healthz."""
    try:
        return bool({"status", "version", "parts"} <= _get(f"{address}/api/health").json().keys())
    except (requests.RequestException, ValueError, AttributeError):
        return False


def _service_answers(address: str, stop: threading.Event) -> bool:
    """Whether this folder's AutoTrader is on as a service; one that is starting is waited for."""
    if not _is_on_as_service():
        return False
    give_up_at = clock.elapsed() + START_SECONDS
    while not _is_ours(address) and clock.pause(POLL_SECONDS, stop):
        if clock.elapsed() > give_up_at:
            raise AutoTraderError(
                "AutoTrader is on as a service, but its page does not answer:"
                " sudo systemctl status 'autotrader-*'"
            )
    return True


def _is_on_as_service() -> bool:
    asked = ["systemctl", "show", "-P", "ActiveState", "autotrader.target"]
    where = ["systemctl", "show", "-P", "WorkingDirectory", "autotrader-api.service"]
    try:
        said = [
            subprocess.run(command, capture_output=True, text=True).stdout.strip()
            for command in (asked, where)
        ]
    except OSError:  # no systemd here
        return False
    return said == ["active", str(ROOT)]


def _get(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach what runs here
        return session.get(url, timeout=2)


def _refuse_busy_ports(chosen: Settings) -> None:
    wanted = [("API_PORT", chosen.api_host, chosen.api_port)]
    if chosen.simulated_by_default:
        host = chosen.simulator_host
        wanted += [
            ("SIMULATOR_PORT", host, chosen.simulator_port),
            ("SIMULATOR_STREAM_PORT", host, chosen.simulator_stream_port),
        ]
    for name, host, port in wanted:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise SettingsError(
                    f"Port {port} on {host} is not free ({error.strerror}): stop what uses it,"
                    f" or set {name} in .env to another."
                ) from None
