"""Capital that is taken away after a card was held against it, and before its order is sent, is not spent."""

from pathlib import Path

from orchestra.base import clock
from orchestra.trading_loop import run_all_algorithms
from system_databse import card_calculations, decision_journal, system_db_manager
from tests.exchange_fixture import change, running_exchange

BUYER = """
class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        return ("buy", 100)
"""
# The owner's change of capital, at the very moment when it is on record what the card wants
CHANGE = """
CREATE TRIGGER change AFTER INSERT ON decisions WHEN NEW.awaits BEGIN
    UPDATE algorithm_instances SET initial_capital = {capital} WHERE id = NEW.algorithm_id;
END
"""


def test_a_fill_within_the_cushion_never_takes_cash_below_zero(tmp_path: Path) -> None:
    (tmp_path / "buyer.py").write_text(BUYER)
    change(ALGORITHMS_DIR=tmp_path)
    with running_exchange(
        MARKET_CLOCK_START="2024-06-04T14:30:05Z",
        ORDER_CUSHION_BPS=50,
        SIMULATOR_SLIPPAGE_BPS=20,
    ) as exchange:
        price = float(exchange.market.newest("F", clock.now()).close)
        card = system_db_manager.create_algorithm("F", "buyer", 100 * price * 1.006)
        # Enough for the price that was checked, and not for one that is 0.2 % worse
        system_db_manager.ledger().execute(CHANGE.format(capital=100 * price * 1.001))
        run_all_algorithms()
        assert card_calculations.calculate_cash(card) >= 0
        assert system_db_manager.get_transactions(card) == []
        [decision], _ = decision_journal.page(card, None, 10)
        assert decision["reason"].startswith("not sent: the card's cash is ")
