"""Orders that take long cost nobody a minute but the cards that gave them."""

from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from system_databse import system_db_manager
from tests.conftest import Configure
from tests.processes import running_terminal

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
