"""The roadmap's "Phase 2 Testing", line by line, on the owner's first algorithm."""

import pytest

from algorithms.sma_crossover import Algorithm
from database import db_manager
from orchestra.base import clock
from orchestra.simulator import Exchange
from system_databse import system_db_manager
from tests.exchange_fixture import OPEN_MARKET, change, set_clock
from tests.roadmap.conftest import insert_closes

NOBODY = "http://127.0.0.1:9"  # the discard port: connections are refused


@pytest.fixture
def card() -> int:
    return system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)


def test_run_single_algorithm_in_isolation(exchange: Exchange, card: int) -> None:
    """Run single algorithm in isolation"""
    action, shares, reason = Algorithm("AAPL", 10_000).run(clock.stamp(), card)
    assert (action, shares) == ("hold", 0)
    assert reason in ("short above long", "short below long")


def test_verify_data_requirements_work_with_smart_fetching(exchange: Exchange) -> None:
    """Verify data requirements work with smart fetching"""
    bars = db_manager.get_data_for_algorithm("AAPL", "last_n_bars", n=500)
    assert len(bars) == 500  # more than a session: the days before were fetched too
    assert bars[-1]["timestamp"] == "2024-06-04T14:29:00Z"
    assert bars[-1]["close"] == 211.54
    span = {"start": "2024-05-31T13:30:00Z", "end": "2024-05-31T19:59:00Z"}
    bars = db_manager.get_data_for_algorithm("AAPL", "time_range", **span)
    assert (len(bars), bars[0]["timestamp"]) == (390, "2024-05-31T13:30:00Z")
    known = ("2024-06-03T13:30:00Z", "2024-06-04T14:29:00Z")
    assert db_manager.check_data_exists("AAPL", *known) == []


@pytest.mark.parametrize(
    ("closes", "held", "expected"),
    [
        ([100.0] * 59 + [101.0], 0, ("buy", 99, "crossed above")),  # 10,000 // 101
        ([100.0] * 59 + [99.0], 7, ("sell", 7, "crossed below")),
        ([100.0] * 59 + [101.0], 7, ("hold", 0, "short above long")),  # it has its shares
        ([100.0] * 59 + [99.0], 0, ("hold", 0, "short below long")),  # nothing to sell
        ([100.0] * 50, 0, ("hold", 0, "50 of 51 bars")),
    ],
)
def test_buy_and_sell_decisions(
    card: int, closes: list[float], held: int, expected: tuple[str, int, str]
) -> None:
    """Test buy/sell decisions"""
    set_clock(OPEN_MARKET)
    change(ALPACA_DATA_URL=NOBODY)  # what is stored must do
    insert_closes("AAPL", closes)
    if held:
        system_db_manager.record_buy(card, held, 100.0)
    assert Algorithm("AAPL", 10_000).run(OPEN_MARKET, card) == expected


def test_algorithms_internal_data_fetching(exchange: Exchange, card: int) -> None:
    """Test algorithm's internal data fetching"""
    assert db_manager.get_latest_price("AAPL") is None
    Algorithm("AAPL", 10_000).run(clock.stamp(), card)
    assert db_manager.get_latest_price("AAPL") == 211.54
    assert db_manager.count_bars("AAPL", "2024-06-03T13:30:00Z", OPEN_MARKET) >= 51
