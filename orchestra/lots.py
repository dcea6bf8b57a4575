"""FIFO lots: which bought shares each sale parted with, and what was gained. Pure; reads nothing."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from system_databse import labels

NOISE = 0.005  # dollars
Transaction = Mapping[str, Any]


@dataclass(frozen=True)
class Lot:
    """Shares still held. ``shares`` may be a fraction of one after a split; ``price`` in dollars."""

    bought_at: str
    shares: Fraction
    price: float


@dataclass(frozen=True)
class Sale:
    """Shares of one lot that were sold. A correction's ``kind`` is its label, an order's is empty.

    What was sold without ever having been bought here has no ``bought_at``, ``buy_price`` and ``gain``.
    """

    sold_at: str
    shares: Fraction
    sell_price: float
    bought_at: str | None
    buy_price: float | None
    kind: str

    @property
    def gain(self) -> float | None:
        """Dollars gained (above zero) or lost, before taxes and fees."""
        if self.buy_price is None:
            return None
        return round(float(self.shares) * (self.sell_price - self.buy_price), 6)


def fifo(
    transactions: Iterable[Transaction], kinds: Mapping[int, str]
) -> tuple[list[Sale], list[Lot]]:
    """Match one card's transactions, oldest first; returns its sales and the lots still held.

    ``kinds`` names the labelled corrections by transaction id. A labelled pair that sells everything
    and buys it back at equal value (a split) is no sale: the lots keep their day and what they cost.
    What a split's pair buys back for less has sold a fraction: the cash that was paid in lieu.
    """
    lots: deque[Lot] = deque()
    sales: list[Sale] = []
    rows = list(transactions)
    at = 0
    while at < len(rows):
        row, following = rows[at], rows[at + 1] if at + 1 < len(rows) else None
        if following is not None and _is_restatement(row, following, kinds):
            in_lieu = _fraction_sold(row, following)
            ratio = (following["shares"] + in_lieu) / row["shares"]
            lots = deque(
                Lot(lot.bought_at, lot.shares * ratio, lot.price / float(ratio)) for lot in lots
            )
            sales += _sell(lots, {**following, "shares": in_lieu}, kinds[row["id"]])
            at += 2
            continue
        if row["type"] == "buy":
            lots.append(Lot(row["timestamp"], Fraction(row["shares"]), row["price"]))
        else:
            sales += _sell(lots, row, kinds.get(row["id"], ""))
        at += 1
    return sales, list(lots)


def _is_restatement(sell: Transaction, buy: Transaction, kinds: Mapping[int, str]) -> bool:
    kind = kinds.get(sell["id"])
    return (
        kind is not None
        and kinds.get(buy["id"]) == kind
        and (sell["type"], buy["type"]) == ("sell", "buy")
        and (kind == labels.SPLIT or abs(_worth(sell) - _worth(buy)) < NOISE)
    )


def _fraction_sold(sell: Transaction, buy: Transaction) -> Fraction:
    """The new shares that a pair sells and does not buy back."""
    left = _worth(sell) - _worth(buy)
    return Fraction(left / buy["price"]).limit_denominator(10**6) if left > NOISE else Fraction(0)


def _worth(row: Transaction) -> float:
    return float(row["shares"] * row["price"])


def _sell(lots: deque[Lot], row: Transaction, kind: str) -> list[Sale]:
    sales, left = [], Fraction(row["shares"])
    while left > 0:
        lot = lots.popleft() if lots else Lot("", left, 0.0)
        taken = min(left, lot.shares)
        left -= taken
        known = lot.bought_at != ""
        sales.append(
            Sale(
                row["timestamp"],
                taken,
                row["price"],
                lot.bought_at if known else None,
                lot.price if known else None,
                kind,
            )
        )
        if lot.shares > taken:
            lots.appendleft(Lot(lot.bought_at, lot.shares - taken, lot.price))
    return sales
