"""Buys when the price breaks out of its channel upwards, sells when it falls out below (Donchian)."""

import sys

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import card_calculations
from database import db_manager


def units(dollars):
    """Dollars as whole millionths, so that shares times price is exact."""
    return round(dollars * 1_000_000)


class Algorithm:
    title = "Breakout channel"
    description = "Buys when the price breaks out of its channel upwards, sells when below."
    parameters = {
        "entry": {"default": 60, "min": 2, "max": 390, "title": "Buy above the high of, minutes"},
        "exit": {"default": 30, "min": 2, "max": 390, "title": "Sell below the low of, minutes"},
    }

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.entry = 60  # the card's own choices are set here afterwards
        self.exit = 30

    def run(self, current_time, algo_id):
        shares, cash = self.position(algo_id)
        # Only what this minute needs is asked for: the channel, and the bar that may leave it
        needed = (self.exit if shares else self.entry) + 1
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=needed, before_timestamp=current_time
        )
        if len(bars) < needed:
            return ("hold", 0, f"{len(bars)} of {needed} bars")
        newest = bars.pop()
        close = newest["close"]
        if shares:
            floor = min(bar["low"] for bar in bars)
            if close < floor:
                return ("sell", shares, f"{close:.2f} fell below {floor:.2f}")
            return ("hold", 0, f"{close:.2f} above {floor:.2f}")
        ceiling = max(bar["high"] for bar in bars)
        affordable = cash // units(close)
        if close > ceiling and affordable:
            return ("buy", affordable, f"{close:.2f} rose above {ceiling:.2f}")
        return ("hold", 0, f"{close:.2f}, waits for {ceiling:.2f}")

    def position(self, algo_id):
        invested = card_calculations.calculate_invested_amount(algo_id)
        cash = units(self.initial_capital) - units(invested)
        return card_calculations.calculate_position(algo_id), cash
