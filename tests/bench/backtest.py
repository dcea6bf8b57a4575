"""What a backtest costs: beside rivals over the same minutes, beside the algorithm's run(), and as it grows.

Run by hand: tests/bench/backtest.sh, which installs the rivals first; without it they are left out. Rounds
are interleaved, each in a fresh process, and medians compared. Same bars, same crossover of 20 and 50.
"""

import csv
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from database import gaps, schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE, Session, nyse
from orchestra.base.settings import ROOT
from tests.bench.place import own_place
from tests.bench.rows import Row, at_least, at_most, run
from tests.exchange_fixture import set_clock

HERE = Path(__file__).parent / "rivals"
NOW = "2025-01-02T12:00:00Z"
MINUTES = 252 * 390  # a year without its half days
YEARS = (1, 3, 7)
MOST_MB = 150
GROWTH = 1.10
# By package: its script, and how many times faster the engine has to be
RIVALS = {
    "backtesting": ("backtesting_py.py", 1.2),
    "nautilus_trader": ("nautilus.py", 5.0),
    "backtrader": ("backtrader_bt.py", 7.0),
    "zipline-reloaded": ("zipline_reloaded.py", 25.0),
}
WHOLE = 4.0  # times the whole process of the first rival
HEAD = """
import card_calculations
import system_db_manager
from database import db_manager


class Algorithm:
    def __init__(self, ticker, initial_capital):
        self.ticker, self.initial_capital = ticker, initial_capital

    def run(self, current_time, algo_id):
"""
ALGORITHMS = {
    "nothing": "return ('hold', 0)",
    "asks": "db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=51,"
    " before_timestamp=current_time); return ('hold', 0)",
    "eager": "held = card_calculations.calculate_position(algo_id)\n"
    "        system_db_manager.get_transactions(algo_id)\n"
    "        return ('sell', held) if held else ('buy', 1)",
}


@dataclass(frozen=True)
class Run:
    """One process: bars a second of its engine, and its seconds in all."""

    pace: float
    whole: float


def measure(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 7
    with own_place(ALPACA_DATA_URL="http://127.0.0.1:9") as folder:
        set_clock(NOW)
        bars = folder / "bars.csv"
        write_bars(bars)
        for name, body in ALGORITHMS.items():
            (folder / f"{name}.py").write_text(f"{HEAD}        {body}\n")
            os.utime(folder / f"{name}.py", (0, 0))
        yield from beside_rivals(bars, rounds)
        yield from beside_run(folder, rounds)
        yield from growing(folder, rounds)


def sessions_of(years: int) -> list[Session]:
    """The newest full sessions before NOW, 252 a year."""
    full = [each for each in nyse().sessions if each.minutes == 390 and each.close < clock.now()]
    return full[-252 * years :]


def write_bars(path: Path) -> None:
    """A walk in cents over seven years into stocks.db, and its last year into a file for the rivals."""
    chance, price, rows = random.Random(20240604), 15_000, []
    for session in sessions_of(YEARS[-1]):
        for n in range(390):
            opening, price = price, max(100, price + chance.randint(-9, 9))
            high = max(opening, price) + chance.randint(0, 4)
            low = min(opening, price) - chance.randint(0, 4)
            figures = (opening / 100, high / 100, low / 100, price / 100, chance.randint(100, 5000))
            rows.append((clock.stamp(session.open + n * MINUTE), *figures))
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, ["SYN"])
        connection.executemany("INSERT INTO bars VALUES ('SYN', ?, ?, ?, ?, ?, ?)", rows)
        gaps.cover(connection, "SYN", (0, nyse().minute_number(clock.now()) - 1))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "open", "high", "low", "close", "volume"))
        writer.writerows(rows[-MINUTES:])


def ours(algorithm: str | Path, years: int = 1) -> Run:
    """The command itself, as an owner runs it."""
    first, last = sessions_of(years)[0].day, sessions_of(years)[-1].day
    output, seconds = process(
        [
            *(sys.executable, "-m", "orchestra", "backtest", str(algorithm), "SYN"),
            *("--start", str(first), "--end", str(last), "--json", "--no-research"),
        ]
    )
    found = json.loads(output)
    return Run(found["bars"] / found["took"]["seconds"], seconds)


def rival(package: str, bars: Path) -> Run | None:
    """A rival's process; None where it is not installed."""
    python = Path(os.environ.get("AUTOTRADER_RIVALS", "none"), package, "bin", "python")
    if not python.exists():
        return None
    root = bars.parent / "zipline"
    command = [str(python), str(HERE / RIVALS[package][0]), str(bars)]
    output, seconds = process(command, ZIPLINE_ROOT=str(root), PYTHONPATH="")
    found = json.loads(output.splitlines()[-1])
    return Run(found["bars"] / found["engine"], seconds)


def process(command: list[str], **environment: str) -> tuple[str, float]:
    """Its output, and its seconds by the wall."""
    begun = clock.elapsed()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return done.stdout, clock.elapsed() - begun


def beside_rivals(bars: Path, rounds: int) -> Iterator[Row]:
    """The first round is dropped: it fills the caches."""
    own: list[Run] = []
    theirs: dict[str, list[Run]] = {name: [] for name in RIVALS}
    for _ in range(rounds + 1):
        own.append(ours("sma_crossover"))
        for name in RIVALS:
            found = rival(name, bars)
            if found is not None:
                theirs[name].append(found)
    pace, whole = (statistics.median(values) for values in columns(own[1:]))
    for name, (_, limit) in RIVALS.items():
        if not theirs[name]:
            yield Row(f"engine beside {name}", f"{pace:,.0f} bars/s", "not installed", "", None)
            continue
        their_pace, their_whole = (statistics.median(v) for v in columns(theirs[name][1:]))
        yield at_least(f"engine beside {name}", pace / 1000, their_pace / 1000, limit, "k bars/s")
        if name == "backtesting":
            figure = f"whole process of {name}, as often as ours fits into it"
            yield at_least(figure, their_whole, whole, WHOLE, "s")
            continue
        yield Row(
            f"whole process beside {name}", f"{whole:.2f} s", f"{their_whole:.2f} s", "", None
        )
    peak = peak_mb()
    yield Row(
        "peak memory of a year of one ticker",
        f"{peak:.0f} MB",
        "",
        f"at most {MOST_MB} MB",
        peak <= MOST_MB,
    )


def peak_mb() -> float:
    """Peak of the command, told by a small process: a child's own peak begins with its parent's."""
    first, last = sessions_of(1)[0].day, sessions_of(1)[-1].day
    ask = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL, check=True);"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-m", "orchestra", "backtest", "sma_crossover", "SYN"]
    command += ["--start", str(first), "--end", str(last), "--json", "--no-research"]
    done = subprocess.run(
        [sys.executable, "-c", ask, *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def columns(runs: list[Run]) -> tuple[list[float], list[float]]:
    return [each.pace for each in runs], [each.whole for each in runs]


def beside_run(folder: Path, rounds: int) -> Iterator[Row]:
    """A minute of the crossover in parts: the loop alone, the loop with its question, all of it."""
    names = {
        "nothing": folder / "nothing.py",
        "asks": folder / "asks.py",
        "all": ROOT / "algorithms" / "sma_crossover.py",
    }
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, path in names.items():
            taken[name].append(1e6 / ours(path).pace)
    loop, asking, everything = (statistics.median(taken[name]) for name in names)
    own = everything - asking
    yield Row(
        "engine's share of a minute: its loop, and the answer with 51 bars",
        f"{loop:.2f} + {asking - loop:.2f} us",
        f"{own:.2f} us run()",
        "",
        None,
        asking / own,
    )


def growing(folder: Path, rounds: int) -> Iterator[Row]:
    """What a minute costs as history and trades grow."""
    for what, algorithm in (
        ("history", ROOT / "algorithms" / "sma_crossover.py"),
        ("trades, one a minute", folder / "eager.py"),
    ):
        taken: dict[int, list[float]] = {years: [] for years in YEARS}
        for _ in range(max(3, rounds // 2)):
            for years in YEARS:
                taken[years].append(1e6 / ours(algorithm, years).pace)
        base = statistics.median(taken[YEARS[0]])
        for years in YEARS[1:]:
            figure = f"a minute of {years} years beside one of 1 year: {what}"
            yield at_most(figure, statistics.median(taken[years]), base, GROWTH, "us")


if __name__ == "__main__":
    run(measure)
