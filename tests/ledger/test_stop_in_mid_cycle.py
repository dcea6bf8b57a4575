"""A stop-and-sell that comes while its card's minute is being prepared sells its shares only once."""

from pathlib import Path

import pytest

from orchestra.trading_loop import run_all_algorithms
from system_databse import card_calculations, card_states, system_db_manager
from tests.exchange_fixture import change, running_exchange, set_clock

SELLER = """
import card_calculations


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        held = card_calculations.calculate_position(algo_id)
        return ("sell", held) if held else ("buy", 10)
"""
# The owner's tap, at the very moment when it is on record who is not asked in this minute
TAP = """
CREATE TRIGGER tap AFTER INSERT ON decisions WHEN NEW.action = 'skipped' BEGIN
    UPDATE algorithm_instances SET status = 'stopped', stopped_at = NEW.minute WHERE id = {card};
    INSERT OR REPLACE INTO card_state (algorithm_id, state, reason, since)
    VALUES ({card}, 'stopping', 'Its shares are being sold.', NEW.minute);
END
"""


@pytest.fixture
def seller(tmp_path: Path) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "seller.py").write_text(SELLER)
    change(ALGORITHMS_DIR=folder)


def test_its_shares_are_sold_once(seller: None) -> None:
    with running_exchange(MARKET_CLOCK_START="2024-06-04T14:30:05Z"):
        stopped = system_db_manager.create_algorithm("F", "seller", 10_000)
        other = system_db_manager.create_algorithm("F", "seller", 10_000)
        run_all_algorithms()
        assert card_calculations.calculate_position(stopped) == 10
        card_states.set_state(other, "paused", "by hand")
        system_db_manager.ledger().execute(TAP.format(card=stopped))
        set_clock("2024-06-04T14:31:05Z")
        run_all_algorithms()
        # What it had decided is not sent any more; its shares are sold in the next minute
        assert card_calculations.calculate_position(stopped) == 10
        assert card_calculations.calculate_position(other) == 10
        set_clock("2024-06-04T14:32:05Z")
        run_all_algorithms()
        trades = system_db_manager.get_transactions(stopped)
        assert [(row["type"], row["shares"]) for row in reversed(trades)] == [
            ("buy", 10),
            ("sell", 10),
        ]
        assert stopped not in card_states.all_states()
