"""Reads what a request asks for; whatever makes no sense is refused with a sentence."""

import re
from typing import Any

from flask import request

from orchestra import catalog
from orchestra.base.tickers import is_ticker
from orchestra.parameters import chosen, declared
from orchestra.subject import LARGEST_CAPITAL
from orchestra.web import cards
from orchestra.web.security import ApiError

WHOLE_FORM = re.compile(r"[1-9][0-9]{0,17}")  # fits SQLite's 64 bits
LARGEST_ID = 2**63 - 1  # SQLite's


def ticker_of(body: dict[str, Any]) -> str:
    """Return the ticker in capitals."""
    ticker = body.get("ticker")
    if not isinstance(ticker, str) or not is_ticker(ticker.strip().upper()):
        raise ApiError(400, "bad_input", "Expected ticker as letters and dots, like NVDA or BRK.B.")
    return ticker.strip().upper()


def algorithm_of(body: dict[str, Any]) -> str:
    """Return the algorithm's name."""
    algo_type = body.get("algorithm_type")
    if not isinstance(algo_type, str) or not algo_type:
        raise ApiError(400, "bad_input", "Expected algorithm_type, the name of an algorithm.")
    return algo_type


def capital_of(body: dict[str, Any]) -> float:
    """Return the capital in dollars."""
    capital = body.get("initial_capital")
    if isinstance(capital, bool) or not isinstance(capital, (int, float)):
        raise ApiError(400, "bad_input", "Expected initial_capital as a number of dollars.")
    if not 0 < capital <= LARGEST_CAPITAL:  # NaN is neither
        raise ApiError(
            400, "bad_input", "Expected initial_capital above zero and at most 10^12 dollars."
        )
    return float(capital)


def parameters_of(body: dict[str, Any], algo_type: str) -> dict[str, int | float]:
    """Return a value for each parameter that the algorithm, which must be there and run, declares."""
    found = catalog.find(algo_type)
    if found is None:
        raise ApiError(404, "no_such_algorithm", f"There is no algorithm named {algo_type}.")
    if found.error is not None:
        raise ApiError(
            422, "broken_algorithm", f"{algo_type} cannot run: {found.error.rstrip('.')}."
        )
    return chosen(declared(found.parameters), body.get("parameters"))


def card_or_404(algo_id: int) -> dict[str, Any]:
    """Return the card as the page shows it."""
    found = cards.card(algo_id) if algo_id <= LARGEST_ID else None
    if found is None:
        raise ApiError(404, "not_found", "Algorithm not found")
    return found


def whole_argument(name: str) -> int | None:
    """Return a whole number above zero from the address; None where it is not given."""
    text = request.args.get(name)
    if text is None:
        return None
    if not WHOLE_FORM.fullmatch(text):
        raise ApiError(400, "bad_input", f"Expected {name} as a whole number above zero.")
    return int(text)
