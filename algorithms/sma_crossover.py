"""Buys when the 20-minute average crosses above the 50-minute average, sells when it crosses below."""

import sys

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import system_db_manager
from database import db_manager


def units(dollars):
    """Dollars as whole millionths: averages of cents can tie exactly, and floats would miss that."""
    return round(dollars * 1_000_000)


class Algorithm:
    """Moving averages of 20 and 50 closes: in on the cross above, out on the cross below."""

    title = "SMA crossover 20/50"
    description = (
        "Buys when the short average crosses above the long one, sells when it falls below."
    )

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.sma_short = 20
        self.sma_long = 50

    def run(self, current_time, algo_id):
        """Decide on the bars that ended by ``current_time`` (UTC stamp): (action, shares, reason)."""
        needed = self.sma_long + 1  # one more: the averages of the bar before are needed too
        bars = db_manager.get_data_for_algorithm(
            ticker=self.ticker,
            requirement_type="last_n_bars",
            n=needed,
            before_timestamp=current_time,
        )
        if len(bars) < needed:
            return ("hold", 0, f"{len(bars)} of {needed} bars")

        closes = [units(bar["close"]) for bar in bars]
        before, now = self.spread(closes[:-1]), self.spread(closes[1:])
        shares, cash = self.position(algo_id)
        if before <= 0 < now and shares == 0:
            affordable = cash // closes[-1]
            return ("buy", affordable, "crossed above") if affordable else ("hold", 0, "no cash")
        if before >= 0 > now and shares > 0:
            return ("sell", shares, "crossed below")
        return ("hold", 0, "short above long" if now > 0 else "short below long")

    def spread(self, closes):
        """Short average minus long average over the newest closes, times both lengths (exact)."""
        return self.sma_long * sum(closes[-self.sma_short :]) - self.sma_short * sum(
            closes[-self.sma_long :]
        )

    def position(self, algo_id):
        """Shares held and cash left (in units), from this card's own transactions."""
        shares, cash = 0, units(self.initial_capital)
        for transaction in system_db_manager.get_transactions(algo_id):
            signed = transaction["shares"] * (1 if transaction["type"] == "buy" else -1)
            shares += signed
            cash -= signed * units(transaction["price"])
        return shares, cash
