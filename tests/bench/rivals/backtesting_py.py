"""The crossover on backtesting.py: python backtesting_py.py BARS.csv prints what it took as JSON."""

import json
import sys
import time
import warnings

began = time.perf_counter()
warnings.filterwarnings("ignore")
import pandas
from backtesting import Backtest, Strategy
from backtesting.lib import crossover

imported = time.perf_counter()


def average(values, count):
    return pandas.Series(values).rolling(count).mean()


class Crossover(Strategy):
    def init(self):
        self.short = self.I(average, self.data.Close, 20)
        self.long = self.I(average, self.data.Close, 50)

    def next(self):
        if crossover(self.short, self.long) and not self.position:
            self.buy(size=60)
        elif crossover(self.long, self.short) and self.position:
            self.position.close()


bars = pandas.read_csv(sys.argv[1], index_col="timestamp", parse_dates=True)
bars.columns = [name.capitalize() for name in bars.columns]
test = Backtest(bars, Crossover, cash=10_000, commission=0)
loaded = time.perf_counter()
found = test.run()
done = time.perf_counter()
fills = 2 * int(found["# Trades"])
print(
    json.dumps(
        {"import": imported - began, "engine": done - loaded, "bars": len(bars), "fills": fills}
    )
)
