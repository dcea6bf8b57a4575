"""What a run was worth: its equity, and the figures that need no extra package.

Shares of one are fractions: 0.031 is 3.1 %. Money is dollars.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from database.bars import Row
from orchestra.backtest.engine import Trade
from orchestra.backtest.fills import CLOSE, FillRule
from system_databse.past_ledger import UNITS

BASIC = ("return", "max_drawdown", "trades", "win_rate", "exposure")


@dataclass(frozen=True)
class Equity:
    """Worth at the end of each bar, and what was left when all was done."""

    values: list[float]
    bars_held: int  # at whose end there were shares
    end_cash: float
    end_shares: int

    @property
    def end(self) -> float:
        return self.values[-1]


def equity(rows: list[Row], offset: int, trades: Iterable[Trade], capital: float) -> Equity:
    """Follow a card's worth over the rows from ``offset`` on.

    A trade counts from the bar after the one it was decided on; at the very end every trade counts.
    """
    closes = list(map(itemgetter(CLOSE), rows))
    values: list[float] = []
    cash, shares, held, position = round(capital * UNITS), 0, 0, offset
    for trade in trades:
        values += _worth(closes[position : trade.ended], cash, shares)
        held += (trade.ended - position) * bool(shares)
        position = trade.ended
        signed = trade.shares if trade.type == "buy" else -trade.shares
        cash, shares = cash - signed * round(trade.price * UNITS), shares + signed
    values += _worth(closes[position:], cash, shares)
    held += (len(closes) - position) * bool(shares)
    values[-1:] = _worth(closes[-1:], cash, shares)
    return Equity(values, held, cash / UNITS, shares)


def _worth(closes: list[float], cash: int, shares: int) -> list[float]:
    dollars = cash / UNITS
    return [dollars + shares * close for close in closes] if shares else [dollars] * len(closes)


def buy_and_hold(rows: list[Row], offset: int, capital: float, fill: FillRule) -> list[Trade]:
    """The yardstick: all in after the first bar, by the same rule, and kept."""
    following = rows[offset + 1][0] if len(rows) > offset + 1 else ""
    price = fill.price("buy", rows, offset + 1, following)
    shares = round(capital * UNITS) // round(price * UNITS)
    bar = rows[offset][0]
    return [Trade(bar, bar, "buy", shares, price, offset + 1)] if shares else []


def measures(found: Equity, trades: list[Trade], capital: float) -> dict[str, Any]:
    """Return, worst fall from a peak, number of trades, part of the sells that won, part of the time held.

    A sell wins where its price is above the average price paid for the shares held; without a sell the
    win rate is None.
    """
    return {
        "return": found.end / capital - 1,
        "max_drawdown": max_drawdown(found.values, capital),
        "trades": len(trades),
        "win_rate": win_rate(trades),
        "exposure": found.bars_held / len(found.values),
    }


def max_drawdown(values: list[float], capital: float) -> float:
    """The deepest fall below an earlier peak (the capital is the first), as a fraction below zero."""
    peak, lowest, floor = capital, 1.0, capital
    for value in values:
        if value < floor:
            lowest, floor = value / peak, value
        elif value > peak:
            peak, floor = value, value * lowest
    return lowest - 1


def win_rate(trades: list[Trade]) -> float | None:
    """The part of the sells that brought more than the average cost of what was held."""
    shares, cost, sells, won = 0, 0.0, 0, 0
    for trade in trades:
        if trade.type == "buy":
            shares, cost = shares + trade.shares, cost + trade.shares * trade.price
            continue
        average = cost / shares
        sells, won = sells + 1, won + (trade.price > average + 1e-9)
        shares, cost = shares - trade.shares, cost - trade.shares * average
    return won / sells if sells else None
