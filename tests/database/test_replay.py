"""Recorded half-sessions through a stream that is cut, muted, refused and delayed at random."""

import csv
import random
import shutil
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from database import arrivals, db_manager, verdicts
from database.historical_pull import HistoricalFetcher
from database.realtime_pull import RealtimeStreamer
from orchestra.base import clock
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange, set_clock

SPEED = 900  # a minute of the session in 67 ms
FAULTS = (
    [{"name": "drop", "times": 1}],
    [{"name": "mute"}],
    [{"name": "406", "times": 1}, {"name": "drop", "times": 1}],
    [{"name": "late_bars", "seconds": 90, "where": "both"}],
    [{"name": "missing_bars", "probability": 0.5}],
)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(n, marks=pytest.mark.long) for n in range(5, 100))]
)
def test_after_any_trouble_the_bars_equal_the_recorded_file(
    recorded_bars: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    sessions = {each.day.isoformat(): each for each in nyse().sessions}
    files = [each for each in sorted(recorded_bars.glob("*/*.csv")) if each.stem in sessions]
    file = chance.choice(files)
    ticker, folder = file.parent.name, tmp_path / "bars" / file.parent.name
    folder.mkdir(parents=True)
    shutil.copy(file, folder)
    session = sessions[file.stem]
    half = session.minutes // 2
    first = session.open + chance.choice((0, half)) * MINUTE
    last = first + (half - 1) * MINUTE
    start = clock.stamp(first - MINUTE)
    with running_exchange(SIMULATOR_BARS=tmp_path / "bars", MARKET_CLOCK_START=start) as exchange:
        _live_through(exchange, ticker, first, half, chance, start)
        set_clock(clock.stamp(last + timedelta(minutes=3)))
        HistoricalFetcher(patient=True).fetch(ticker, clock.stamp(first), clock.stamp(last))
        held = db_manager.get_historical_data(ticker, clock.stamp(first), clock.stamp(last))
        assert held == _recorded(file, clock.stamp(first), clock.stamp(last))
        found = verdicts.verdicts(ticker, clock.stamp(first), clock.stamp(last))
        assert len(found) == half
        stored = {each["timestamp"] for each in held}
        for each in found:
            assert each.verdict in (("bar", "late") if each.minute in stored else ("no trade",))


def _live_through(
    exchange: Exchange, ticker: str, first: object, minutes: int, chance: random.Random, start: str
) -> None:
    """Do what a cycle does in each minute, with some trouble in every ten."""
    streamer, stop = RealtimeStreamer(), threading.Event()
    set_clock(start, SPEED)
    streamer.subscribe(ticker)
    try:
        for n in range(1, minutes + 1):
            minute = first + n * MINUTE  # type: ignore[operator]
            clock.wait_until(minute, stop, clock.WAKE_UP)
            if n % 10 == 1:
                exchange.faults.clear()
                for fault in chance.choice(FAULTS):
                    exchange.faults.add(fault)
            due = minute - MINUTE
            streamer.wait_for_bars({ticker}, due, clock.due(minute, clock.BAR_DUE))
            with suppress(ExchangeUnavailable):  # the limit's reserve: the next minute closes it
                HistoricalFetcher().close_gaps([ticker], due)
            stamp = clock.stamp(due)
            missing = db_manager.check_data_exists(ticker, stamp, stamp)
            arrivals.note_asked(due, [ticker] if missing else [])
    finally:
        exchange.faults.clear()
        streamer.stop()


def _recorded(file: Path, first: str, last: str) -> list[dict[str, object]]:
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    return [
        {name: row[name] if name == "timestamp" else float(row[name]) for name in row}
        for row in rows
        if first <= row["timestamp"] <= last
    ]
