"""The page's server under load, beside a route that returns the same bytes under the same gunicorn.

.venv/bin/python -m tests.bench.api [--quick]: 20 cards with a session's bars and 1,000 to 1,000,000 trades.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import requests

from database import db_manager
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE
from orchestra.base.settings import ROOT, Settings
from orchestra.simulator.assets import listed
from system_databse import decision_journal, heartbeats, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.bench.rows import Row, at_least, at_most, run
from tests.exchange_fixture import STANDING_STILL, change, free_port
from tests.processes import Terminal, running_terminal

CARDS = 20
NOW = "2024-06-04T19:30:00Z"  # 360 minutes after the open
OPEN = "2024-06-04T13:30:00Z"
HISTORIES = (1_000, 100_000, 1_000_000)
TODAY = 10  # of a card's trades are this session's
LONGEST_P99_MS = 8.0
ADD = (
    "INSERT INTO transactions (algorithm_id, type, shares, price, timestamp) VALUES (?, ?, ?, ?, ?)"
)
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers a second, and the 99th percentile in milliseconds."""

    rate: float
    p99: float


def measure(quick: bool) -> Iterator[Row]:
    if shutil.which("wrk") is None:
        print("wrk is missing, so nothing was measured: sudo apt-get install wrk", file=sys.stderr)
        return
    for each in fields(Settings):
        os.environ[each.name.upper()] = ""
    seconds, rounds = (2, 2) if quick else (2, 3)
    rates: dict[int, float] = {}
    for trades in HISTORIES[:2] if quick else HISTORIES:
        with tempfile.TemporaryDirectory() as name, served(Path(name), trades) as (ours, floor):
            for connections in (1, 4):
                mine, bare = beside(ours.api_url, floor, connections, seconds, rounds)
                what = f"GET /api/algorithms, {trades:,} trades, {connections} connections"
                yield at_least(f"{what}: answers a second", mine.rate, bare.rate, 0.5, "/s")
                if connections == 1:
                    rates[trades] = mine.rate
                    yield p99(what, mine, bare)
            yield after_a_change(ours, trades)
            yield from beside_a_slow_broker(ours, seconds, rounds)
    first, last = min(rates), max(rates)
    yield at_least(f"{last:,} trades beside {first:,}", rates[last], rates[first], 0.8, "/s")
    yield from packages()


def p99(what: str, mine: Load, bare: Load) -> Row:
    goal = f"at most {LONGEST_P99_MS:g} ms"
    met = mine.p99 <= LONGEST_P99_MS
    shown = f"{mine.p99:.2f} ms", f"{bare.p99:.2f} ms"
    return Row(f"{what}: p99", *shown, goal, met, mine.p99 / bare.p99)


def beside(ours: str, floor: str, connections: int, seconds: int, rounds: int) -> tuple[Load, Load]:
    """Both under the same load in turns, the medians by rate."""
    taken: dict[str, list[Load]] = {ours: [], floor: []}
    for _ in range(rounds):
        for address, loads in taken.items():
            loads.append(wrk(address, connections, seconds))
    return middle(taken[ours]), middle(taken[floor])


def middle(loads: list[Load]) -> Load:
    """The medians of both figures, the lower of the two in the middle."""
    half = (len(loads) - 1) // 2
    return Load(sorted(load.rate for load in loads)[half], sorted(load.p99 for load in loads)[half])


def wrk(address: str, connections: int, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    done = subprocess.run(
        [*command, f"{address}/api/algorithms"], capture_output=True, text=True, check=True
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert rate and slow and "Non-2xx" not in done.stdout, done.stdout
    return Load(float(rate[1]), float(slow[1]) * MILLISECONDS[slow[2]])


def beside_a_slow_broker(ours: Terminal, seconds: int, rounds: int) -> Iterator[Row]:
    """The page with one connection, without and with two calls of the broker's in flight."""
    quiet, busy = [], []
    for _ in range(rounds):
        quiet.append(wrk(ours.api_url, 1, seconds))
        ours.misbehave("delay", seconds=2.5, path="/v2/account")
        until = clock.elapsed() + seconds
        with ThreadPoolExecutor(2) as pool:
            for _ in range(2):
                pool.submit(keep_asking, f"{ours.api_url}/api/account/cash", until)
            busy.append(wrk(ours.api_url, 1, seconds))
        ours.exchange("DELETE", "/_faults")
    what = "p99 beside two calls to a slow broker"
    yield at_most(what, middle(busy).p99, middle(quiet).p99, 2.0, "ms")


def after_a_change(ours: Terminal, trades: int) -> Row:
    """The first answer after a commit, which is built anew, beside the next, which is not."""
    first, second = [], []
    for number in range(30):
        heartbeats.beat({"orchestrator": ("ok", f"Cycle {number} done.")})
        for taken in (first, second):
            begun = clock.elapsed()
            ours.get("/api/algorithms")
            taken.append((clock.elapsed() - begun) * 1000)
    anew, kept = statistics.median(first), statistics.median(second)
    what = f"GET /api/algorithms, {trades:,} trades, the first after a change"
    return Row(what, f"{anew:.1f} ms", f"{kept:.1f} ms", "", None, anew / kept)


def keep_asking(address: str, until: float) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while clock.elapsed() < until:
            session.get(address, timeout=20)


@contextmanager
def served(folder: Path, trades: int) -> Iterator[tuple[Terminal, str]]:
    """Our server on a history of so many trades, and the floor's address."""
    change(SYSTEM_DB=folder / "system.db", STOCKS_DB=folder / "stocks.db", LOG_DIR=folder / "logs")
    change(SIMULATOR_DB=folder / "simulator.db")
    still = {"MARKET_CLOCK_START": NOW, "MARKET_CLOCK_SPEED": STANDING_STILL}
    with running_terminal(folder, ("exchange",), **still) as terminal:
        make_history(trades)
        terminal.start("api")
        body = folder / "body.json"
        body.write_bytes(terminal.call("GET", "/api/algorithms").content)
        port = free_port()
        floor = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "-c",
                "gunicorn.conf.py",
                "tests.bench.same_bytes:app",
            ],
            cwd=ROOT,
            env={**os.environ, "API_PORT": str(port), "BENCH_BODY": str(body)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            terminal.wait_for(lambda: answers(address), what="the floor answers")
            yield terminal, address
        finally:
            floor.terminate()
            floor.wait()


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/api/algorithms", timeout=5, proxies={}).ok
    except requests.ConnectionError:
        return False


def make_history(trades: int) -> None:
    """Twenty cards that have traded for long, on twenty tickers with bars of the session."""
    tickers = sorted(listed())[:CARDS]
    minutes = [clock.stamp(clock.parse(OPEN) + n * MINUTE) for n in range(360)]
    figures = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 10}
    for ticker in tickers:
        bars = [{"timestamp": minute, **figures} for minute in minutes]
        db_manager.insert_historical_data(ticker, bars)
        card = system_db_manager.create_algorithm(ticker, "sma_crossover", 10_000)
        asked = JournalledDecision(card, minutes[-1], minutes[-2], "hold", 0, "no cross", "bar", 1)
        decision_journal.record([asked])
    connection = system_db_manager.writable_ledger()
    with sqlite.transaction(connection):
        connection.executemany(ADD, (trade(number, trades) for number in range(trades)))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def trade(number: int, trades: int) -> tuple[int, str, int, float, str]:
    """Trades in turns over the cards, the last ten of each card today's."""
    is_today = number >= trades - TODAY * CARDS
    stamp = f"2024-06-04T{14 + number % 5}:00:00Z" if is_today else "2024-05-31T15:00:00Z"
    side = "buy" if number // CARDS % 2 == 0 else "sell"
    return number % CARDS + 1, side, 10, 100 + number % 7 / 100, stamp


def packages() -> Iterator[Row]:
    """What the page's process takes: to import, and in memory, beside the same with alpaca-py's whole."""
    lean = importing("import api_server")
    whole = importing("import api_server, orchestra.alpaca_wrapper")
    goal = "without pandas"
    yield Row("import of the page's process, CPU ms", *shown(lean[0], whole[0], "ms"), goal, None)
    yield Row("memory of the page's process", *shown(lean[1], whole[1], "MB"), goal, lean[2] == 0)


def shown(mine: float, other: float, unit: str) -> tuple[str, str]:
    return f"{mine:,.0f} {unit}", f"{other:,.0f} {unit}"


PROGRAM = """
import sys, time
{imports}
took = time.process_time() * 1000
with open("/proc/self/smaps_rollup") as file:
    pss = next(int(line.split()[1]) / 1024 for line in file if line.startswith("Pss:"))
print(took, pss, int("pandas" in sys.modules))
"""


def importing(imports: str) -> tuple[float, float, float]:
    """CPU milliseconds, MB and whether pandas is loaded, the medians of five new processes."""
    with tempfile.TemporaryDirectory() as name:
        change(SYSTEM_DB=Path(name) / "system.db", STOCKS_DB=Path(name) / "stocks.db", LOG_DIR=name)
        program = PROGRAM.format(imports=imports)
        taken = []
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, "-c", program],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            took, pss, pandas = map(float, done.stdout.splitlines()[-1].split())
            taken.append((took, pss, pandas))
    return sorted(taken)[2]


if __name__ == "__main__":
    run(measure)
