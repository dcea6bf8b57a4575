"""The least that one process can take for a backtest: Python, the rows as dicts, the file's own run().

python least.py ALGORITHM.py STOCKS.db TICKER FIRST LAST. Nothing of the project is imported. What the file
asks for is answered from lists, without a check of any kind; its decisions fill at the last close, and no
figure is made of them. Prints its minutes and trades as JSON.
"""

import gc
import json
import runpy
import sqlite3
import sys
from types import ModuleType

CAPITAL = 10_000.0

path, file, ticker, first, last = sys.argv[1:]
gc.disable()
rows = sqlite3.connect(file).execute(
    "SELECT timestamp, open, high, low, close, volume FROM bars"
    " WHERE ticker = ? AND timestamp BETWEEN ? AND ?",
    (ticker, first, last),
)
bars = [
    {
        "timestamp": stamp,
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
    }
    for stamp, opening, high, low, close, volume in rows
]
ended, held, invested, trades = 0, 0, 0.0, 0


def answer(name: str, **functions: object) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(functions)
    return module


def last_bars(ticker: str, kind: str, n: int, before_timestamp: str) -> list[dict[str, object]]:
    return bars[max(0, ended - n) : ended]


manager = answer("db_manager", get_data_for_algorithm=last_bars)
answer("database", db_manager=manager)
answer(
    "card_calculations",
    calculate_position=lambda algo_id: held,
    calculate_invested_amount=lambda algo_id: invested,
)
Algorithm = runpy.run_path(path)["Algorithm"]
for bar in bars:
    ended += 1
    action, shares, _ = Algorithm(ticker, CAPITAL).run(bar["timestamp"], 1)
    if shares:
        sign = 1 if action == "buy" else -1
        held, trades = held + sign * shares, trades + 1
        invested += sign * shares * bar["close"]
print(json.dumps({"bars": ended, "trades": trades}))
