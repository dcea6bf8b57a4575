"""The roadmap's "Phase 1 Testing", line by line."""

from collections import Counter

from database import db_manager, schema
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock
from orchestra.base.market_calendar import NEW_YORK
from orchestra.simulator import Exchange
from system_databse import card_calculations, system_db_manager
from tests.web.conftest import close_logs, new_api


def test_created_test_algorithm_instance_with_10000_allocation() -> None:
    """Created test algorithm instance with $10,000 allocation"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    row = system_db_manager.get_algorithm(card)
    assert row is not None
    assert (row["id"], row["initial_capital"], row["status"]) == (1, 10000.0, "running")
    assert row["display_name"].startswith("NVDA_sma_crossover_20")


def test_recorded_sample_buy_transaction_50_shares_at_100() -> None:
    """Recorded sample buy transaction (50 shares at $100)"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    assert system_db_manager.record_buy(card, 50, 100.0) == 1
    (row,) = system_db_manager.get_transactions(card)
    assert (row["type"], row["shares"], row["price"]) == ("buy", 50, 100.0)
    assert row["timestamp"].endswith("Z")


def test_verified_position_calculation_shows_50_shares() -> None:
    """Verified position calculation shows 50 shares"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    system_db_manager.record_buy(card, 50, 100.0)
    assert card_calculations.calculate_position(card) == 50


def test_verified_pnl_calculation_with_mock_current_price() -> None:
    """Verified P&L calculation with mock current price"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    system_db_manager.record_buy(card, 50, 100.0)
    shown = card_calculations.get_algorithm_with_calculations(card, 110.0)
    assert shown is not None
    assert (shown["current_value"], shown["pnl"]) == (10500.0, 500.0)


def test_tested_available_cash_calculation_with_multiple_algorithms(exchange: Exchange) -> None:
    """Tested available cash calculation with multiple algorithms"""
    for ticker, capital in (("NVDA", 10_000), ("AAPL", 15_000), ("SPY", 5_000)):
        system_db_manager.create_algorithm(ticker, "sma_crossover", capital)
    stopped = system_db_manager.create_algorithm("F", "sma_crossover", 40_000)
    system_db_manager.stop_algorithm(stopped)
    found = new_api().read("/api/account/cash")
    close_logs()
    assert (found["cash"], found["allocated"], found["available"]) == (100000.0, 30000.0, 70000.0)


def test_alpaca_wrapper_successfully_bought_and_sold_aapl_shares_in_paper_account(
    exchange: Exchange,
) -> None:
    """Alpaca Wrapper Testing: Successfully bought and sold AAPL shares in paper account"""
    wrapper = AlpacaWrapper()
    assert wrapper.validate_ticker("AAPL")
    assert wrapper.get_account_cash() == 100000.0
    assert wrapper.place_market_buy("AAPL", 10) == 211.54
    assert wrapper.get_account_cash() == 97884.6
    assert wrapper.place_market_sell("AAPL", 10) == 211.54
    assert wrapper.get_account_cash() == 100000.0


def test_database_verified_390_bars_per_day_and_no_4_pm_timestamps() -> None:
    """Database Testing: Verified 390 bars per day, no 4:00 PM timestamps"""
    db_manager.initialize_database()
    stamps = [row[0] for row in schema.stocks().execute("SELECT timestamp FROM minutes")]
    assert len(stamps) == 1_273_740
    by_day = Counter(stamp[:10] for stamp in stamps)
    assert len(by_day) == 3266
    assert set(by_day.values()) == {390}
    year = [clock.parse(s).astimezone(NEW_YORK) for s in stamps if s.startswith("2024")]
    times = {f"{moment:%H:%M}" for moment in year}
    assert (min(times), max(times)) == ("09:30", "15:59")
