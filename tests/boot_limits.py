"""What the booted machine does at its limits: memory that runs out, and a clock that nothing has set."""

import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.boot_machine import PROJECT, SERVICES, Machine, Table, seconds_since, wait_for

# Memory of the kind that the cap on a single algorithm does not count
GREEDY = """
import mmap

class Algorithm:
    title = "Greedy"

    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        taken = mmap.mmap(-1, 4 << 30)
        for megabyte in range(4 << 10):
            taken.write(bytes(1 << 20))
        return ("hold", 0)
"""
# Stays in the service's group for as long as a leak would, in pieces that are smaller than the service: the
# kernel ends the largest process
HOG = """
import os, sys, time
folder, pieces = sys.argv[1], int(sys.argv[2])
open(folder + "/cgroup.procs", "w").write(str(os.getpid()))
try:
    open("/proc/self/oom_score_adj", "w").write("-1000")
except OSError:
    pass  # not every machine lets this be changed
for _ in range(pieces):
    if os.fork() == 0:
        taken = b"x" * (10 << 20)
        time.sleep(15)
        os._exit(0)
time.sleep(16)
"""
NEAR_MEGABYTES = 20  # so close to its cap the hog brings a service: none of them runs in so little
TIME_WAIT = "systemd-time-wait-sync.service"
HOUR = timedelta(hours=1)


class Limits:
    """``is_well`` says whether the whole terminal is, as the page itself has it."""

    def __init__(self, machine: Machine, table: Table, is_well: Callable[[], bool]) -> None:
        self.machine = machine
        self.table = table
        self.is_well = is_well

    def fill_the_memory(self) -> None:
        """Hold the units' caps against the kernel's, and run into them."""
        self.machine.keep_memory_limits()
        self.machine.run("systemctl", "restart", "autotrader.target")
        wait_for(self.is_well)
        caps = {name: int(self.machine.unit(name, "MemoryMax")) for name in SERVICES}
        kept = {name: self._kernels_cap(name) for name in SERVICES}
        told = {name: f"{caps[name] >> 20} MB" for name in SERVICES}
        self.table.note("memory caps", f"units {told}, kernel {kept}", caps == kept)
        if caps != kept:
            said = self.machine.shell("grep memory /proc/cgroups; mount | grep cgroup")
            self.table.note("no memory controller for the container", said, False)
            return
        self._add_a_greedy_card()
        for name in ("simulator", "api"):
            self._crowd_out(name, caps[name])

    def _kernels_cap(self, name: str) -> int:
        folder = self.machine.control_group(name)
        said = self.machine.shell(f"cat {folder}/memory.max {folder}/memory.limit_in_bytes")
        found = re.search(r"^\d+$", said, re.MULTILINE)
        return int(found.group()) if found else 0

    def _add_a_greedy_card(self) -> None:
        """An algorithm that takes all the trader may have: its worker ends, nothing else does."""
        machine = self.machine
        file = machine.root / f"{PROJECT[1:]}/algorithms/greedy.py"
        file.write_text(GREEDY)
        machine.run("chown", "pi", f"{PROJECT}/algorithms/greedy.py")
        trader, killed = machine.pid("orchestrator"), killed_by_the_kernel()
        token = machine.send("/api/validate-pin", {"pin": "2020"})["token"]
        card = {"ticker": "NVDA", "algorithm_type": "greedy", "initial_capital": 100}
        number = int(wait_for(lambda: machine.send("/api/algorithms", card, token).get("id")))
        question = (
            f"SELECT reason FROM decisions WHERE action = 'failed' AND algorithm_id = {number}"
        )
        [reason, *_] = wait_for(lambda: machine.ledger(question))[0]
        trades = machine.ledger("SELECT COUNT(*) FROM transactions")
        wait_for(lambda: machine.ledger("SELECT COUNT(*) FROM transactions") > trades)
        same = machine.pid("orchestrator") == trader
        ended = killed_by_the_kernel() - killed
        seen = f"{reason!r}, {ended} processes ended by the kernel, the trader goes on: {same}"
        self.table.note("an algorithm takes all memory", seen, same and ended > 0)
        machine.send(f"/api/algorithms/{number}?liquidate=false", {}, token, "DELETE")
        file.unlink()
        wait_for(self.is_well)

    def _crowd_out(self, name: str, cap: int) -> None:
        """Fill a service's group to the brim from within: it is ended, and is back once there is room."""
        machine = self.machine
        killed, pid, began = killed_by_the_kernel(), machine.pid(name), time.monotonic()
        hog = ("python3", "-c", HOG, machine.control_group(name))
        machine.run(*hog, str(((cap >> 20) - NEAR_MEGABYTES) // 10))
        ended = killed_by_the_kernel() - killed
        wait_for(lambda: machine.unit(name, "ActiveState") == "active" and self.is_well())
        journal = machine.run(
            "journalctl", "-q", "-o", "cat", "-u", f"autotrader-{name}", "-n", "80"
        )
        [said, *_] = [line for line in journal.splitlines() if "KILL" in line or "OOM" in line] or [
            ""
        ]
        seen = (
            f"ended by the kernel {ended} times ({said}), well again after {seconds_since(began)}"
        )
        self.table.note(f"{name} over its MemoryMax", seen, ended > 0 and machine.pid(name) > 0)
        if name == "simulator":
            self.table.note(
                "its process is another", f"{pid} -> {machine.pid(name)}", pid != machine.pid(name)
            )

    def start_without_the_time(self) -> None:
        """Boot with nothing that sets the clock, beside a broker whose clock is an hour ahead."""
        machine = self.machine
        self._put_an_exchange_an_hour_ahead()
        machine.run("systemctl", "reboot")
        machine.wait_until_off()
        machine.begin_to_boot()
        wait_for(lambda: "waits for the clock" in self._said_of_the_clock())
        self.table.note("the banner until then", *self._banner("waits for the clock"))
        machine.wait_until_booted()
        wait = machine.run("systemctl", "show", "-P", "Result", TIME_WAIT)
        began = self._monotonic(TIME_WAIT, "InactiveExitTimestampMonotonic")
        page = self._monotonic("autotrader-api", "ExecMainStartTimestampMonotonic") - began
        trader = (
            self._monotonic("autotrader-orchestrator", "ExecMainStartTimestampMonotonic") - began
        )
        seen = f"wait for the time: {wait}; page after {page:.0f} s, trader after {trader:.0f} s"
        self.table.note(
            "nothing sets the clock", seen, wait == "timeout" and page < 60 and 119 < trader < 180
        )
        wait_for(lambda: "no card is asked" in self._said_of_the_clock())
        self.table.note("health", self._said_of_the_clock())
        self.table.note("the wall's banner", *self._banner("no card is asked"))
        self._add_a_card_in_vain()
        began = time.monotonic()
        machine.shell("mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized")
        wait_for(lambda: machine.get("/api/health")["parts"]["clock"]["status"] == "ok")
        self.table.note("the clock is set", f"trusted after {seconds_since(began)}")
        machine.shell(
            "systemctl disable --now broker; rm -r /etc/systemd/system/broker.service"
            f" /etc/systemd/system/{TIME_WAIT}.d/95-container.conf; systemctl daemon-reload"
        )

    def _add_a_card_in_vain(self) -> None:
        """A card is taken, and neither asked nor traded for, though the broker answers."""
        machine = self.machine
        token = machine.send("/api/validate-pin", {"pin": "2020"})["token"]
        card = {"ticker": "MSFT", "algorithm_type": "buy_and_hold", "initial_capital": 5000}
        wait_for(lambda: machine.send("/api/algorithms", card, token).get("id"))
        time.sleep(130)  # two of the machine's minutes
        found = dict(
            machine.ledger("SELECT action, COUNT(*) FROM decisions GROUP BY action", "ahead.db")
        )
        orders = machine.get("/v2/orders?status=all", 6010)
        market = "open" if machine.get("/api/algorithms")["market_open"] else "closed"
        seen = f"decisions {found}, {len(orders)} orders; the market is {market}"
        self.table.note(
            "a card while the clock is not set", seen, orders == [] and found.keys() <= {"skipped"}
        )

    def _put_an_exchange_an_hour_ahead(self) -> None:
        ahead = datetime.now(UTC) + HOUR
        unit = f"""[Service]
User=pi
WorkingDirectory={PROJECT}
Environment=SIMULATOR_PORT=6010 SIMULATOR_STREAM_PORT=6011 SIMULATOR_DB=/tmp/broker.db
Environment=MARKET_CLOCK_START={ahead:%Y-%m-%dT%H:%M:%SZ} MARKET_CLOCK_SPEED=1
Environment=MARKET_CLOCK_ANCHOR={(ahead - HOUR).timestamp():.0f}
ExecStart={PROJECT}/.venv/bin/python -m orchestra simulate
[Install]
WantedBy=multi-user.target
"""
        systemd = self.machine.root / "etc/systemd/system"
        (systemd / "broker.service").write_text(unit)
        # In a container it is skipped; its wait is for what the kernel says of its clock
        drop_in = systemd / f"{TIME_WAIT}.d/95-container.conf"
        drop_in.write_text("[Unit]\nConditionVirtualization=\nConditionCapability=\n")
        self.machine.shell("systemctl daemon-reload; systemctl enable broker")

    def _monotonic(self, unit: str, field: str) -> float:
        return int(self.machine.run("systemctl", "show", "-P", field, unit)) / 1e6

    def _said_of_the_clock(self) -> str:
        health = self.machine.get("/api/health") or {"parts": {}}
        clock = health["parts"].get("clock", {"status": "ok"})
        return str(clock["message"]) if clock["status"] == "down" else ""

    def _banner(self, words: str) -> tuple[str, bool]:
        """What the page says on top, and whether that it is: in a Chromium of this machine, from inside."""
        code = (
            "from playwright.sync_api import sync_playwright as play\n"
            "with play() as p:\n"
            "    page = p.chromium.launch(executable_path='/usr/bin/chromium').new_page()\n"
            "    page.goto('http://127.0.0.1:5000/')\n"
            "    print(' '.join(page.locator('[data-banner]').inner_text().split()))\n"
        )
        command = [".venv/bin/python", "-c", code]
        said = subprocess.run(
            ["nsenter", "-n", "-t", str(self.machine.leader), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout.strip()
        return said[-200:], "CLOCK NOT SET" in said and words in said


def killed_by_the_kernel() -> int:
    """How many processes the kernel has ended so far for want of memory, a group's included."""
    found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1))
