"""Buys once and keeps: the yardstick that every other algorithm has to beat. The smallest example."""

import sys

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import system_db_manager
from database import db_manager


class Algorithm:
    title = "Buy and hold"
    description = "Buys once, as many whole shares as its money gives, and keeps them."
    parameters = {
        "invest": {"default": 100, "min": 1, "max": 100, "title": "Part of the money to invest, %"}
    }

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.invest = 100  # the card's own choice is set here afterwards

    def run(self, current_time, algo_id):
        # An object lives for one minute: that it has bought is known from its transactions alone
        if system_db_manager.get_transactions(algo_id):
            return ("hold", 0, "bought, and keeps")
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=1, before_timestamp=current_time
        )
        if not bars:
            return ("hold", 0, "no price yet")
        # Dollars as whole millionths: 10000 // 0.1 is 99999 shares in floats
        price = round(bars[-1]["close"] * 1_000_000)
        affordable = round(self.initial_capital * 1_000_000) * self.invest // 100 // price
        if affordable == 0:
            return ("hold", 0, "not enough money for one share")
        return ("buy", affordable, f"the one purchase, at {bars[-1]['close']:.2f}")
