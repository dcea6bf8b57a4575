"""The roadmap's "Phase 3 Testing", line by line; its WebSocket story is in test_websocket.py."""

import re
from pathlib import Path

from orchestra.simulator import Exchange
from orchestra.trading_loop import run_all_algorithms
from system_databse import system_db_manager
from tests.exchange_fixture import OPEN_MARKET
from tests.processes import running_terminal
from tests.web.conftest import close_logs


def decisions(card: int) -> int:
    connection = system_db_manager.ledger()
    found = connection.execute("SELECT count(*) FROM decisions WHERE algorithm_id = ?", (card,))
    return int(found.fetchone()[0])


def test_start_with_market_closed_no_trades(tmp_path: Path, algorithms: Path) -> None:
    """Start with market closed (no trades)"""
    saturday = {
        "MARKET_CLOCK_START": "2024-06-01T15:00:00Z",
        "MARKET_CLOCK_SPEED": 1000,
        "MARKET_CLOCK_SKIP_CLOSED": False,
    }
    card = system_db_manager.create_algorithm("AAPL", "one_share", 10_000)
    with running_terminal(tmp_path, ("exchange", "orchestrator"), **saturday) as terminal:
        terminal.wait_for(
            lambda: terminal.log().count("Market is closed. Sleeping for 15 minutes.") >= 2,
            what="it sleeps again and again",
        )
        terminal.stop("orchestrator")
        assert decisions(card) == 0
        assert system_db_manager.get_transactions(card) == []
        assert terminal.exchange("GET", "/v2/orders?status=all") == []
        assert "cycle started" not in terminal.log()


def test_with_single_algorithm(tmp_path: Path, algorithms: Path) -> None:
    """Test with single algorithm"""
    card = system_db_manager.create_algorithm("AAPL", "one_share", 10_000)
    with running_terminal(
        tmp_path, ("exchange", "orchestrator"), MARKET_CLOCK_START=OPEN_MARKET
    ) as terminal:
        terminal.wait_for(lambda: decisions(card) >= 3, what="three minutes were decided")
        terminal.stop("orchestrator")
        assert [row["shares"] for row in system_db_manager.get_transactions(card)] == [1]
        assert re.search(r"Sleeping for \d+\.\d\d seconds until .*:02\+00:00", terminal.log())


def test_verify_transaction_recording(exchange: Exchange, algorithms: Path) -> None:
    """Verify transaction recording"""
    card = system_db_manager.create_algorithm("AAPL", "round_trip", 10_000)
    run_all_algorithms()
    close_logs()
    (row,) = system_db_manager.get_transactions(card)
    assert (row["type"], row["shares"], row["price"]) == ("buy", 5, 211.54)
    assert row["timestamp"] == "2024-06-04T14:30:05Z"
    (position,) = exchange.account.positions()
    assert (position.symbol, int(position.qty)) == ("AAPL", 5)
    run_all_algorithms()  # the same minute: the card has had its order
    assert len(system_db_manager.get_transactions(card)) == 1


def test_confirm_orchestrator_and_frontend_work_independently(
    tmp_path: Path, algorithms: Path
) -> None:
    """Confirm orchestrator and frontend work independently"""
    with running_terminal(tmp_path, MARKET_CLOCK_START=OPEN_MARKET) as terminal:
        card = terminal.add_card("AAPL", "one_share")["id"]
        terminal.wait_for(lambda: decisions(card) > 0, what="the first decision")
        terminal.kill("api")
        before = decisions(card)
        terminal.wait_for(lambda: decisions(card) > before + 1, what="it goes on without the API")
        terminal.kill("orchestrator")
        terminal.start("api")
        (shown,) = terminal.cards()
        assert (shown["id"], shown["current_shares"]) == (card, 1)
        assert terminal.stop_card(card)["status"] == "stopped"
