"""Measures of the trade, from a library: only where the research requirements are installed."""

import math
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from orchestra.backtest.engine import Trade
from orchestra.backtest.measures import Equity
from orchestra.backtest.result import Result
from orchestra.base.errors import BadInput

if TYPE_CHECKING:
    import pandas

SESSIONS_A_YEAR = 252
FEWEST_SESSIONS = 2  # for figures of daily returns


def require(package: str, what: str) -> None:
    """Raise BadInput with what to do where a package of the research requirements is missing."""
    if find_spec(package) is None:
        raise BadInput(
            f"{what} needs the package {package}:"
            " .venv/bin/pip install --require-hashes -r requirements-research.txt"
        )


def add_to(result: Result) -> None:
    """Add what empyrical computes from daily returns, the same for buy and hold; without it, nothing."""
    days = [stamp[:10] for stamp in result.stamps]
    sessions = len(set(days))  # those it went through
    if sessions < FEWEST_SESSIONS or find_spec("empyrical") is None:
        return
    capital = result.subject.capital
    own = _daily_returns(days, result.equity, capital)
    yardstick = _daily_returns(days, result.yardstick, capital)
    kept = result.measures.pop("buy_and_hold")
    turnover = _turnover(result.run.trades, result.equity, sessions)
    result.measures |= _of(own, yardstick) | {"turnover": turnover}
    result.measures["buy_and_hold"] = kept | _of(yardstick, yardstick)


def _daily_returns(days: list[str], found: Equity, capital: float) -> "pandas.Series[float]":
    """From each session's last worth to the next one's; the first from the capital."""
    import pandas

    closing = dict(zip(days, found.values, strict=True))  # a day's last value stays
    worth = pandas.Series([capital, *closing.values()])
    returns = worth.pct_change().iloc[1:]
    returns.index = pandas.DatetimeIndex(list(closing))
    return returns


def _of(returns: "pandas.Series[float]", yardstick: "pandas.Series[float]") -> dict[str, Any]:
    """empyrical's figures, a year of 252 sessions, no interest; None where they are not defined."""
    empyrical = _empyrical()
    figures = {
        "cagr": empyrical.cagr(returns),
        "volatility": empyrical.annual_volatility(returns),
        "sharpe": empyrical.sharpe_ratio(returns),
        "sortino": empyrical.sortino_ratio(returns),
        "calmar": empyrical.calmar_ratio(returns),
        "alpha": empyrical.alpha(returns, yardstick),
        "beta": empyrical.beta(returns, yardstick),
    }
    return {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}


class _LeftOut(ModuleType):
    """In the place of a module and of all that is in it."""

    def __getattr__(self, name: str) -> "_LeftOut":
        if name.startswith("__"):
            raise AttributeError(name)
        return _LeftOut(name)


@cache
def _empyrical() -> ModuleType:
    """empyrical without scipy, which it takes for figures that are not ours: 60 MB and a second."""
    if "empyrical" in sys.modules or "scipy" in sys.modules:  # an algorithm's doing
        return import_module("empyrical")
    sys.modules["scipy"] = _LeftOut("scipy")
    try:
        return import_module("empyrical")
    finally:
        del sys.modules["scipy"]


def _turnover(trades: list[Trade], found: Equity, sessions: int) -> float:
    """How often a year the mean worth was bought and sold again."""
    traded = sum(trade.shares * trade.price for trade in trades) / 2
    mean = sum(found.values) / len(found.values)
    return traded / mean * SESSIONS_A_YEAR / sessions
