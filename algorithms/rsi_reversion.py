"""Buys what has fallen too fast and sells what has risen too fast, by the relative strength index."""

import sys
from itertools import pairwise

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import card_calculations
from database import db_manager


def units(dollars):
    """Dollars as whole millionths, so that sums and comparisons are exact."""
    return round(dollars * 1_000_000)


class Algorithm:
    title = "RSI reversion"
    description = "Buys when the price has fallen too fast, sells when it has risen too fast."
    parameters = {
        "period": {"default": 14, "min": 2, "max": 200, "title": "RSI over, minutes"},
        "low": {"default": 30, "min": 1, "max": 50, "title": "Buy below RSI"},
        "high": {"default": 70, "min": 50, "max": 99, "title": "Sell above RSI"},
    }

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.period = 14  # the card's own choices are set here afterwards
        self.low = 30
        self.high = 70

    def run(self, current_time, algo_id):
        needed = self.period + 1  # so many closes have one change fewer
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=needed, before_timestamp=current_time
        )
        if len(bars) < needed:
            return ("hold", 0, f"{len(bars)} of {needed} bars")
        closes = [units(bar["close"]) for bar in bars]
        # Plain sums of the last changes (Cutler's RSI): the same bars always give the same figure
        moved = sum(abs(now - before) for before, now in pairwise(closes))
        risen = (moved + closes[-1] - closes[0]) // 2
        reason = f"RSI {100 * risen / moved:.1f}" if moved else "the price stands still"
        shares, cash = self.position(algo_id)
        if shares == 0 and 100 * risen < self.low * moved and cash >= closes[-1]:
            return ("buy", cash // closes[-1], reason)
        if shares > 0 and 100 * risen > self.high * moved:
            return ("sell", shares, reason)
        return ("hold", 0, reason)

    def position(self, algo_id):
        invested = card_calculations.calculate_invested_amount(algo_id)
        cash = units(self.initial_capital) - units(invested)
        return card_calculations.calculate_position(algo_id), cash
