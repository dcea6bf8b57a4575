"""The crossover on zipline-reloaded: python zipline_reloaded.py BARS.csv prints what it took as JSON.

Bars are ingested first, into a folder of its own (ZIPLINE_ROOT), which is not counted.
"""

import json
import sys
import time
import warnings

began = time.perf_counter()
warnings.filterwarnings("ignore")
import pandas
from zipline import run_algorithm
from zipline.api import order, order_target, symbol
from zipline.data.bundles import ingest, register
from zipline.finance import commission, slippage
from zipline.utils.calendar_utils import get_calendar

imported = time.perf_counter()
bars = pandas.read_csv(sys.argv[1], index_col="timestamp", parse_dates=True)
first, last = (
    bars.index[0].tz_localize(None).normalize(),
    bars.index[-1].tz_localize(None).normalize(),
)
asked = [0]


def fill_bundle(
    environ,
    assets,
    minute_writer,
    daily_writer,
    adjustments,
    calendar,
    start,
    end,
    cache,
    progress,
    output,
):
    minute_writer.write([(0, bars)], show_progress=False)
    days = bars.groupby(bars.index.tz_localize(None).normalize()).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    sessions = get_calendar("XNYS").sessions_in_range(
        first, last
    )  # its half days have no bars here
    daily_writer.write([(0, days.reindex(sessions).ffill())], show_progress=False)
    assets.write(
        equities=pandas.DataFrame(
            {
                "symbol": ["SYN"],
                "asset_name": ["SYN"],
                "start_date": [first],
                "end_date": [last],
                "auto_close_date": [last + pandas.Timedelta(days=1)],
                "exchange": ["XNYS"],
            }
        ),
        exchanges=pandas.DataFrame(
            {"exchange": ["XNYS"], "canonical_name": ["XNYS"], "country_code": ["US"]}
        ),
    )
    adjustments.write()


register("bench", fill_bundle, calendar_name="XNYS", start_session=first, end_session=last)
ingest("bench", show_progress=False)


def initialize(context):
    context.asset, context.before = symbol("SYN"), None
    context.set_commission(commission.NoCommission())
    context.set_slippage(slippage.NoSlippage())


def handle_data(context, data):
    asked[0] += 1
    closes = data.history(context.asset, "close", 50, "1m").values
    now = closes[-20:].mean() - closes.mean()
    if context.before is not None and context.before <= 0 < now:
        if not context.portfolio.positions:
            order(context.asset, 60)
    elif context.before is not None and context.before >= 0 > now:
        order_target(context.asset, 0)
    context.before = now


loaded = time.perf_counter()
sessions = get_calendar("XNYS").sessions_in_range(first, last)
result = run_algorithm(
    start=sessions[1],  # the first one is history: a window may not begin before the data
    end=last,
    initialize=initialize,
    handle_data=handle_data,
    capital_base=10_000,
    data_frequency="minute",
    bundle="bench",
    trading_calendar=get_calendar("XNYS"),
    benchmark_returns=pandas.Series(0.0, index=sessions),
)
done = time.perf_counter()
fills = sum(len(day) for day in result["transactions"])
print(
    json.dumps(
        {"import": imported - began, "engine": done - loaded, "bars": asked[0], "fills": fills}
    )
)
