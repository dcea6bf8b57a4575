"""Buys in lots as the price falls, and sells each lot on its own once it has made its gain."""

import sys

sys.path.append("..")  # the project's root, where an algorithm is run from its own folder

import system_db_manager
from database import db_manager


def units(dollars):
    return round(dollars * 1_000_000)  # whole millionths: sums and comparisons are exact


class Algorithm:
    title = "Lot by lot"
    description = "Buys a lot at each step down; sells each one a set gain above what it cost."
    parameters = {
        "lots": {"default": 5, "min": 1, "max": 50, "title": "Lots at most"},
        "step": {"default": 1.0, "min": 0.01, "max": 50, "title": "Next lot when down by, %"},
        "gain": {"default": 1.0, "min": 0.01, "max": 100, "title": "Sell a lot when up by, %"},
    }

    def __init__(self, ticker, initial_capital):
        self.ticker = ticker
        self.initial_capital = initial_capital
        self.lots, self.step, self.gain = 5, 1.0, 1.0  # the card's own choices are set afterwards

    def run(self, current_time, algo_id):
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=1, before_timestamp=current_time
        )
        if not bars:
            return ("hold", 0, "no price yet")
        close = units(bars[-1]["close"])
        lots, cash = self.open_lots(system_db_manager.get_transactions(algo_id))
        up, down = 10_000 + round(100 * self.gain), 10_000 - round(100 * self.step)
        due = [lot for lot in lots if close * 10_000 >= lot[0] * up]  # the cheapest ones, if any
        if due:
            sold = " and ".join(f"the {price / 1e6:.2f} lot" for price, _ in due)
            return ("sell", sum(shares for _, shares in due), f"gained: {sold}")
        if len(lots) < self.lots and (not lots or close * 10_000 <= lots[-1][0] * down):
            affordable = min(cash, units(self.initial_capital) // self.lots) // close
            return ("buy", affordable, "next lot") if affordable else ("hold", 0, "no cash")
        return ("hold", 0, f"{len(lots)} open lots")

    def open_lots(self, transactions):
        """What is left of each buy as (price, shares), dearest first, and the cash left."""
        lots, cash = [], units(self.initial_capital)
        for each in reversed(transactions):  # oldest first
            price, shares = units(each["price"]), each["shares"]
            cash -= price * shares * (1 if each["type"] == "buy" else -1)
            if each["type"] == "buy":
                lots = sorted([*lots, (price, shares)], reverse=True)
            while each["type"] == "sell" and shares:
                price, lot = lots.pop()  # the cheapest: it is the one that reaches its gain first
                lots += [(price, lot - shares)] if lot > shares else []
                shares -= min(lot, shares)
        return lots, cash
