"""The container that ``tests/boot.py`` boots, and the table of what was seen."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

PROJECT = "/home/pi/autotrader"
PI_SESSION = "XDG_RUNTIME_DIR=/run/user/1000"
SERVICES = ("simulator", "api", "orchestrator")
PATIENCE_SECONDS = 300.0
# Where the kernel has its memory controller in the first version's hierarchy, which nspawn hands in read-only
OLD_CONTROLLER = Path("/sys/fs/cgroup/memory")
OURS = OLD_CONTROLLER / "autotrader-boot"
BROKER_KEYS = ("-H", "APCA-API-KEY-ID: any", "-H", "APCA-API-SECRET-KEY: pair")


class Machine:
    """A container with a systemd of its own, and no network but its loopback."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._console: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def power_on(self) -> None:
        """Boot, and wait until systemd has nothing left to do."""
        self.begin_to_boot()
        self.wait_until_booted()

    def begin_to_boot(self) -> None:
        """Boot, and wait only until there is a systemd."""
        old = (OLD_CONTROLLER / "memory.limit_in_bytes").exists()
        if old:
            OURS.mkdir(exist_ok=True)
        self._console = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--boot", "--private-network"),
                *("--register=no", "--keep-unit", "--console=read-only", "-D", str(self.root)),
                # Only asked whether the kernel's clock is set: the container may not set it
                "--system-call-filter=adjtimex clock_adjtime",
            ],
            preexec_fn=_move_into_ours if old else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.leader = wait_for(self._find_leader)

    def wait_until_booted(self) -> None:
        wait_for(lambda: self.run("systemctl", "is-system-running") in ("running", "degraded"))

    def _find_leader(self) -> int:
        assert self._console is not None and self._console.poll() is None, "nspawn ended"
        pid = self._console.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Its name is systemd's once it is past nspawn's own preparations
        for child in map(int, children):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return 0

    def cut_the_power(self) -> None:
        """End every process at once, as pulling the plug does."""
        subprocess.run(["kill", "-KILL", str(self.leader)], check=True)
        self.wait_until_off()

    def wait_until_off(self) -> None:
        if self._console is not None:
            self._console.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Leave no process behind."""
        if self._console is not None and self._console.poll() is None:
            self.cut_the_power()

        if OURS.exists():
            for folder in sorted(OURS.rglob("*/"), reverse=True):
                folder.rmdir()
            OURS.rmdir()

    def keep_memory_limits(self) -> None:
        """Give systemd the memory controller, where the kernel has it and nspawn did not."""
        if OLD_CONTROLLER.exists():
            self.shell(f"mount -o remount,rw,bind {OLD_CONTROLLER} && systemctl daemon-reexec")

    def control_group(self, name: str) -> str:
        """The folder in which the kernel holds a service's memory."""
        root = OLD_CONTROLLER if OLD_CONTROLLER.exists() else Path("/sys/fs/cgroup")
        return f"{root}{self.unit(name, 'ControlGroup')}"

    def run(self, *command: str, seconds: float = PATIENCE_SECONDS) -> str:
        """What a command prints inside, as root; also of one that fails."""
        inside = ["nsenter", "-a", "-t", str(self.leader), "env", "-i", "-C", "/"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*inside, path, "LANG=C.UTF-8", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        return done.stdout.strip()

    def shell(self, script: str) -> str:
        return self.run("sh", "-c", script)

    def as_pi(self, script: str) -> str:
        """What a script prints in pi's session: with the folder of his service manager."""
        return self.run("runuser", "-u", "pi", "--", "env", PI_SESSION, "sh", "-c", script)

    def unit(self, name: str, field: str) -> str:
        return self.run("systemctl", "show", "-P", field, f"autotrader-{name}")

    def pid(self, name: str) -> int:
        return int(self.unit(name, "MainPID"))

    def get(self, path: str, port: int = 5000) -> Any:
        """An answer's JSON; None where there is none."""
        try:
            url = f"http://127.0.0.1:{port}{path}"
            return json.loads(self.run("curl", "-s", "-m", "5", *BROKER_KEYS, url))
        except ValueError:
            return None

    def send(self, path: str, body: object, token: str = "", method: str = "POST") -> Any:
        return json.loads(
            self.run(
                *("curl", "-s", "-X", method, "-H", "Content-Type: application/json"),
                *("-H", f"Authorization: Bearer {token}", "-d", json.dumps(body)),
                f"http://127.0.0.1:5000{path}",
            )
        )

    def ledger(self, query: str, name: str = "simulated.db") -> list[tuple[Any, ...]]:
        file = self.root / "home/pi/autotrader/system_databse" / name
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def memory(self, name: str) -> float:
        """Megabytes that a service's processes take together, shared pages split between them."""
        script = (
            "below() { echo $1; for c in $(cat /proc/$1/task/*/children); do below $c; done; };"
            f"for p in $(below {self.pid(name)}); do grep ^Pss: /proc/$p/smaps_rollup; done"
        )
        found = re.findall(r"^Pss:\s+(\d+) kB", self.shell(script), re.MULTILINE)
        return sum(map(int, found)) / 1024

    def files(self) -> dict[str, str]:
        """What an installation may touch: path and checksum of each file."""
        listed = self.shell(
            "find /etc /var/lib/autotrader /var/lib/systemd/timers /home/pi/.config"
            " -type f -o -type l -o -type d 2>/dev/null | sort | while read -r f; do"
            ' if [ -f "$f" ] && [ ! -L "$f" ]; then md5sum "$f"; else echo "- $f"; fi; done'
        )
        lines = [line.split(maxsplit=1) for line in listed.splitlines()]
        return {path: digest for digest, path in lines}


def _move_into_ours() -> None:
    (OURS / "cgroup.procs").write_text(str(os.getpid()))


class Table:
    """What was seen, line by line."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str, bool]] = []

    def note(self, what: str, seen: object, fine: bool = True) -> None:
        told = " / ".join(str(seen).splitlines())
        self._lines.append((what, told, fine))
        print(f"{'ok ' if fine else 'NO '} {what}: {told}", file=sys.stderr, flush=True)

    def show(self) -> bool:
        """Print it; True where all of it is as it should be."""
        print("| what | seen | as it should be |\n|---|---|---|")
        for what, seen, fine in self._lines:
            print(f"| {what} | {seen} | {'yes' if fine else '**NO**'} |")
        return all(fine for _, _, fine in self._lines)


def seconds_since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return the first true answer; AssertionError after a long time without one."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.2)
    return found
