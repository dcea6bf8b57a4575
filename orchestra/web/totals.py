"""What all cards ever made together: a card that was stopped and sold takes nothing with it."""

from typing import Any

from orchestra.valuation import traded_today, value_cards
from system_databse import card_calculations, system_db_manager


def totals(shown: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ``pnl`` and ``today_pnl`` in dollars over ``shown`` (every card that runs, holds shares or
    may get some) and the ``closed`` ones, whose number it gives.
    """
    sums = card_calculations.all_card_sums()
    stopped = system_db_manager.get_all_algorithms("stopped")
    active = {card["id"] for card in shown}
    closed = [card for card in stopped if card["id"] not in active]
    # Without shares a card's profit is what its sells brought more than its buys cost
    earned = -sum(sums[card["id"]].invested for card in closed if card["id"] in sums)
    traded = traded_today()
    today = value_cards([card for card in closed if card["id"] in traded], sums)
    return {
        "pnl": round(sum(card["pnl"] for card in shown) + earned, 6),
        "today_pnl": round(
            sum(card["today_pnl"] for card in shown)
            + sum(worth.today_pnl for worth in today.values()),
            6,
        ),
        "closed": len(closed),
    }
