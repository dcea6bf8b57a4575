"""What the roadmap's tests share: small algorithms, and bars whose averages cross."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from database import db_manager
from orchestra.simulator import Exchange
from tests.exchange_fixture import change, running_exchange
from tests.one_share import ONE_SHARE

IN_THE_MINUTE = "2024-06-04T14:30:05Z"  # its last bar is due already
ROUND_TRIP = '''"""Buys five shares when it has none, else sells them."""

import card_calculations


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        held = card_calculations.calculate_position(algo_id)
        return ("sell", held) if held else ("buy", 5)
'''


@pytest.fixture
def algorithms(tmp_path: Path) -> Path:
    """A folder with the algorithms ``round_trip`` and ``one_share``."""
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "round_trip.py").write_text(ROUND_TRIP)
    (folder / "one_share.py").write_text(ONE_SHARE)
    change(ALGORITHMS_DIR=folder)
    return folder


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """An exchange whose market stands still five seconds into a minute."""
    with running_exchange(MARKET_CLOCK_START=IN_THE_MINUTE) as running:
        yield running


def insert_closes(ticker: str, closes: list[float]) -> None:
    """Store one bar a minute, the last of them the newest that has ended by 14:30."""
    first = 14 * 60 + 30 - len(closes)
    bars = [
        {
            "timestamp": f"2024-06-04T{(first + n) // 60:02}:{(first + n) % 60:02}:00Z",
            "open": close,
            "high": close,
            "low": close,
            "close": close,
            "volume": 100,
        }
        for n, close in enumerate(closes)
    ]
    assert db_manager.insert_historical_data(ticker, bars) == len(closes)
