"""The figures, against values worked out by hand."""

from typing import Any

import pytest

from orchestra.backtest.engine import Trade
from orchestra.backtest.fills import FillRule
from orchestra.backtest.measures import buy_and_hold, equity, max_drawdown, measures, win_rate
from tests.backtest.conftest import DAY, minutes, row

CLOSES = [10.0, 12.0, 9.0, 9.0, 15.0, 12.0]
ROWS = [row(stamp, close, close - 1) for stamp, close in zip(minutes(DAY, 6), CLOSES, strict=True)]


def trade(kind: str, shares: int, price: float, ended: int) -> Trade:
    return Trade(ROWS[ended - 1][0], "", kind, shares, price, ended)


def test_equity_follows_each_trade_from_its_next_bar_on() -> None:
    trades = [trade("buy", 10, 12.0, 2), trade("sell", 4, 9.0, 4), trade("sell", 6, 15.0, 5)]
    found = equity(ROWS, 0, trades, 200.0)
    assert found.values == [200.0, 200.0, 170.0, 170.0, 206.0, 206.0]
    assert (found.end_cash, found.end_shares, found.bars_held) == (206.0, 0, 3)
    told = measures(found, trades, 200.0)
    assert told["return"] == pytest.approx(0.03)
    assert told["max_drawdown"] == pytest.approx(-0.15)
    assert (told["trades"], told["win_rate"], told["exposure"]) == (3, 0.5, 0.5)


def test_a_trade_on_the_last_bar_counts_in_the_end() -> None:
    found = equity(ROWS, 0, [trade("buy", 10, 12.5, 6)], 200.0)
    assert found.values == [200.0] * 5 + [195.0]
    assert (found.end_cash, found.end_shares) == (75.0, 10)


def test_the_warm_up_has_no_equity() -> None:
    found = equity(ROWS, 2, [trade("buy", 2, 9.0, 3)], 100.0)
    assert found.values == [100.0, 100.0, 112.0, 106.0]


def test_the_first_peak_is_the_capital() -> None:
    assert max_drawdown([90.0, 95.0, 99.0], 100.0) == pytest.approx(-0.1)
    assert max_drawdown([110.0, 88.0, 120.0, 114.0], 100.0) == pytest.approx(-0.2)
    assert max_drawdown([100.0, 101.0], 100.0) == 0.0


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        ([], None),
        ([("buy", 1, 5.0)], None),
        ([("buy", 1, 5.0), ("sell", 1, 5.0)], 0.0),  # nothing gained is no win
        ([("buy", 1, 5.0), ("buy", 3, 9.0), ("sell", 2, 8.5), ("sell", 2, 7.9)], 0.5),
    ],
)
def test_a_sell_wins_above_the_average_cost(trades: list[Any], expected: float | None) -> None:
    assert win_rate([Trade("", "", *each, 1) for each in trades]) == expected


def test_buy_and_hold_goes_all_in_after_the_first_bar() -> None:
    [bought] = buy_and_hold(ROWS, 0, 105.0, FillRule("close"))
    assert (bought.shares, bought.price) == (10, 10.0)
    [bought] = buy_and_hold(ROWS, 0, 105.0, FillRule("open"))
    assert (bought.shares, bought.price) == (9, 11.0)
    assert buy_and_hold(ROWS, 0, 9.0, FillRule("close")) == []


@pytest.mark.parametrize(
    ("rule", "side", "minute", "bps", "price"),
    [
        ("close", "buy", 3, 0, 9.0),
        ("open", "buy", 3, 0, 8.0),
        ("open", "buy", 4, 0, 9.0),  # nothing trades in that minute
        ("close", "buy", 3, 5, 9.0045),
        ("close", "sell", 3, 5, 8.9955),
        ("open", "sell", 3, 12.5, 7.99),
    ],
)
def test_the_price_of_a_fill(rule: str, side: str, minute: int, bps: float, price: float) -> None:
    assert FillRule(rule, bps).price(side, ROWS, 3, minutes(DAY, 6)[minute]) == price


def test_a_price_never_slips_to_nothing() -> None:
    assert FillRule("close", 10_000).price("sell", ROWS, 1, "") == 0.0001
