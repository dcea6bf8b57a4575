"""The minute of the whole terminal: when it begins, what it takes, when its orders are on the wire.

Run by hand: .venv/bin/python -m tests.bench.minute [--quick]. Real processes on the simulated exchange.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from orchestra.base import clock, memory
from orchestra.base.market_calendar import MINUTE
from system_databse import cycle_journal, system_db_manager
from tests.bench.place import own_place
from tests.bench.rows import Row, run
from tests.processes import BUYER, Terminal, running_terminal

OPEN = "2024-06-04T13:30:00Z"
TICKERS = ["AAPL", "AMZN", "BAC", "GLD", "GOOGL", "IWM", "JPM", "MSFT", "NVDA", "SPY"]
CARDS = 20
SESSION_MINUTES = 390
# Waits for the same instants as the orchestrator does, and does nothing else: what the machine can
BARE_LOOP = """
import sys, threading
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
stop, minute = threading.Event(), clock.parse(sys.argv[1])
for _ in range(int(sys.argv[2])):
    clock.wait_until(minute, stop, clock.WAKE_UP)
    print((clock.elapsed() - clock.due(minute, clock.WAKE_UP)) * 1000, flush=True)
    minute += MINUTE
"""
LOAD = """
import sys, requests
page = requests.Session()
page.trust_env = False
while True:
    page.get(sys.argv[1] + "/api/algorithms", timeout=20).raise_for_status()
"""


def measure(quick: bool) -> Iterator[Row]:
    """Yield the rows of 60 (quick) or 300 minutes at 60x, and of 10 minutes of real time."""
    yield from at_speed(60, 60 if quick else 300)
    if not quick:
        yield from at_speed(1, 10)
    yield from orders_on_the_wire(6)


def at_speed(speed: int, minutes: int) -> Iterator[Row]:
    lead = max(15, 12 * speed)  # market seconds before the open, for processes and cards
    start = clock.stamp(clock.parse(OPEN) - lead / 60 * MINUTE)
    with (
        own_place() as folder,
        running_terminal(
            folder,
            MARKET_CLOCK_START=start,
            MARKET_CLOCK_SPEED=speed,
            MARKET_CLOCK_SKIP_CLOSED=False,
            MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp(),
        ) as terminal,
    ):
        add_cards(terminal, "sma_crossover")
        first = clock.parse(OPEN) + MINUTE * (2 if speed > 1 else 1)  # the first fetches history
        last = first + MINUTE * (minutes - 1)
        soon = 60 + (first - clock.now()).total_seconds() / speed
        with beside(BARE_LOOP, clock.stamp(first), str(minutes)) as bare:
            with beside(LOAD, terminal.api_url):
                idle = terminal_mb(terminal)
                terminal.wait_for(lambda: clock.now() >= first, soon)
                before = written(terminal)
                peak = highest_mb(terminal, last)
                wrote = written(terminal) - before
            said, _ = bare.communicate(timeout=120)
        late = list(cycle_journal.lateness(first, last).values())
        yield from lateness(f"{minutes} minutes at {speed}x", minutes, late, said)
        if speed > 1:
            yield memory_row("memory of all processes, idle", idle)
            yield memory_row("memory of all processes, in a cycle", peak)
            daily = wrote / minutes * SESSION_MINUTES / 1e6
            yield Row(
                f"written to disk in a session, from {minutes} minutes",
                f"{daily:.1f} MB",
                "",
                "at most 60 MB",
                daily <= 60,
            )


def lateness(what: str, minutes: int, late: list[float], said: str) -> Iterator[Row]:
    bare = [float(line) for line in said.split()]
    p50, bare_p50 = statistics.median(late), statistics.median(bare)
    p99, bare_p99 = percentile(late, 99), percentile(bare, 99)
    yield Row(
        f"cycle start, {what}, p50",
        f"{p50:.2f} ms",
        f"{bare_p50:.2f} ms",
        "within 2 ms of it",
        p50 <= bare_p50 + 2,
    )
    yield Row(
        f"cycle start, {what}, p99",
        f"{p99:.2f} ms",
        f"{bare_p99:.2f} ms",
        "at most 20 ms",
        p99 <= 20,
    )
    missed = minutes - len(late)
    yield Row(f"minutes missed, {what}", str(missed), "", "none", missed == 0)


def orders_on_the_wire(minutes: int) -> Iterator[Row]:
    """When the exchange had the first and the last of the orders of cards that all buy at once."""
    speed = 20
    with own_place() as folder:
        algorithms = folder / "algorithms"
        algorithms.mkdir()
        (algorithms / "buyer.py").write_text(BUYER)
        with running_terminal(
            folder,
            ALGORITHMS_DIR=algorithms,
            MARKET_CLOCK_START=clock.stamp(clock.parse(OPEN) - 4 * MINUTE),
            MARKET_CLOCK_SPEED=speed,
            MARKET_CLOCK_SKIP_CLOSED=False,
            MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp(),
        ) as terminal:
            add_cards(terminal, "buyer")
            first = clock.parse(OPEN) + MINUTE * 2
            last = first + MINUTE * (minutes - 1)
            terminal.wait_for(lambda: clock.now() >= last + MINUTE, 200)
            starts, ends = [], []
            for n in range(minutes):
                minute = first + n * MINUTE
                came = sorted(received(terminal, minute))
                waking = max(clock.WAKE_UP.market_seconds / speed, clock.WAKE_UP.machine_seconds)
                if len(came) == CARDS:
                    starts.append((came[0] / speed - waking) * 1000)
                    ends.append((came[-1] / speed - waking) * 1000)
    if not ends:
        yield Row("orders of 20 cards on the wire", "none complete", "", "all", False)
        return
    yield Row(
        f"first of {CARDS} orders received after waking, median of {len(starts)} minutes",
        f"{statistics.median(starts):.0f} ms",
        "",
        "within 60 ms",
        statistics.median(starts) <= 60,
    )
    yield Row(
        f"last of {CARDS} orders received after waking, worst of {len(ends)} minutes",
        f"{max(ends):.0f} ms",
        "",
        "within 1 s",
        max(ends) <= 1000,
    )


def received(terminal: Terminal, minute: datetime) -> list[float]:
    """Market seconds after a minute's start at which the exchange received its orders."""
    found = terminal.exchange(
        "GET",
        f"/v2/orders?status=all&limit=500&after={clock.stamp(minute)}"
        f"&until={clock.stamp(minute + MINUTE)}",
    )
    return [
        (datetime.fromisoformat(order["submitted_at"]) - minute).total_seconds() for order in found
    ]


def add_cards(terminal: Terminal, algorithm: str) -> None:
    """Add the cards as rows: the API's checks are measured elsewhere."""
    for n in range(CARDS):
        system_db_manager.create_algorithm(TICKERS[n % len(TICKERS)], algorithm, 4_000)


@contextmanager
def beside(source: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a script of its own beside the terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def highest_mb(terminal: Terminal, last: datetime) -> float:
    """The most MB seen until a market minute is over."""
    peak = 0.0
    while clock.now() < last + MINUTE:
        peak = max(peak, terminal_mb(terminal))
        clock.pause(0.5)
    return peak


def terminal_mb(terminal: Terminal) -> float:
    """MB of PSS of API and orchestrator with all their children."""
    return sum(memory.tree_mb(pid) or 0.0 for pid in own_pids(terminal))


def written(terminal: Terminal) -> int:
    """Bytes that API, orchestrator and their children have caused to be written to disk."""
    total = 0
    for pid in own_pids(terminal):
        for each in memory.tree(pid):
            for line in (Path("/proc") / str(each) / "io").read_text().splitlines():
                if line.startswith("write_bytes:"):
                    total += int(line.split()[1])
    return total


def own_pids(terminal: Terminal) -> list[int]:
    return [terminal.processes[name].pid for name in ("api", "orchestrator")]


def memory_row(figure: str, megabytes: float) -> Row:
    return Row(figure, f"{megabytes:.0f} MB PSS", "", "at most 350 MB", megabytes <= 350)


def percentile(values: list[float], which: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", ".")
    run(measure)
