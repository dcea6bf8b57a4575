"""The real trader on an exchange that talks nonsense for ten minutes: it goes on, the ledger is right."""

from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from system_databse import card_calculations, system_db_manager
from tests.processes import Terminal, running_terminal

TICKERS = ("AAPL", "MSFT")
WELL_MINUTES = 3


def decisions() -> dict[int, dict[str, str]]:
    """What is on record for each card and minute."""
    found: dict[int, dict[str, str]] = {}
    rows = system_db_manager.ledger().execute("SELECT algorithm_id, minute, action FROM decisions")
    for row in rows:
        found.setdefault(row["algorithm_id"], {})[row["minute"]] = row["action"]
    return found


def newest_minute() -> str:
    return min((max(of_card) for of_card in decisions().values()), default="")


def pass_minutes(terminal: Terminal, number: int) -> None:
    """Wait until every card has something on record for so many more minutes."""
    until = clock.stamp(clock.parse(newest_minute()) + number * MINUTE)
    terminal.wait_for(lambda: newest_minute() >= until, 60 + 5 * number, f"the cycle of {until}")


def held(terminal: Terminal) -> dict[str, int]:
    rows = terminal.exchange("GET", "/v2/positions")
    return {row["symbol"]: int(row["qty"]) for row in rows}


def in_ledger() -> dict[str, int]:
    found: dict[str, int] = {}
    for card in system_db_manager.get_all_algorithms():
        shares = card_calculations.calculate_position(card["id"])
        if shares:
            found[card["ticker"]] = found.get(card["ticker"], 0) + shares
    return found


@pytest.mark.parametrize(
    ("broken_minutes", "seed"),
    [(10, 4), pytest.param(150, 11, marks=pytest.mark.long)],
)
def test_the_loop_goes_on_and_the_ledger_is_right(
    tmp_path: Path, broken_minutes: int, seed: int
) -> None:
    for ticker in TICKERS:
        system_db_manager.create_algorithm(ticker, "lot_by_lot", 50_000)
    with running_terminal(tmp_path, ("exchange", "orchestrator")) as terminal:
        terminal.wait_for(lambda: len(decisions()) == len(TICKERS), 60, "every card was asked")
        first = newest_minute()
        process = terminal.orchestrator.pid
        terminal.misbehave("garble", path="/v", seed=seed)
        terminal.misbehave("garble_stream", seed=seed)
        pass_minutes(terminal, broken_minutes)
        garbled = {
            fault["name"]: fault["hits"] for fault in terminal.exchange("GET", "/_faults")["faults"]
        }
        terminal.exchange("DELETE", "/_faults")
        pass_minutes(terminal, WELL_MINUTES)
        terminal.wait_for(
            lambda: in_ledger() == held(terminal) != {}, 60, "ledger and broker agree"
        )
        assert min(garbled["garble"], garbled["garble_stream"]) > 3
        assert (terminal.orchestrator.pid, terminal.orchestrator.poll()) == (process, None)
        # alpaca-py logs what broke its stream itself
        ours = [line for line in terminal.log().splitlines() if " ERROR autotrader" in line]
        assert ours == []
        last = newest_minute()
    minutes = (clock.parse(last) - clock.parse(first)) // MINUTE + 1
    for of_card in decisions().values():
        assert sum(first <= minute <= last for minute in of_card) == minutes
