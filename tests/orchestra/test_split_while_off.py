"""A terminal that was off over a split, and comes up while the market is closed."""

from pathlib import Path

from database.historical_pull import HistoricalFetcher
from orchestra.base import sqlite
from system_databse import create_system_db, system_db_manager
from tests.exchange_fixture import set_clock
from tests.processes import running_terminal

THE_CUT, THE_LAST_BAR = "2024-06-04T19:00:10Z", "2024-06-04T18:59:00Z"
BACK_AT = "2024-06-05T11:00:00Z"  # 07:00 in New York
SHARES, PRICE = 10, 100.0


def test_shares_of_before_a_split_keep_a_price_of_before_it_until_it_is_followed(
    tmp_path: Path,
) -> None:
    still = {"MARKET_CLOCK_START": THE_CUT, "MARKET_CLOCK_SPEED": 1}
    with running_terminal(tmp_path, ("exchange",), **still) as terminal:
        create_system_db.create_database()
        for ticker in ("NVDA", "AAPL"):
            card = system_db_manager.create_algorithm(ticker, "buy_and_hold", 10_000)
            with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
                system_db_manager.insert_transaction(
                    connection, card, "buy", SHARES, PRICE, "2024-06-04T15:00:00Z"
                )
            HistoricalFetcher().fetch(ticker, "2024-06-03T13:30:00Z", THE_CUT)
        sqlite.close_kept()
        terminal.kill("exchange")
        set_clock(BACK_AT, 1)
        terminal.start("exchange")
        terminal.misbehave("split", symbol="NVDA", day="2024-06-05", ratio=10)
        terminal.start("api", "orchestrator")
        terminal.wait_for(
            lambda: (
                "market is closed"
                in terminal.get("/api/health")["parts"]["orchestrator"]["message"]
            )
        )
        split, other = terminal.cards()
        assert (split["ticker"], split["last_bar_at"], split["price_stale"]) == (
            "NVDA",
            THE_LAST_BAR,
            True,
        )
        assert (other["ticker"], other["last_bar_at"]) == ("AAPL", "2024-06-04T19:59:00Z")
