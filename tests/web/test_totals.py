"""The sum over every card there ever was, by hand."""

from database import db_manager
from system_databse.system_db_manager import (
    create_algorithm,
    record_buy,
    record_sell,
    stop_algorithm,
)
from tests.exchange_fixture import set_clock
from tests.web.conftest import Api


def test_no_card_is_no_profit(api: Api) -> None:
    assert api.read("/api/algorithms")["totals"] == {"pnl": 0, "today_pnl": 0, "closed": 0}


def test_what_a_stopped_card_made_stays(api: Api) -> None:
    set_clock("2024-06-03T15:00:00Z")
    old = create_algorithm("KO", "sma_crossover", 1_000)
    record_buy(old, 10, 60.0)
    record_sell(old, 10, 57.5)  # -25, all of it yesterday
    stop_algorithm(old)
    sold_today = create_algorithm("F", "sma_crossover", 1_000)
    record_buy(sold_today, 10, 12.0)
    bar("F", "2024-06-03T19:59:00Z", 13.0)
    set_clock("2024-06-04T14:30:00Z")
    record_sell(sold_today, 10, 15.0)  # +30, of it 10 yesterday and 20 today
    stop_algorithm(sold_today)
    never_traded = create_algorithm("V", "sma_crossover", 1_000)
    stop_algorithm(never_traded)
    running = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(running, 50, 100.0)
    kept = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(kept, 10, 101.0)
    stop_algorithm(kept)
    bar("NVDA", "2024-06-04T14:29:00Z", 101.5)  # +75 running, +5 kept
    expected = {"pnl": 85.0, "today_pnl": 100.0, "closed": 3}
    assert api.read("/api/algorithms")["totals"] == expected
    for status in ("running", "stopped", "all"):
        assert api.read(f"/api/algorithms?status={status}")["totals"] == expected


def bar(ticker: str, stamp: str, close: float) -> None:
    db_manager.insert_minute_data(ticker, stamp, close, close, close, close, 100)
