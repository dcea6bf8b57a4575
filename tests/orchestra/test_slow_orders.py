"""Orders that take long cost nobody a minute but the cards that gave them."""

from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from system_databse import card_calculations, order_journal, system_db_manager
from tests.conftest import Configure
from tests.processes import running_terminal

START_SECONDS = 30.0  # for the processes to be up well before the close
CLOSE, NEXT_OPEN = "2024-06-04T20:00:00Z", "2024-06-05T13:30:00Z"
IN_ITS_MINUTE = """
import card_calculations


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        mine = int(current_time[14:16]) % 3 == algo_id % 3
        return ("buy", 1) if mine else ("hold", 0)
"""


@pytest.fixture
def algorithm(tmp_path: Path, configure: Configure) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "in_its_minute.py").write_text(IN_ITS_MINUTE)
    configure(ALGORITHMS_DIR=folder)


def rows(card: int) -> list[dict[str, Any]]:
    found = system_db_manager.ledger().execute(
        "SELECT * FROM decisions WHERE algorithm_id = ? ORDER BY minute", (card,)
    )
    return [dict(row) for row in found]


def test_orders_that_stay_open_to_the_end_of_their_minute_cost_nobody_the_next_one(
    tmp_path: Path, algorithm: None
) -> None:
    with running_terminal(
        tmp_path, MARKET_CLOCK_START="2024-06-04T14:00:00Z", MARKET_CLOCK_SPEED=40
    ) as terminal:
        cards = [
            terminal.add_card(ticker, "in_its_minute", 10_000)["id"]
            for ticker in ("AAPL", "NVDA", "SPY")
        ]
        terminal.wait_for(lambda: rows(cards[0]), what="the first minute")
        terminal.misbehave("stuck")
        first = clock.stamp(clock.now() + MINUTE)
        last = clock.stamp(clock.now() + 5 * MINUTE)
        terminal.wait_for(lambda: rows(cards[0])[-1]["minute"] > last, what="five minutes more")
        for card in cards:
            reasons = [row["reason"] for row in rows(card) if row["minute"] >= first]
            assert [each for each in reasons if each.startswith("skipped")] == []
            assert "not asked: an order of this card is not settled" in reasons
        terminal.exchange("DELETE", "/_faults")


@pytest.mark.long
def test_an_order_without_an_answer_at_the_close_has_its_end_before_the_next_open(
    tmp_path: Path, algorithm: None
) -> None:
    """Nothing waits overnight: neither the ledger's shares nor the card's next decision."""
    with running_terminal(
        tmp_path,
        MARKET_CLOCK_START="2024-06-04T19:50:00Z",
        MARKET_CLOCK_SPEED=40,
        MARKET_CLOCK_SKIP_CLOSED=False,
        MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp() + START_SECONDS,
    ) as terminal:
        card = terminal.add_card("AAPL", "in_its_minute", 10_000)["id"]
        terminal.misbehave("hang", when="after", path="/v2/orders")
        terminal.wait_for(lambda: order_journal.cards_with_open_orders() == {card})
        terminal.wait_for(lambda: clock.stamp() > CLOSE, 120, "the close")
        # Only then has the look at the close gone by, without an answer
        terminal.wait_for(lambda: "Market is closed" in terminal.log(), 120, "the closed market")
        assert order_journal.cards_with_open_orders() == {card}
        terminal.exchange("DELETE", "/_faults")
        terminal.wait_for(lambda: order_journal.cards_with_open_orders() == set(), 90)
        assert clock.stamp() < NEXT_OPEN
        held = {p["symbol"]: int(p["qty"]) for p in terminal.exchange("GET", "/v2/positions")}
        assert held == {"AAPL": card_calculations.calculate_position(card)}
