"""What the shelf's tests share: bars in a stocks.db of the test's own, and a card played over them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from database import db_manager, historical_pull, smart_fetch
from database.recorded_files import load_csv_folder
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from orchestra.decision import Decision, parse
from system_databse import system_db_manager
from tests.conftest import Configure

NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused
NOW = "2024-06-04T19:30:02Z"

Bar = dict[str, Any]
Load = Callable[..., list[Bar]]


@pytest.fixture(autouse=True)
def exchange_out_of_reach(configure: Configure) -> Iterator[None]:
    configure(ALPACA_DATA_URL=NOBODY)
    smart_fetch._Exchange.reachable = True
    historical_pull._labels.clear()
    yield


def insert(closes: list[float], spread: float = 0.0) -> None:
    """Store closes of AAPL, the last one newest at NOW; high and low lie ``spread`` around them."""
    last = clock.parse("2024-06-04T19:29:00Z")
    bars = [
        {
            "timestamp": clock.stamp(last - (len(closes) - 1 - n) * MINUTE),
            "open": close,
            "high": close + spread,
            "low": close - spread,
            "close": close,
            "volume": 100,
        }
        for n, close in enumerate(closes)
    ]
    assert db_manager.insert_historical_data("AAPL", bars) == len(closes)


def card(*trades: tuple[str, int, float]) -> int:
    """A card of 10,000 dollars with these transactions, oldest first."""
    algo_id = system_db_manager.create_algorithm("AAPL", "any", 10_000)
    for side, shares, price in trades:
        record = system_db_manager.record_buy if side == "buy" else system_db_manager.record_sell
        record(algo_id, shares, price)
    return algo_id


@pytest.fixture
def recorded(recorded_bars: Path, tmp_path: Path) -> Load:
    """Load recorded days of a ticker into stocks.db: its bars, oldest first."""

    def load(ticker: str, *days: str) -> list[Bar]:
        folder = tmp_path / "recorded" / ticker
        folder.mkdir(parents=True)
        for day in days:
            (folder / f"{day}.csv").symlink_to(recorded_bars / ticker / f"{day}.csv")
        load_csv_folder(folder.parent)
        return db_manager.get_historical_data(
            ticker, f"{days[0]}T00:00:00Z", f"{days[-1]}T23:59:00Z"
        )

    return load


def played(
    algorithm: Any, ticker: str, bars: list[Bar], skip: int, **chosen: float
) -> list[tuple[str, str, int]]:
    """Ask a new object after each bar, fill at its close: (stamp, action, shares) of every trade."""
    algo_id = system_db_manager.create_algorithm(ticker, "any", 10_000)
    trades = []
    for bar in bars[skip:]:
        asked = algorithm(ticker, 10_000)
        for name, value in chosen.items():
            setattr(asked, name, value)
        moment = clock.parse(bar["timestamp"]) + MINUTE
        decision: Decision = parse(asked.run(clock.stamp(moment), algo_id))
        if decision.action != "hold":
            trades.append((bar["timestamp"], decision.action, decision.shares))
            connection = system_db_manager.ledger()
            system_db_manager.insert_transaction(
                connection, algo_id, decision.action, decision.shares, bar["close"], trades[-1][0]
            )
    return trades
