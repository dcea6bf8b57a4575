"""The roadmap's functions on system.db, and what they refuse."""

import math
import re
import sqlite3
import subprocess
import sys

import pytest

import system_databse
from orchestra.base import settings
from orchestra.base.errors import AutoTraderError, BadInput, NotFound, SettingsError
from system_databse import card_calculations, create_system_db, system_db_manager

STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def everything() -> list[str]:
    connection = system_db_manager.get_connection()
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_the_roadmaps_tables_are_there_to_the_letter() -> None:
    connection = system_db_manager.get_connection()
    columns = {
        table: [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
        for table in ("algorithm_instances", "transactions", "system_config")
    }
    assert columns == {
        "algorithm_instances": [
            "id",
            "display_name",
            "algorithm_type",
            "ticker",
            "initial_capital",
            "status",
            "created_at",
            "stopped_at",
        ],
        "transactions": ["id", "algorithm_id", "type", "shares", "price", "timestamp"],
        "system_config": ["key", "value"],
    }
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    connection.close()
    assert system_db_manager.get_pin() == "2020"


def test_the_schema_itself_refuses_what_makes_no_sense() -> None:
    system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    connection = system_db_manager.get_connection()
    for statement in (
        "INSERT INTO transactions VALUES (NULL, 99, 'buy', 1, 1.0, '2024-06-04T14:30:00Z')",
        "INSERT INTO transactions VALUES (NULL, 1, 'short', 1, 1.0, '2024-06-04T14:30:00Z')",
        "INSERT INTO transactions VALUES (NULL, 1, 'buy', 0, 1.0, '2024-06-04T14:30:00Z')",
        "UPDATE algorithm_instances SET status = 'paused'",
        "UPDATE algorithm_instances SET initial_capital = 0",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def test_a_card_lives_and_stops(configure) -> None:
    configure(MARKET_CLOCK_START="2024-06-04T14:30:22Z", MARKET_CLOCK_SPEED="0.001")
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    assert system_db_manager.get_algorithm(algo_id) == {
        "id": 1,
        "display_name": "NVDA_sma_crossover_20240604_143022",
        "algorithm_type": "sma_crossover",
        "ticker": "NVDA",
        "initial_capital": 10000.0,
        "status": "running",
        "created_at": "2024-06-04T14:30:22Z",
        "stopped_at": None,
    }
    assert [card["id"] for card in system_db_manager.get_all_algorithms("running")] == [1]
    assert system_db_manager.stop_algorithm(algo_id) is True
    assert system_db_manager.stop_algorithm(algo_id) is False
    assert system_db_manager.stop_algorithm(99) is False
    stopped = system_db_manager.get_all_algorithms("stopped")
    assert [card["stopped_at"] for card in stopped] == ["2024-06-04T14:30:22Z"]
    assert system_db_manager.get_all_algorithms("running") == []
    assert len(system_db_manager.get_all_algorithms()) == 1
    assert system_db_manager.get_algorithm(99) is None


def test_a_ticker_is_kept_in_capitals() -> None:
    algo_id = system_db_manager.create_algorithm("brk.b", "sma_crossover", 1000)
    found = system_db_manager.get_algorithm(algo_id)
    assert found is not None and found["ticker"] == "BRK.B"


def test_the_roadmaps_card_is_worth_what_the_roadmap_says() -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000.0)
    system_db_manager.record_buy(algo_id, 100, 150.50)
    system_db_manager.record_buy(algo_id, 50, 145.25)
    system_db_manager.record_sell(algo_id, 25, 155.75)
    assert card_calculations.calculate_position(algo_id) == 125
    assert card_calculations.calculate_trade_count(algo_id) == 3
    # 100 x 150.50 + 50 x 145.25 - 25 x 155.75
    assert card_calculations.calculate_invested_amount(algo_id) == 18418.75
    assert card_calculations.calculate_current_value(algo_id, 152.0, 10000.0) == 10581.25
    assert card_calculations.calculate_pnl(10581.25, 10000.0) == 581.25
    card = card_calculations.get_algorithm_with_calculations(algo_id, 152.0)
    assert card is not None
    assert list(card)[-5:] == [
        "current_shares",
        "trade_count",
        "current_value",
        "pnl",
        "current_price",
    ]
    assert (card["current_shares"], card["trade_count"], card["pnl"]) == (125, 3, 581.25)
    assert card_calculations.get_algorithm_with_calculations(99, 152.0) is None


def test_without_a_price_an_empty_card_breaks_even() -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    card = card_calculations.get_algorithm_with_calculations(algo_id, 0.0)
    assert card is not None
    assert (card["pnl"], card["current_value"]) == (0.0, 10000.0)


def test_cents_do_not_drift() -> None:
    algo_id = system_db_manager.create_algorithm("T", "sma_crossover", 1000)
    for _ in range(1000):
        system_db_manager.record_buy(algo_id, 1, 0.1)
        system_db_manager.record_sell(algo_id, 1, 0.3)
    assert card_calculations.calculate_invested_amount(algo_id) == -200.0


def test_transactions_are_newest_first_then_by_id(configure) -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    configure(MARKET_CLOCK_START="2024-06-04T14:31:00Z", MARKET_CLOCK_SPEED="0.001")
    system_db_manager.record_buy(algo_id, 1, 10)
    system_db_manager.record_sell(algo_id, 1, 11)
    configure(MARKET_CLOCK_START="2024-06-04T14:30:00Z")
    system_db_manager.record_buy(algo_id, 2, 12)
    rows = system_db_manager.get_transactions(algo_id)
    assert [(row["type"], row["timestamp"]) for row in rows] == [
        ("sell", "2024-06-04T14:31:00Z"),
        ("buy", "2024-06-04T14:31:00Z"),
        ("buy", "2024-06-04T14:30:00Z"),
    ]
    assert all(STAMP.fullmatch(row["timestamp"]) for row in rows)
    assert set(rows[0]) == {"id", "algorithm_id", "type", "shares", "price", "timestamp"}


@pytest.mark.parametrize("shares", [0, -3, 1.5, math.nan, math.inf, "5", None, True])
def test_shares_that_make_no_sense_leave_the_ledger_as_it_was(shares: object) -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    before = everything()
    for record in (system_db_manager.record_buy, system_db_manager.record_sell):
        with pytest.raises(BadInput, match="whole number of shares"):
            record(algo_id, shares, 10.0)  # type: ignore[arg-type]
    assert everything() == before


@pytest.mark.parametrize("price", [0, -1.0, math.nan, math.inf, "10", None])
def test_prices_and_capital_must_be_above_zero(price: object) -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    before = everything()
    with pytest.raises(BadInput, match="price"):
        system_db_manager.record_buy(algo_id, 1, price)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="initial_capital"):
        system_db_manager.create_algorithm("NVDA", "sma_crossover", price)  # type: ignore[arg-type]
    assert everything() == before


def test_unknown_cards_and_empty_names_are_refused() -> None:
    before = everything()
    with pytest.raises(NotFound, match="99"):
        system_db_manager.record_buy(99, 1, 1.0)
    for ticker in ("", "  ", None):
        with pytest.raises(BadInput, match="ticker"):
            system_db_manager.create_algorithm(ticker, "sma_crossover", 1.0)  # type: ignore[arg-type]
    for ticker in ("../etc", "A B", "TOOLONGTICKER", "1X"):
        with pytest.raises(BadInput, match="Expected a ticker"):
            system_db_manager.create_algorithm(ticker, "sma_crossover", 1.0)
    with pytest.raises(BadInput, match="algorithm"):
        system_db_manager.create_algorithm("NVDA", "", 1.0)
    with pytest.raises(BadInput, match="running or stopped"):
        system_db_manager.get_all_algorithms("paused")
    assert everything() == before


def test_creating_the_database_again_loses_nothing() -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    system_db_manager.record_buy(algo_id, 1, 10.0)
    before = everything()
    script = [sys.executable, "system_databse/create_system_db.py"]
    result = subprocess.run(script, capture_output=True, text=True, check=True, cwd=settings.ROOT)
    assert "is ready" in result.stdout
    assert everything() == before


def test_a_database_from_the_future_is_refused() -> None:
    path = create_system_db.create_database()
    connection = system_db_manager.get_connection()
    connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(SettingsError, match="newer version"):
        create_system_db.create_database(path)


def test_bare_and_dotted_imports_are_one_module() -> None:
    assert sys.modules["system_db_manager"] is system_databse.system_db_manager
    assert sys.modules["card_calculations"] is card_calculations


def test_a_worker_can_read_but_not_write(monkeypatch: pytest.MonkeyPatch) -> None:
    algo_id = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10000)
    monkeypatch.setattr(system_db_manager._source, "read_only", True)
    assert system_db_manager.get_transactions(algo_id) == []
    with pytest.raises(AutoTraderError, match="does not write the ledger"):
        system_db_manager.record_buy(algo_id, 1, 10.0)
    connection = system_db_manager.get_connection()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM transactions")
    connection.close()
