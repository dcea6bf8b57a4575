"""What a card's minute costs through the workers, beside the same run() calls in a plain loop.

Run by hand: .venv/bin/python -m tests.bench.guests. Prints ratios to a floor measured in the same run.
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from algorithms.sma_crossover import Algorithm
from database import db_manager
from orchestra.asking import ask
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, floor_minute, nyse
from orchestra.base.settings import Settings
from orchestra.runner import AlgorithmRunner
from system_databse import system_db_manager
from tests.exchange_fixture import change, set_clock

NOW = "2024-06-04T18:00:02Z"
ROUNDS = 15


def main() -> None:
    for each in fields(Settings):
        os.environ[each.name.upper()] = ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        change(SYSTEM_DB=folder / "s.db", STOCKS_DB=folder / "b.db", LOG_DIR=folder)
        set_clock(NOW)
        with AlgorithmRunner() as runner:
            cards_20, cards_200 = new_cards(20), new_cards(200)
            measure(runner, cards_20, cards_200)
            print(f"all workers and their server together: {workers_pss(runner) / 1024:.0f} MB PSS")


def new_cards(count: int) -> list[dict[str, object]]:
    tickers = [f"T{letter}" for letter in "ABCDEFGHIJ"]
    session = nyse().session_at(clock.now())
    assert session is not None
    for ticker in tickers:
        opening = session.open
        bars = [bar_at(opening + n * MINUTE, n) for n in range(270)]
        db_manager.insert_historical_data(ticker, bars)
    ids = [
        system_db_manager.create_algorithm(tickers[n % 10], "sma_crossover", 1000)
        for n in range(count)
    ]
    return [card for card in system_db_manager.get_all_algorithms() if card["id"] in ids]


def bar_at(moment: object, n: int) -> dict[str, object]:
    price = 100 + (n * 7919 % 101) / 100
    figures = {"open": price, "high": price, "low": price, "close": price, "volume": 100}
    return {"timestamp": clock.stamp(moment), **figures}  # type: ignore[arg-type]


def measure(runner: AlgorithmRunner, few: list, many: list) -> None:  # type: ignore[type-arg]
    minute = floor_minute(clock.now())
    bar_minute = minute - MINUTE

    def through_workers(cards: list) -> Callable[[], object]:  # type: ignore[type-arg]
        return lambda: list(ask(runner, cards, minute, bar_minute))

    def plain(cards: list) -> Callable[[], object]:  # type: ignore[type-arg]
        return lambda: [
            Algorithm(card["ticker"], card["initial_capital"]).run(NOW, card["id"])
            for card in cards
        ]

    work = {
        "20 cards, plain loop": plain(few),
        "20 cards, workers": through_workers(few),
        "200 cards, plain loop": plain(many),
        "200 cards, workers": through_workers(many),
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS + 1):  # interleaved; the first round warms up
        for name, call in work.items():
            started = clock.elapsed()
            call()
            taken[name].append((clock.elapsed() - started) * 1000)
    median = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for name, milliseconds in median.items():
        print(f"{name:24} {milliseconds:8.1f} ms")
    print(f"20 cards: {median['20 cards, workers'] / median['20 cards, plain loop']:.2f}x the loop")
    per_card = {n: median[f"{n} cards, workers"] / n for n in (20, 200)}
    print(f"a card of 200 costs {per_card[200] / per_card[20]:.2f}x a card of 20")


def workers_pss(runner: AlgorithmRunner) -> int:
    """KiB of all workers and the server they are forked from, shared pages counted once."""
    pids = {worker.process.pid for worker in runner._workers}
    parents = {
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids
    }
    total = 0
    for pid in pids | parents:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


if __name__ == "__main__":
    main()
