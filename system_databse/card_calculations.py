"""What a card is worth: everything shown is computed from its transactions, nothing is stored.

shares        = bought - sold
invested      = cost of buys - proceeds of sells
cash          = initial_capital - invested
current value = shares x price + cash
P&L           = current value - initial_capital
"""

from dataclasses import dataclass
from typing import Any

from system_databse import system_db_manager
from system_databse.ledger_source import Sums
from system_databse.running_sums import RunningSums

_running = RunningSums()


@dataclass(frozen=True)
class CardSums:
    """The sums over one card's transactions; ``invested`` in dollars, net of what sells brought.

    A labelled correction counts in shares and dollars, and is no trade.
    """

    shares: int = 0
    invested: float = 0.0
    trades: int = 0


def card_sums(algo_id: int) -> CardSums:
    """Sum up one card's transactions."""
    return _sums(system_db_manager.get_sums(algo_id))


def all_card_sums() -> dict[int, CardSums]:
    """Return the sums over every card's transactions; cards without any are left out."""
    sums = _running.all(system_db_manager.ledger())
    return {algo_id: _sums(of_card) for algo_id, of_card in sums.items()}


def calculate_position(algo_id: int) -> int:
    """Return the shares a card holds."""
    return card_sums(algo_id).shares


def calculate_trade_count(algo_id: int) -> int:
    """Return how many trades a card has made: its transactions without labelled corrections."""
    return card_sums(algo_id).trades


def calculate_invested_amount(algo_id: int) -> float:
    """Return the dollars a card has put into shares, net of what sells brought back."""
    return card_sums(algo_id).invested


def calculate_cash(algo_id: int) -> float:
    """Return a card's own cash in dollars; below zero after a fill worse than it was checked for."""
    card = system_db_manager.get_algorithm(algo_id)
    capital = 0.0 if card is None else card["initial_capital"]
    return _dollars(capital - card_sums(algo_id).invested)


def calculate_current_value(algo_id: int, current_price: float, initial_capital: float) -> float:
    """Return shares x price + uninvested cash, in dollars."""
    return value_of(card_sums(algo_id), current_price, initial_capital)


def calculate_pnl(current_value: float, initial_capital: float) -> float:
    """Return profit (above zero) or loss, in dollars."""
    return _dollars(current_value - initial_capital)


def value_of(sums: CardSums, price: float, initial_capital: float) -> float:
    """Return what a card with these sums is worth at ``price``, in dollars."""
    return _dollars(sums.shares * price + initial_capital - sums.invested)


def get_algorithm_with_calculations(algo_id: int, current_price: float) -> dict[str, Any] | None:
    """Return a card's row with the figures the page shows, None where there is no such card."""
    algorithm = system_db_manager.get_algorithm(algo_id)
    if algorithm is None:
        return None
    return with_calculations(algorithm, card_sums(algo_id), current_price)


def with_calculations(
    algorithm: dict[str, Any], sums: CardSums, current_price: float
) -> dict[str, Any]:
    """Return ``algorithm`` with the figures of ``sums`` at ``current_price``."""
    value = value_of(sums, current_price, algorithm["initial_capital"])
    return {
        **algorithm,
        "current_shares": sums.shares,
        "trade_count": sums.trades,
        "current_value": value,
        "pnl": calculate_pnl(value, algorithm["initial_capital"]),
        "current_price": current_price,
    }


def _sums(found: Sums) -> CardSums:
    shares, invested, trades = found
    return CardSums(shares, _dollars(invested), trades)


def _dollars(amount: float) -> float:
    # Prices have at most six decimals; what floats add beyond that is noise, not money
    return round(amount, 6)
