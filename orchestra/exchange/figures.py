"""Reads what an exchange has written: a figure is taken as it should be or not at all.

Everything raises ValueError with what was expected, which ``answering`` turns into ExchangeUnavailable:
a broken exchange must neither stop the trader nor make it believe in a cash of NaN dollars.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./-]*")  # of a stock, an option, a coin
LARGEST = 1e15  # beyond it a float no longer holds every whole number


def mapping(answer: Any) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(answer, Mapping):
        raise ValueError(f"expected a JSON object, was {type(answer).__name__}")
    return answer


def rows(answer: Any) -> list[Mapping[str, Any]]:
    """Return a list of JSON objects."""
    if not isinstance(answer, list):
        raise ValueError(f"expected a list, was {type(answer).__name__}")
    return [mapping(row) for row in answer]


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, was {_short(value)}")
    return value


def symbol(value: Any) -> str:
    """Return the symbol of whatever the account may hold."""
    if SYMBOL.fullmatch(text(value)) is None:
        raise ValueError(f"expected a symbol, was {_short(value)}")
    return str(value)


def side(value: Any) -> str:
    """Return an order's side."""
    if value not in ("buy", "sell"):
        raise ValueError(f"expected buy or sell, was {_short(value)}")
    return str(value)


def number(value: Any) -> float:
    """Return a finite number, written as one or as text, as Alpaca writes money and shares."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected a number, was {_short(value)}")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number, was {_short(value)}") from None
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise ValueError(f"expected a number of a sensible size, was {_short(value)}")
    return found


def price(value: Any) -> float:
    """Return a price in dollars, above zero."""
    found = number(value)
    if found <= 0:
        raise ValueError(f"expected a price above zero, was {found:g}")
    return found


def shares(value: Any) -> int:
    """Return a number of shares of zero or more; what is beyond whole ones is cut off."""
    found = number(value)
    if found < 0:
        raise ValueError(f"expected shares, was {found:g}")
    return int(found)


def moment(value: Any) -> datetime:
    """Return a moment, aware UTC, from RFC 3339 with up to nanoseconds."""
    try:
        found = datetime.fromisoformat(text(value))
        if found.tzinfo is None:
            raise ValueError("no zone")
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a moment with its zone, was {_short(value)}") from None


def _short(value: Any) -> str:
    shown = repr(value) if not isinstance(value, int) or abs(value) < LARGEST else "a huge number"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
