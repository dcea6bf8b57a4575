"""Buys when a short moving average crosses above a long one, sells when it crosses below."""

import sys
from operator import itemgetter

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import card_calculations
from database import db_manager


def units(dollars):
    """Dollars as whole millionths: sums of cents can tie exactly, and floats would miss that."""
    return round(dollars * 1_000_000)


class Algorithm:
    title = "SMA crossover"
    description = "Buys when the short average crosses above the long one, sells when below."
    parameters = {
        "short": {"default": 20, "min": 2, "max": 200, "title": "Short average, minutes"},
        "long": {"default": 50, "min": 3, "max": 390, "title": "Long average, minutes"},
    }

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.short = 20  # the card's own choice is set here afterwards
        self.long = 50

    def run(self, current_time, algo_id):
        if self.short >= self.long:
            return ("hold", 0, "the short average is not shorter than the long one")
        needed = self.long + 1  # one more: the averages of the bar before are needed too
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=needed, before_timestamp=current_time
        )
        if len(bars) < needed:
            return ("hold", 0, f"{len(bars)} of {needed} bars")
        closes = list(map(itemgetter("close"), bars))
        short, long = units(sum(closes[-self.short :])), units(sum(closes[1:]))
        now = self.long * short - self.short * long  # the averages' difference, exact
        # A minute earlier each had one older price in the place of the newest
        short += units(closes[-self.short - 1] - closes[-1])
        long += units(closes[0] - closes[-1])
        before = self.long * short - self.short * long
        if before <= 0 < now and not card_calculations.calculate_position(algo_id):
            affordable = self.cash(algo_id) // units(closes[-1])
            return ("buy", affordable, "crossed above") if affordable else ("hold", 0, "no cash")
        if before >= 0 > now and (shares := card_calculations.calculate_position(algo_id)):
            return ("sell", shares, "crossed below")
        return ("hold", 0, "short above long" if now > 0 else "short below long")

    def cash(self, algo_id):
        invested = card_calculations.calculate_invested_amount(algo_id)
        return units(self.initial_capital) - units(invested)
