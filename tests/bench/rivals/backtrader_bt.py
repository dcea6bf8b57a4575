"""The crossover on backtrader: python backtrader_bt.py BARS.csv prints what it took as JSON."""

import csv
import json
import sys
import time
from datetime import datetime

began = time.perf_counter()
import backtrader

imported = time.perf_counter()


class Crossover(backtrader.Strategy):
    def __init__(self):
        short = backtrader.indicators.SimpleMovingAverage(self.data.close, period=20)
        long = backtrader.indicators.SimpleMovingAverage(self.data.close, period=50)
        self.crossed = backtrader.indicators.CrossOver(short, long)
        self.fills = 0

    def next(self):
        if self.crossed > 0 and not self.position:
            self.buy(size=60)
        elif self.crossed < 0 and self.position:
            self.close()

    def notify_order(self, order):
        self.fills += order.status == order.Completed


class Bars(backtrader.feeds.GenericCSVData):
    params = (
        ("dtformat", lambda text: datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")),
        ("timeframe", backtrader.TimeFrame.Minutes),
        ("openinterest", -1),
    )


with open(sys.argv[1]) as file:
    count = sum(1 for _ in csv.reader(file)) - 1
cerebro = backtrader.Cerebro(stdstats=False)
cerebro.adddata(Bars(dataname=sys.argv[1]))
cerebro.addstrategy(Crossover)
cerebro.broker.setcash(10_000)
loaded = time.perf_counter()
[strategy] = cerebro.run()
done = time.perf_counter()
print(
    json.dumps(
        {
            "import": imported - began,
            "engine": done - loaded,
            "bars": count,
            "fills": strategy.fills,
        }
    )
)
