"""What a new card may take from the account."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestra.base import clock, settings, sqlite
from orchestra.money import amount
from orchestra.web import broker_desk
from orchestra.web.security import ApiError
from system_databse import (
    card_calculations,
    card_parameters,
    labels,
    order_journal,
    system_db_manager,
)

if TYPE_CHECKING:
    from orchestra.account_reader import AccountReader


@dataclass(frozen=True)
class Allocations:
    """Dollars that running cards were given, and how much of it is in shares."""

    allocated: float
    invested: float


@dataclass(frozen=True)
class CashAnswer:
    """``available`` by the rule in force; ``uncommitted`` by the other way of counting."""

    available: float
    cash: float
    allocated: float
    invested: float
    uncommitted: float
    rule: str
    as_of: str


def broker() -> "AccountReader":
    """Return what the page asks the broker through.

    Imported where it is needed: a wall that is only looked at needs no broker. The import takes a fifth of
    a second; alpaca-py's whole would take three times that and 47 MB more, for pandas.
    """
    from orchestra.account_reader import AccountReader

    return AccountReader()


def available_cash() -> dict[str, Any]:
    """Ask the broker for the cash and say what of it is free. Raises ExchangeUnavailable."""
    cash, _ = _ask_cash()
    return asdict(_answer(cash, _allocations()))


def create_card(
    ticker: str, algo_type: str, capital: float, parameters: dict[str, int | float]
) -> int:
    """Add a card if its capital is available, checked and inserted in one transaction.

    Raises ApiError 409 naming rule and shortfall, ExchangeUnavailable.
    """
    cash, before = _ask_cash()
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        _hold_still(before)
        answer = _answer(cash, _allocations())
        if capital > answer.available:
            raise _too_much(capital, answer.available)
        algo_id = system_db_manager.insert_algorithm(connection, ticker, algo_type, capital)
        card_parameters.insert(connection, algo_id, parameters)
        return algo_id


def change_capital(algo_id: int, capital: float) -> None:
    """Change a running card's allocation, up by what is available, down by at most its free cash.

    Raises ApiError 409 saying by how much it is too much, ExchangeUnavailable.
    """
    cash, before = _ask_cash()
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        card = system_db_manager.get_algorithm(algo_id)
        if card is None or card["status"] != "running":
            raise ApiError(409, "not_running", "Only a running card's capital can be changed.")
        if algo_id in order_journal.cards_with_open_orders():
            raise ApiError(
                409, "order_open", "This card has an order under way: try again in a moment."
            )
        change = capital - card["initial_capital"]
        if change > 0:
            _hold_still(before)
        available = _answer(cash, _allocations()).available
        free = card["initial_capital"] - card_calculations.card_sums(algo_id).invested
        if change > max(available, 0.0):
            raise _too_much(change, available)
        if -change > free + 1e-6:
            raise ApiError(
                409,
                "not_enough_free_cash",
                f"{amount(-change)} is {amount(-change - free)} more than this card's free cash of"
                f" {amount(free)}; the rest is in shares.",
            )
        connection.execute(
            "UPDATE algorithm_instances SET initial_capital = ? WHERE id = ?", (capital, algo_id)
        )
        note = f"{card['initial_capital']:.2f} -> {capital:.2f}"
        labels.add(connection, algo_id, labels.CAPITAL, note)


@dataclass(frozen=True)
class _Before:
    """The ledger before the broker was asked for the cash."""

    newest_transaction: int
    allocated: float


def _ask_cash() -> tuple[float, _Before]:
    def call() -> tuple[float, _Before]:
        before = _Before(system_db_manager.newest_transaction_id(), _allocations().allocated)
        return broker().get_account_cash(), before

    cash, before = broker_desk.ask("cash", call)
    return cash, before


def _hold_still(before: _Before) -> None:
    """Refuse where cash and ledger may lie on two sides of a fill: its dollars would be given out twice.

    By the strict rule only a card that is stopped and whose last order ends counts then.
    """
    moves = _allocations().allocated < before.allocated
    if settings.current().allocation_rule == "net":
        moves |= system_db_manager.newest_transaction_id() != before.newest_transaction
        moves |= bool(order_journal.open_orders())
    if moves:
        raise ApiError(
            409,
            "order_open",
            "What cards hold back changes at the moment, an order is under way: try again shortly.",
        )


def _too_much(asked: float, available: float) -> ApiError:
    rule = settings.current().allocation_rule
    return ApiError(
        409,
        "not_enough_cash",
        f"{amount(asked)} is {amount(asked - available)} more than the {amount(available)} available"
        f" by the {rule} rule.",
    )


def _allocations() -> Allocations:
    sums = card_calculations.all_card_sums()
    # A card stopped with an order under way keeps its allocation until that is done
    under_way = order_journal.cards_with_open_orders()
    holding = [
        card
        for card in system_db_manager.get_all_algorithms()
        if card["status"] == "running" or card["id"] in under_way
    ]
    return Allocations(
        sum(card["initial_capital"] for card in holding),
        sum(sums[card["id"]].invested for card in holding if card["id"] in sums),
    )


def _answer(cash: float, given: Allocations) -> CashAnswer:
    rule = settings.current().allocation_rule
    strict = round(cash - given.allocated, 2)
    uncommitted = round(cash - (given.allocated - given.invested), 2)
    return CashAnswer(
        available=strict if rule == "strict" else uncommitted,
        cash=cash,
        allocated=given.allocated,
        invested=round(given.invested, 2),
        uncommitted=uncommitted,
        rule=rule,
        as_of=clock.stamp(),
    )
