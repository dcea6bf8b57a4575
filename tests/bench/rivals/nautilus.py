"""The crossover on nautilus_trader: python nautilus.py BARS.csv prints what it took as JSON."""

import json
import sys
import time

began = time.perf_counter()
import pandas
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model import BarType, Money, TraderId, Venue
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

imported = time.perf_counter()


class Crossover(Strategy):
    def __init__(self, instrument, bar_type):
        super().__init__(StrategyConfig())
        self.instrument, self.bar_type = instrument, bar_type
        self.short, self.long = SimpleMovingAverage(20), SimpleMovingAverage(50)
        self.before, self.fills = None, 0

    def on_start(self):
        self.register_indicator_for_bars(self.bar_type, self.short)
        self.register_indicator_for_bars(self.bar_type, self.long)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar):
        if not self.indicators_initialized():
            return
        now = self.short.value - self.long.value
        if self.before is not None and self.before <= 0 < now:
            if self.portfolio.is_flat(self.instrument.id):
                self.send(OrderSide.BUY)
        elif self.before is not None and self.before >= 0 > now:
            if self.portfolio.is_net_long(self.instrument.id):
                self.send(OrderSide.SELL)
        self.before = now

    def send(self, side):
        quantity = self.instrument.make_qty(60)
        self.submit_order(self.order_factory.market(self.instrument.id, side, quantity))

    def on_order_filled(self, event):
        self.fills += 1


engine = BacktestEngine(
    BacktestEngineConfig(
        trader_id=TraderId("BENCH-001"), logging=LoggingConfig(bypass_logging=True)
    )
)
engine.add_venue(
    venue=Venue("XNAS"),
    oms_type=OmsType.NETTING,
    account_type=AccountType.CASH,
    base_currency=USD,
    starting_balances=[Money(10_000, USD)],
)
instrument = TestInstrumentProvider.equity(symbol="SYN", venue="XNAS")
engine.add_instrument(instrument)
bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
frame = pandas.read_csv(sys.argv[1], index_col="timestamp", parse_dates=True)
bars = BarDataWrangler(bar_type, instrument).process(frame)
engine.add_data(bars)
strategy = Crossover(instrument, bar_type)
engine.add_strategy(strategy)
loaded = time.perf_counter()
engine.run()
done = time.perf_counter()
print(
    json.dumps(
        {
            "import": imported - began,
            "engine": done - loaded,
            "bars": len(bars),
            "fills": strategy.fills,
        }
    )
)
