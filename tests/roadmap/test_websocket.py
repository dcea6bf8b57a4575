"""The roadmap's "WebSocket Testing": its eight steps in order, on real processes."""

from pathlib import Path
from typing import Any

from system_databse import system_db_manager
from tests.exchange_fixture import OPEN_MARKET
from tests.processes import Terminal, running_terminal


def changes(terminal: Terminal) -> list[tuple[list[str], list[str]]]:
    """What the exchange has noted: tickers added to and removed from the subscription, in order."""
    log: list[dict[str, Any]] = terminal.exchange("GET", "/_subscriptions")["log"]
    noted = [(event["added"], event["removed"]) for event in log]
    return [each for each in noted if each != ([], [])]


def test_websocket_opens_for_the_first_card_and_closes_with_the_last(tmp_path: Path) -> None:
    """Start orchestrator with one algorithm · Verify WebSocket opens for that ticker · Add second
    algorithm with same ticker · Verify WebSocket stays open · Stop first algorithm · Verify WebSocket
    still open · Stop second algorithm · Verify WebSocket closes"""
    first = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)

    def cycles(of: int) -> int:
        connection = system_db_manager.ledger()
        rows = connection.execute("SELECT count(*) FROM decisions WHERE algorithm_id = ?", (of,))
        return int(rows.fetchone()[0])

    # 1. Start orchestrator with one algorithm
    with running_terminal(tmp_path, MARKET_CLOCK_START=OPEN_MARKET) as terminal:
        # 2. Verify WebSocket opens for that ticker
        terminal.wait_for(lambda: terminal.subscribed() == ["AAPL"], what="AAPL is streamed")
        # 3. Add second algorithm with same ticker
        second = terminal.add_card("AAPL")["id"]
        terminal.wait_for(lambda: cycles(second) > 0, what="the second card was asked")
        # 4. Verify WebSocket stays open
        assert changes(terminal) == [(["AAPL"], [])]  # and was not opened a second time
        # 5. Stop first algorithm
        terminal.stop_card(first)
        seen = cycles(second)
        terminal.wait_for(lambda: cycles(second) > seen + 1, what="a whole cycle without the first")
        # 6. Verify WebSocket still open
        assert terminal.subscribed() == ["AAPL"]
        assert changes(terminal) == [(["AAPL"], [])]
        # 7. Stop second algorithm
        terminal.stop_card(second)
        # 8. Verify WebSocket closes
        terminal.wait_for(lambda: terminal.subscribed() == [], what="nothing is streamed")
        connections = terminal.exchange("GET", "/_subscriptions")["connections"]
        assert connections == 0
