"""What a backtest costs: beside rivals over the same minutes, beside the algorithm's run(), and as it grows.

Run by hand: tests/bench/backtest.sh, which installs the rivals first; without it they are left out. Beside
rivals rounds are interleaved, each in a fresh process, and medians compared: same bars, same crossover of 20
and 50. Parts of a minute and growth are CPU time of the engine alone, interleaved, the least of all rounds.
"""

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.backtest import history
from orchestra.backtest.command import RARELY
from orchestra.backtest.history import History
from orchestra.backtest.play import Wishes, play
from orchestra.base import clock, settings
from orchestra.base.settings import ROOT
from orchestra.subject import Subject
from tests.bench import past_minutes
from tests.bench.past_minutes import NOW, QUARTER, TICKER, YEAR, sessions_of
from tests.bench.place import own_place
from tests.bench.rows import Row, at_least, at_most, run
from tests.exchange_fixture import set_clock

HERE = Path(__file__).parent / "rivals"
CROSSOVER = ROOT / "algorithms" / "sma_crossover.py"
LENGTHS = (1, 3, 7)  # years, or quarters where it has to be quick
MOST_MB = 150
GROWTH, GROWTH_ROUNDS = 1.10, 3
# By package: its script, and how many times faster the engine has to be
RIVALS = {
    "backtesting": ("backtesting_py.py", 1.2),
    "nautilus_trader": ("nautilus.py", 5.0),
    "backtrader": ("backtrader_bt.py", 7.0),
    "zipline-reloaded": ("zipline_reloaded.py", 25.0),
}
FIRST, *SLOW = RIVALS
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
    rounds, step = (3, QUARTER) if quick else (5, YEAR)
    with own_place(ALPACA_DATA_URL="http://127.0.0.1:9") as folder:
        set_clock(NOW)
        files = past_minutes.write(folder, max(YEAR, LENGTHS[-1] * step))
        for name, body in ALGORITHMS.items():
            (folder / f"{name}.py").write_text(f"{HEAD}        {body}\n")
            os.utime(folder / f"{name}.py", (0, 0))
        own = yield from beside_the_first(files[YEAR], rounds)
        yield from beside_the_slow(files, own, quick)
        yield from memory()
        gc.set_threshold(RARELY)  # as the command does
        yield from beside_run(folder, rounds)
        yield from growing(folder, step)


def command(*more: str) -> list[str]:
    """The command itself over a year, as an owner runs it."""
    first, last = sessions_of(YEAR)[0].day, sessions_of(YEAR)[-1].day
    named = ["backtest", "sma_crossover", TICKER, "--start", str(first), "--end", str(last)]
    return [sys.executable, "-m", "orchestra", *named, "--json", *more]


def ours(*more: str) -> Run:
    output, seconds = process(command(*more))
    found = json.loads(output)
    return Run(found["bars"] / found["took"]["seconds"], seconds)


def least() -> float:
    """Seconds of a process that does only what none could leave out."""
    sessions = sessions_of(YEAR)
    span = clock.stamp(sessions[0].open), clock.stamp(sessions[-1].close)
    stored = settings.current().stocks_db_path
    script = str(HERE.parent / "least.py")
    return process([sys.executable, script, str(CROSSOVER), str(stored), TICKER, *span])[1]


def rival(package: str, bars: Path) -> Run | None:
    """A rival's process; None where it is not installed."""
    python = Path(os.environ.get("AUTOTRADER_RIVALS", "none"), package, "bin", "python")
    if not python.exists():
        return None
    started = [str(python), str(HERE / RIVALS[package][0]), str(bars)]
    output, seconds = process(
        started, ZIPLINE_ROOT=str(bars.parent / f"zipline-{bars.stem}"), PYTHONPATH=""
    )
    found = json.loads(output.splitlines()[-1])
    return Run(found["bars"] / found["engine"], seconds)


def process(started: list[str], **environment: str) -> tuple[str, float]:
    """Its output, and its seconds by the wall; compiled files are kept from one round to the next."""
    begun = clock.elapsed()
    done = subprocess.run(
        started,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return done.stdout, clock.elapsed() - begun


def beside_the_first(bars: Path, rounds: int) -> Generator[Row, None, float]:
    """Returns our own median pace. The first round is dropped: it fills the caches."""
    plain, full, floor, theirs = [], [], [], []
    for _ in range(rounds + 1):
        plain.append(ours("--no-research"))
        full.append(ours())
        floor.append(least())
        found = rival(FIRST, bars)
        if found is not None:
            theirs.append(found)
    pace = statistics.median(each.pace for each in plain[1:] + full[1:])
    if not theirs:
        yield Row(f"engine beside {FIRST}", f"{pace:,.0f} bars/s", "not installed", "", None)
        return pace
    their_pace = statistics.median(each.pace for each in theirs[1:])
    limit = RIVALS[FIRST][1]
    yield at_least(f"engine beside {FIRST}", pace / 1000, their_pace / 1000, limit, "k bars/s")
    their_whole = whole(theirs[1:])
    for what, runs in (
        ("the same measures printed, Sharpe and its like by pandas", full),
        ("ours with --no-research, its own measures in all", plain),
    ):
        seconds = whole(runs[1:])
        yield Row(
            f"whole process beside {FIRST}: {what}",
            f"{seconds:.2f} s",
            f"{their_whole:.2f} s",
            f"{WHOLE:g}x faster",
            their_whole / seconds >= WHOLE,
            their_whole / seconds,
        )
    bare = statistics.median(floor[1:])
    figure = f"whole process beside {FIRST}: Python, the rows and the file's run() alone"
    yield Row(figure, f"{bare:.2f} s", f"{their_whole:.2f} s", "", None, their_whole / bare)
    return pace


def whole(runs: list[Run]) -> float:
    return statistics.median(each.whole for each in runs)


def beside_the_slow(files: dict[int, Path], pace: float, quick: bool) -> Iterator[Row]:
    """The quick form gives them a quarter's minutes; else that is the round that fills their caches."""
    for name in SLOW:
        found = rival(name, files[QUARTER])
        if found is None:
            yield Row(f"engine beside {name}", f"{pace:,.0f} bars/s", "not installed", "", None)
            continue
        runs = [found]
        if not quick:
            runs = [each for each in [rival(name, files[YEAR])] if each is not None]
        their_pace = statistics.median(each.pace for each in runs)
        figure = f"engine beside {name}{', a quarter' * quick}"
        yield at_least(figure, pace / 1000, their_pace / 1000, RIVALS[name][1], "k bars/s")
        if not quick:
            yield Row(f"whole process of {name}", f"{whole(runs):.2f} s", "", "", None)


def memory() -> Iterator[Row]:
    for what, more in (("", ()), (", --no-research", ("--no-research",))):
        peak = peak_mb(command(*more))
        figure = f"peak memory of a year of one ticker{what}"
        yield Row(figure, f"{peak:.0f} MB", "", f"at most {MOST_MB} MB", peak <= MOST_MB)


def peak_mb(started: list[str]) -> float:
    """Peak of a command, told by a small process: a child's own peak begins with its parent's."""
    ask = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL, check=True);"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    return float(process([sys.executable, "-c", ask, *started])[0])


def past(sessions: int) -> History:
    return history.read(
        TICKER, sessions_of(sessions), 0, lambda minutes, work: work(lambda _: None)
    )


def cost(algorithm: Path, found: History) -> float:
    """CPU microseconds of the engine in a minute, from the first one to the last."""
    marks: list[float] = []

    def mark(_: object) -> None:
        spent = resource.getrusage(resource.RUSAGE_SELF)
        marks.append(spent.ru_utime + spent.ru_stime)

    subject = Subject(algorithm, TICKER, 10_000.0, {})
    wishes = Wishes(started=mark, progress=mark)
    done = play(subject, found.past, lambda: history.askings(found), wishes)
    return 1e6 * (marks[-1] - marks[0]) / done.asked


def beside_run(folder: Path, rounds: int) -> Iterator[Row]:
    """A minute of the crossover in parts: the loop alone, the loop with its question, all of it."""
    paths = (folder / "nothing.py", folder / "asks.py", CROSSOVER)
    found = past(QUARTER)
    taken = [[cost(path, found) for path in paths] for _ in range(rounds)]
    loop, asking, everything = map(min, zip(*taken, strict=True))
    own = everything - asking
    yield Row(
        "engine's share of a minute: its loop, and the answer with 51 bars",
        f"{loop:.2f} + {asking - loop:.2f} us",
        f"{own:.2f} us run()",
        "",
        None,
        asking / own,
    )


def growing(folder: Path, step: int) -> Iterator[Row]:
    """What a minute costs as history and trades grow."""
    unit = "quarter" if step == QUARTER else "year"
    pasts = {length: past(step * length) for length in LENGTHS}
    for what, algorithm in (
        ("history", CROSSOVER),
        ("trades, one a minute", folder / "eager.py"),
    ):
        taken = [[cost(algorithm, pasts[n]) for n in LENGTHS] for _ in range(GROWTH_ROUNDS)]
        base, *longer = map(min, zip(*taken, strict=True))
        for length, least in zip(LENGTHS[1:], longer, strict=True):
            figure = f"a minute of {length} {unit}s beside one of 1 {unit}: {what}"
            yield at_most(figure, least, base, GROWTH, "us")


if __name__ == "__main__":
    run(measure)
