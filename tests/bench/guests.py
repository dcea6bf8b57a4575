"""What a minute of cards costs: workers beside a plain loop, a cycle beside its bare reads, memory, stats.

Run by hand: .venv/bin/python -m tests.bench.guests [--quick]. Rounds are interleaved and medians compared.
"""

import contextlib
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from algorithms.sma_crossover import Algorithm
from database import db_manager
from database.realtime_pull import RealtimeStreamer
from orchestra import worker
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.asking import ask
from orchestra.audit import Audit
from orchestra.base import clock, memory, settings, sqlite
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.cycle import Cycle
from orchestra.execution import Execution
from orchestra.loader import load_algorithm
from orchestra.runner import AlgorithmRunner
from orchestra.splits import Splits
from orchestra.websocket_manager import WebSocketManager
from orchestra.worker import Task
from system_databse import create_system_db, system_db_manager
from tests.bench.place import own_place
from tests.bench.rows import Row, at_most, run
from tests.exchange_fixture import change, running_exchange, set_clock

FIRST_MINUTE = clock.parse("2024-06-04T18:01:00Z")
TICKERS = ["AAPL", "AMZN", "BAC", "GLD", "GOOGL", "IWM", "JPM", "MSFT", "NVDA", "SPY"]
NEWEST = "SELECT * FROM bars WHERE ticker = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT 1"
SUMS = "SELECT * FROM transactions WHERE algorithm_id = ?"
TABLE = "CREATE TABLE bare (minute TEXT, card INTEGER, PRIMARY KEY (minute, card)) WITHOUT ROWID"
ANSWER = "INSERT INTO bare (card, minute) VALUES (?, ?)"
RUNS = 100
Cards = list[dict[str, Any]]


class NoStream(RealtimeStreamer):
    """A stream that has brought everything: the bars are in stocks.db."""

    def subscribe(self, ticker: str) -> None: ...

    def unsubscribe(self, ticker: str) -> None: ...


def measure(quick: bool) -> Iterator[Row]:
    """Yield the rows of 20 and 200 cards on 10 tickers; a minute of the market for each round."""
    rounds = 15 if quick else 60
    per_card = {}
    with own_place() as folder, running_exchange(MARKET_CLOCK_START=clock.stamp(FIRST_MINUTE)):
        create_bars(rounds + 1)
        with AlgorithmRunner() as runner:
            for count in (20, 200):
                change(SYSTEM_DB=folder / f"{count}-cards.db")
                times = of_cards(runner, new_cards(count), rounds)
                taken = {name: statistics.median(each) for name, each in times.items()}
                per_card[count] = taken["cycle"] / count
                yield from rows_of(count, taken)
            flat = Row(
                "a card of 200 beside a card of 20",
                f"{per_card[200]:.3f} ms",
                f"{per_card[20]:.3f} ms",
                "at most 1.2x",
                per_card[200] <= 1.2 * per_card[20],
                per_card[200] / per_card[20],
            )
            yield flat
            pss = workers_mb(runner)
            yield Row(
                "memory of all workers (PSS)", f"{pss:.0f} MB", "", "at most 120 MB", pss <= 120
            )
        yield from unchanged_file()


def rows_of(count: int, taken: dict[str, float]) -> Iterator[Row]:
    if count == 20:
        yield at_most("20 cards asked, beside the plain loop", taken["ask"], taken["loop"], 3, "ms")
        own = taken["cycle"] - taken["loop"]
        yield Row(
            "the cycle's own work, 20 cards", f"{own:.1f} ms", "", "at most 100 ms", own <= 100
        )
    yield at_most(
        f"a card-minute of {count}, beside bare reads and algorithm",
        taken["cycle"] / count,
        taken["floor"] / count,
        2,
        "ms",
    )


def of_cards(
    runner: AlgorithmRunner,
    cards: Cards,
    rounds: int,
    meter: Callable[[], float] = clock.elapsed,
) -> dict[str, list[float]]:
    """Milliseconds of each kind of work over new minutes, without a first one that warms up.

    ``meter`` returns seconds, by the wall unless told otherwise.
    """
    minute = FIRST_MINUTE
    taken: dict[str, list[float]] = {"loop": [], "ask": [], "floor": [], "cycle": []}
    with cycle_of(runner) as cycle:
        for _ in range(rounds + 1):
            set_clock(clock.stamp(minute + 2 * MINUTE / 60))
            work = {
                "loop": lambda: plain_loop(cards),
                "ask": lambda at=minute: list(ask(runner, cards, at, at - MINUTE)),
                "floor": lambda at=minute: bare(cards, at),
                "cycle": lambda at=minute: cycle.run(at),
            }
            for name, call in work.items():
                taken[name].append(milliseconds(call, meter))
            minute += MINUTE * (2 if minute.minute % 5 == 4 else 1)  # none of those with an audit
    return {name: times[1:] for name, times in taken.items()}


def milliseconds(call: Callable[[], object], meter: Callable[[], float]) -> float:
    started = meter()
    call()
    return (meter() - started) * 1000


def plain_loop(cards: Cards) -> None:
    """The same run() calls in this process, one after the other."""
    now = clock.stamp()
    for card in cards:
        Algorithm(card["ticker"], card["initial_capital"]).run(now, card["id"])


def bare(cards: Cards, minute: datetime) -> None:
    """What no cycle can do without: its reads, the same algorithm, the answers in one transaction."""
    stocks = sqlite.kept(settings.current().stocks_db_path, synchronous="NORMAL")
    ledger = system_db_manager.ledger()
    until = clock.stamp(minute - MINUTE)
    for ticker in {card["ticker"] for card in cards}:
        stocks.execute(NEWEST, (ticker, until)).fetchone()
    for card in cards:
        ledger.execute(SUMS, (card["id"],)).fetchall()
    plain_loop(cards)
    with sqlite.transaction(ledger):
        ledger.executemany(ANSWER, [(card["id"], until) for card in cards])


def new_cards(count: int) -> Cards:
    create_system_db.create_database()
    system_db_manager.ledger().execute(TABLE)
    for n in range(count):
        system_db_manager.create_algorithm(TICKERS[n % len(TICKERS)], "sma_crossover", 1000)
    return system_db_manager.get_all_algorithms()


def create_bars(minutes: int) -> None:
    """A bar for every minute of the session so far, and of those that will be run."""
    session = nyse().session_at(FIRST_MINUTE)
    assert session is not None
    last = FIRST_MINUTE + MINUTE * (2 * minutes)
    for ticker in TICKERS:
        bars, moment = [], session.open
        while moment < min(last, session.close):
            price = 100 + (len(bars) * 7919 % 101) / 100
            figures = dict.fromkeys(("open", "high", "low", "close"), price)
            bars.append({"timestamp": clock.stamp(moment), **figures, "volume": 100})
            moment += MINUTE
        db_manager.insert_historical_data(ticker, bars)


@contextmanager
def cycle_of(runner: AlgorithmRunner) -> Iterator[Cycle]:
    """A cycle as the trading loop puts it together, with the stream silent."""
    with contextlib.redirect_stdout(None):
        wrapper = AlpacaWrapper()
    execution = Execution(wrapper)
    stream = WebSocketManager(NoStream())
    try:
        yield Cycle(execution, Audit(wrapper), Splits(wrapper), runner, stream)
    finally:
        execution.close()


def workers_mb(runner: AlgorithmRunner) -> float:
    """MB of PSS of all workers and the server they are forked from."""
    server = Path(f"/proc/{runner._workers[0].process.pid}/stat").read_text()
    return memory.tree_mb(int(server.rpartition(")")[2].split()[1])) or 0.0


def unchanged_file() -> Iterator[Row]:
    """What running a file costs that has not changed since it was imported."""
    task = Task(1, "sma_crossover", TICKERS[0], 1000.0, clock.stamp(FIRST_MINUTE))
    worker.run(task)
    counted: Counter[str] = Counter()
    counting = True
    sys.addaudithook(lambda event, _: counted.update([event] if counting else []))
    for _ in range(RUNS):
        assert worker.run(task).answer is not None
    counting = False
    again = counted["import"] + counted["exec"]
    yield Row(f"imports in {RUNS} runs of a file", str(again), "", "none", again == 0)
    stat, stats = os.stat, []
    os.stat = lambda *path, **more: stats.append(path) or stat(*path, **more)  # type: ignore
    try:
        load_algorithm("sma_crossover")
    finally:
        os.stat = stat
    yield Row("stats of an unchanged file", str(len(stats)), "", "one", len(stats) == 1)


if __name__ == "__main__":
    run(measure)
