"""Market data tests: a market clock that stands where the test wants it, and an exchange nobody hears."""

from collections.abc import Callable, Iterator

import pytest

from database import historical_pull, smart_fetch
from tests.conftest import Configure

NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused

At = Callable[[str], None]


@pytest.fixture(autouse=True)
def exchange_out_of_reach(configure: Configure) -> Iterator[None]:
    configure(ALPACA_DATA_URL=NOBODY)
    smart_fetch._Exchange.reachable = True
    historical_pull._labels.clear()
    yield


@pytest.fixture
def at(configure: Configure) -> At:
    """Set the market clock to a stamp; from there it runs in real time."""

    def set_clock(stamp: str) -> None:
        configure(MARKET_CLOCK_START=stamp)

    return set_clock


def bar(stamp: str, close: float = 10.0, volume: int = 100) -> dict[str, object]:
    return {
        "timestamp": stamp,
        "open": close,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": volume,
    }
