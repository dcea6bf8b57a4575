"""What a new card may take from the account."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestra.base import clock, settings, sqlite
from orchestra.web import broker_desk
from orchestra.web.security import ApiError
from system_databse import card_calculations, system_db_manager

if TYPE_CHECKING:
    from orchestra.alpaca_wrapper import AlpacaWrapper

_wrapper: "AlpacaWrapper | None" = None


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


def wrapper() -> "AlpacaWrapper":
    """Return this process's broker; alpaca-py is imported only when it is first needed."""
    global _wrapper
    if _wrapper is None:
        from orchestra.alpaca_wrapper import AlpacaWrapper

        _wrapper = AlpacaWrapper()
    return _wrapper


def available_cash() -> dict[str, Any]:
    """Ask the broker for the cash and say what of it is free. Raises ExchangeUnavailable."""
    cash = broker_desk.ask("cash", lambda: wrapper().get_account_cash())
    return asdict(_answer(cash, _allocations()))


def create_card(ticker: str, algo_type: str, capital: float) -> int:
    """Add a card if its capital is available, checked and inserted in one transaction.

    Raises ApiError 409 naming rule and shortfall, ExchangeUnavailable.
    """
    cash = broker_desk.ask("cash", lambda: wrapper().get_account_cash())
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        answer = _answer(cash, _allocations())
        if capital > answer.available:
            raise ApiError(
                409,
                "not_enough_cash",
                f"${capital:,.2f} is ${capital - answer.available:,.2f} more than the"
                f" ${answer.available:,.2f} available by the {answer.rule} rule.",
            )
        return system_db_manager.insert_algorithm(connection, ticker, algo_type, capital)


def _allocations() -> Allocations:
    sums = card_calculations.all_card_sums()
    running = system_db_manager.get_all_algorithms("running")
    return Allocations(
        sum(card["initial_capital"] for card in running),
        sum(sums[card["id"]].invested for card in running if card["id"] in sums),
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
