"""A card as the page shows it: the ledger's figures at the newest price, and how far to trust them."""

from typing import Any

from orchestra.valuation import value_cards
from system_databse import (
    card_calculations,
    card_parameters,
    card_states,
    decision_journal,
    order_journal,
    system_db_manager,
)
from system_databse.card_calculations import CardSums, with_calculations

Card = dict[str, Any]


def cards(status: str | None = None) -> list[Card]:
    """Return the cards: by default running ones and stopped ones that still hold shares or may get some.

    ``status`` is None, ``running``, ``stopped`` or ``all``.
    """
    sums = card_calculations.all_card_sums()
    rows = system_db_manager.get_all_algorithms(None if status in (None, "all") else status)
    return _complete(rows if status is not None else _listed(rows, sums), sums)


def on_the_wall() -> list[int]:
    """Return the ids of the running cards and of stopped ones that still hold shares or may get some."""
    rows = system_db_manager.get_all_algorithms()
    return [row["id"] for row in _listed(rows, card_calculations.all_card_sums())]


def card(algo_id: int) -> Card | None:
    """Return one card, None where there is no such card."""
    row = system_db_manager.get_algorithm(algo_id)
    if row is None:
        return None
    return _complete([row], {algo_id: card_calculations.card_sums(algo_id)})[0]


def _listed(rows: list[Card], sums: dict[int, CardSums]) -> list[Card]:
    kept = order_journal.cards_with_open_orders()
    kept |= {algo_id for algo_id, of_card in sums.items() if of_card.shares != 0}
    return [row for row in rows if row["status"] == "running" or row["id"] in kept]


def _complete(rows: list[Card], sums: dict[int, CardSums]) -> list[Card]:
    states = card_states.all_states()
    parameters = card_parameters.all_parameters()
    under_way = order_journal.cards_with_open_orders()
    decisions = decision_journal.last_decisions([row["id"] for row in rows])
    completed = []
    for algo_id, worth in value_cards(rows, sums).items():
        row, of_card, state = worth.card, worth.sums, states.get(algo_id)
        completed.append(
            {
                **with_calculations(row, of_card, worth.price),
                "cash": round(row["initial_capital"] - of_card.invested, 6),
                "invested": of_card.invested,
                "today_pnl": worth.today_pnl,
                "last_bar_at": worth.last_bar_at,
                "price_stale": worth.price_stale,
                "state": state.state if state else row["status"],
                "state_reason": state.reason if state else "",
                "order_open": algo_id in under_way,
                "last_decision": decisions.get(algo_id),
                "parameters": parameters.get(algo_id, {}),
                "spark": worth.spark(),
                "marks": worth.marks(),
            }
        )
    return completed
