"""From power to the first possible order, and what the packages weigh.

Run by hand: .venv/bin/python -m tests.bench.start [--quick].
"""

import importlib.metadata
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestra.base import clock, memory
from orchestra.base.settings import ROOT
from tests.bench.place import own_place
from tests.bench.rows import Row, run
from tests.processes import COMMANDS, Terminal, running_terminal

READY_SECONDS = 60.0
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)
IMPORTS = {
    "orchestrator": "import orchestrator",
    "page's server": "import gunicorn.app.wsgiapp, api_server",
    "simulated exchange": "import orchestra.simulator",
}


def measure(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 5
    yield from to_ready(rounds)
    yield from import_times(rounds)
    yield from packages()


def to_ready(rounds: int) -> Iterator[Row]:
    """READY=1 is sent when the exchange was reached and the ledger held against it."""
    with own_place() as folder, running_terminal(folder) as terminal:
        terminal.add_card("NVDA")
        terminal.stop("orchestrator")
        taken = [seconds_to_ready(terminal, folder) for _ in range(rounds)]
        page = loaded_by("api", terminal)
    bare = [seconds_of(["-c", "pass"]) for _ in range(rounds)]
    seconds = statistics.median(taken)
    yield Row(
        "start of a process to its first possible order",
        f"{seconds:.2f} s",
        f"{statistics.median(bare):.2f} s",
        "at most 4 s",
        seconds <= 4,
    )
    yield Row(
        "loaded by the page's server once a card was added",
        ", ".join(page) or "neither",
        "",
        "",
        None,
    )


def seconds_to_ready(terminal: Terminal, folder: Path) -> float:
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(READY_SECONDS)
        begun = clock.elapsed()
        process = subprocess.Popen(
            [sys.executable, *COMMANDS["orchestrator"]],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"READY=1" not in listening.recv(4096):
                pass
            return clock.elapsed() - begun
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(READY_SECONDS)
            path.unlink()


def loaded_by(name: str, terminal: Terminal) -> list[str]:
    """Which heavy packages a process or its children have mapped."""
    mapped = "".join(
        (Path("/proc") / str(pid) / "maps").read_text()
        for pid in memory.tree(terminal.processes[name].pid)
    )
    return [package for package in ("pandas", "numpy") if f"/{package}/" in mapped]


def import_times(rounds: int) -> Iterator[Row]:
    bare = statistics.median(seconds_of(["-c", "pass"]) for _ in range(rounds))
    for what, source in IMPORTS.items():
        seconds = statistics.median(seconds_of(["-c", source]) for _ in range(rounds))
        yield Row(
            f"imports of the {what}", f"{seconds * 1000:.0f} ms", f"{bare * 1000:.0f} ms", "", None
        )


def seconds_of(arguments: list[str]) -> float:
    begun = clock.elapsed()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return clock.elapsed() - begun


def packages() -> Iterator[Row]:
    """What the terminal's own requirements take on the disk; the tests' are left out."""
    names = sorted(set(PINNED.findall((ROOT / "requirements.txt").read_text())))
    size = 0
    for name in names:
        for file in importlib.metadata.distribution(name).files or ():
            path = Path(str(file.locate()))
            if path.is_file():
                size += path.stat().st_size
    yield Row("packages installed", str(len(names)), "", "", None)
    yield Row("packages on disk", f"{size / 1e6:.0f} MB", "", "", None)


if __name__ == "__main__":
    run(measure)
