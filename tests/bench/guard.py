"""The ratios that hold still on a busy machine, in seconds: what tests/test_ratios.py watches.

Run by hand: .venv/bin/python -m tests.bench.guard; --spread 20 shows how far each moves over 20 runs. What
is compared is processor time, workers included, of the cheapest round of ours and of its floor's: other work
on the machine delays both and adds little to it.
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from flask import Flask, Response

from orchestra.backtest import history
from orchestra.backtest.fills import FillRule
from orchestra.backtest.result import backtest
from orchestra.base import clock, memory
from orchestra.base.settings import ROOT
from orchestra.runner import AlgorithmRunner
from orchestra.subject import Subject
from orchestra.web.app import create_app
from system_databse import create_system_db, system_db_manager
from tests.bench import data, guests
from tests.bench.place import own_place
from tests.bench.rows import Row, at_most, run
from tests.exchange_fixture import change, running_exchange, set_clock

MONTH = 20 * 390  # bars
ROUNDS = 40  # each as short as the work allows, so that some of them are left alone
CARDS = 20
# At most so many times the floor; behind each, the lowest and the highest of twice 20 runs, the machine busy
LIMITS = {
    data.LAST_50.name: 1.4,  # 0.87 to 0.97
    data.PRICE_NOW.name: 2.2,  # 1.47 to 1.57
    data.A_MINUTE.name: 2.1,  # 1.28 to 1.59
    data.A_FRAME.name: 0.9,  # 0.56 to 0.65
    data.A_YEAR.name: 1.9,  # 1.23 to 1.33
    "a backtest of a month, beside its arithmetic": 9.0,  # 4.95 to 6.23
    "asking 20 cards, beside the plain loop": 4.4,  # 2.16 to 2.95
    "a card-minute of 20, beside bare reads and algorithm": 5.8,  # 2.87 to 3.91
    "an unchanged answer of 20 cards, beside the same bytes": 3.5,  # 1.77 to 2.39
}


def measure(quick: bool) -> Iterator[Row]:
    """Yield a row for each of LIMITS; there is no quicker form."""
    for name, (ours, floor) in [*market_data(), *cards(), *answers()]:
        yield at_most(name, ours * 1e6, floor * 1e6, LIMITS[name], "us")


Measured = Iterator[tuple[str, list[float]]]


def market_data() -> Measured:
    """The jobs of tests/bench/data.py over a month of 20 tickers."""
    with own_place() as folder:
        set_clock(data.NOW)
        month = data.bars_of(data.LAST_YEAR)[-MONTH:]
        store = data.new_store(folder, 20, 1, [month])
        floor_file = data.copied(store, folder / "floor.db")
        with closing(data.bare(floor_file)) as floor:
            ours, theirs = data.our_works(store, month), data.bare_works(floor, month)
            for job in ours:
                yield job.name, cheapest([ours[job], theirs[job]], max(1, job.repeats // 20))
        yield "a backtest of a month, beside its arithmetic", cheapest(past_and_floor(month), 1)


def past_and_floor(month: list[data.Bar]) -> list[Callable[[], object]]:
    """The crossover of 20 and 50 over a month, and what it works out each minute in a plain loop."""
    subject = Subject(ROOT / "algorithms" / "sma_crossover.py", "AA", 10_000.0, {})
    sessions = history.sessions_of(clock.parse(str(month[0]["timestamp"])).date(), None)
    found = history.read("AA", sessions, 0, lambda minutes, work: work(lambda done: None))
    closes = [float(bar["close"]) for bar in month]

    def plainly() -> None:
        for n in range(51, len(closes) + 1):
            for last in (closes[n - 51 : n - 1], closes[n - 50 : n]):
                _ = sum(last[-20:]) / 20 > sum(last) / 50

    return [lambda: backtest(subject, found, FillRule()), plainly]


def cards() -> Measured:
    with (
        own_place() as folder,
        running_exchange(MARKET_CLOCK_START=clock.stamp(guests.FIRST_MINUTE)),
        AlgorithmRunner() as runner,
    ):
        guests.create_bars(ROUNDS + 1)
        change(SYSTEM_DB=folder / "cards.db")
        taken = guests.of_cards(runner, guests.new_cards(CARDS), ROUNDS, ProcessorTime())
        low = {name: min(each for each in times if each > 0) / 1e3 for name, times in taken.items()}
        yield "asking 20 cards, beside the plain loop", [low["ask"], low["loop"]]
        what = "a card-minute of 20, beside bare reads and algorithm"
        yield what, [low["cycle"] / CARDS, low["floor"] / CARDS]


def answers() -> Measured:
    """The polled answer in this process, and a route that returns its bytes."""
    with own_place():
        set_clock(clock.stamp(guests.FIRST_MINUTE))
        create_system_db.create_database()
        for ticker in guests.TICKERS * 2:
            system_db_manager.create_algorithm(ticker, "sma_crossover", 1000)
        page = create_app().test_client()
        body = page.get("/api/algorithms").data
        bare = Flask("bare", static_folder=None)
        bare.add_url_rule("/api/algorithms", view_func=lambda: Response(body))
        works = [partial(each.get, "/api/algorithms") for each in (page, bare.test_client())]
        yield "an unchanged answer of 20 cards, beside the same bytes", cheapest(works, 3)


def cheapest(works: list[Callable[[], object]], repeats: int) -> list[float]:
    """Each work's seconds in its cheapest round; the rounds are interleaved, the first warms up."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS + 1):
        for work, times in zip(works, taken, strict=True):
            begun = time.process_time()
            for _ in range(repeats):
                work()
            times.append((time.process_time() - begun) / repeats)
    return [min(times[1:]) for times in taken]


class ProcessorTime:
    """Seconds that this process and its workers have computed.

    Not a number once one of them has been replaced, as a slow one is: that round counts for nothing.
    """

    def __init__(self) -> None:
        self._pids = memory.tree(os.getpid())

    def __call__(self) -> float:
        try:  # clock_getcpuclockid(3): such a clock is named by its process
            return sum(time.clock_gettime(~pid << 3 | 2) for pid in self._pids)
        except OSError:
            self._pids = memory.tree(os.getpid())
            return math.nan


def spread(runs: int) -> None:
    """Print the lowest, the middle and the highest ratio of so many runs."""
    ratios: dict[str, list[float]] = {name: [] for name in LIMITS}
    for _ in range(runs):
        for row in measure(False):
            assert row.ratio is not None
            ratios[row.figure].append(row.ratio)
    for name, found in ratios.items():
        found.sort()
        print(f"{name:58} {found[0]:.2f} {found[len(found) // 2]:.2f} {found[-1]:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--spread"]:
        spread(int(sys.argv[2]))
    else:
        run(measure)
