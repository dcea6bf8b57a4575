"""Recorded half-sessions through a stream that is cut, frozen, muted, refused and delayed at random."""

import csv
import random
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from database import arrivals, db_manager, realtime_pull, stream_watch, verdicts
from database.historical_pull import HistoricalFetcher
from database.realtime_pull import RealtimeStreamer, StreamStatus
from orchestra import exchange as exchange_package
from orchestra.base import clock
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange, set_clock

SPEED = 900  # a minute of the session in 67 ms
SILENT_MINUTES = 16  # the README's 17 of an unknown ticker, less the one in progress
BEHIND_BARS = 5  # and in a row of one ticker
TROUBLED, CALM = timedelta(minutes=10), timedelta(minutes=5)
ROOM = timedelta(minutes=30)  # a trouble is not begun later than this before the end
LONGEST = timedelta(seconds=5 * SPEED)  # five machine seconds: a loaded machine's "at once"
TROUBLES: dict[str, list[dict[str, Any]]] = {
    "cut": [{"name": "drop", "times": 1}],
    "frozen": [{"name": "freeze"}],
    "refused": [{"name": "406", "times": 1}, {"name": "drop", "times": 1}],
    "mute": [{"name": "mute"}],
    "delayed": [{"name": "late_bars", "seconds": 1800}],  # longer than a busy machine is late
    "late everywhere": [{"name": "late_bars", "seconds": 90, "where": "both"}],
    "lossy": [{"name": "missing_bars", "probability": 0.5}],
}


@dataclass
class Trouble:
    """One fault's time, and what the stream said of itself after each cycle of it."""

    kind: str
    begun: datetime
    connects: int  # connections made before it
    said: list[tuple[datetime, StreamStatus, int]] = field(default_factory=list)

    def was_said(self, words: str) -> bool:
        return any(words in status.message for _, status, _ in self.said)

    @property
    def is_noticed(self) -> bool:
        if self.kind in ("cut", "frozen", "refused"):
            seen = any(
                not status.connected or connects > self.connects
                for _, status, connects in self.said
            )
            refused = self.was_said("connection limit exceeded")
            return seen and (self.kind != "refused" or refused)
        if self.kind == "mute":
            return any(not status.healthy for _, status, _ in self.said)
        if self.kind == "delayed":
            return self.was_said("in a row came late or had to be fetched")
        return True  # by each minute's verdict


@pytest.fixture
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock this fast a look each half second is one each seven minutes, and so for the rest."""
    monkeypatch.setattr(realtime_pull, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(stream_watch, "BEHIND_SECONDS", 0.0)
    # A frozen peer is noticed in about 2.4 of these
    for each in ("ping_interval", "ping_timeout"):
        monkeypatch.setitem(exchange_package.WEBSOCKET_PARAMETERS, each, 0.6)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(n, marks=pytest.mark.long) for n in range(5, 100))]
)
def test_after_any_trouble_the_bars_equal_the_recorded_file(
    recorded_bars: Path, tmp_path: Path, watched_closely: None, seed: int
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
        set_clock(start, SPEED)
        troubles = list(_live_through(exchange, ticker, first, half, chance))
        set_clock(clock.stamp(last + timedelta(minutes=3)))
        HistoricalFetcher(patient=True).fetch(ticker, clock.stamp(first), clock.stamp(last))
        held = db_manager.get_historical_data(ticker, clock.stamp(first), clock.stamp(last))
        assert held == _recorded(file, clock.stamp(first), clock.stamp(last))
        found = verdicts.verdicts(ticker, clock.stamp(first), clock.stamp(last))
    assert len(found) == half
    stored = {each["timestamp"] for each in held}
    for each in found:
        assert each.verdict in (("bar", "late") if each.minute in stored else ("no trade",))
        assert (each.arrived_at is not None) == (each.minute in stored)
    assert troubles
    for trouble in troubles:
        _assert_noticed(trouble, found)


def _live_through(
    exchange: Exchange, ticker: str, first: datetime, minutes: int, chance: random.Random
) -> Iterator[Trouble]:
    """Do what a cycle does in each minute; trouble begins once the stream is well, and ends in time."""
    streamer, stop = RealtimeStreamer(), threading.Event()
    kinds = chance.sample(sorted(TROUBLES), len(TROUBLES))
    end = first + minutes * MINUTE
    trouble, calm_since = None, first
    streamer.subscribe(ticker)
    try:
        for n in range(1, minutes + 1):
            _cycle(streamer, ticker, first + n * MINUTE, stop)
            now, status = clock.now(), streamer.status()
            if trouble is not None:
                trouble.said.append((now, status, _connects(exchange)))
                lasted = now - trouble.begun
                if lasted >= (TROUBLED if trouble.is_noticed else LONGEST):
                    exchange.faults.clear()
                    yield trouble
                    trouble, calm_since = None, now
            elif not status.healthy or status.last_bar_at is None:
                calm_since = now
            elif now >= calm_since + CALM and kinds and now + ROOM < end:
                trouble = Trouble(kinds.pop(), now, _connects(exchange))
                for fault in TROUBLES[trouble.kind]:
                    exchange.faults.add(fault)
    finally:
        exchange.faults.clear()
        streamer.stop()


def _cycle(
    streamer: RealtimeStreamer, ticker: str, minute: datetime, stop: threading.Event
) -> None:
    due = minute - MINUTE
    clock.wait_until(minute, stop, clock.WAKE_UP)
    streamer.wait_for_bars({ticker}, due, clock.due(minute, clock.BAR_DUE))
    with suppress(ExchangeUnavailable):  # the limit's reserve: the next minute closes it
        HistoricalFetcher().close_gaps([ticker], due)
    stamp = clock.stamp(due)
    missing = db_manager.check_data_exists(ticker, stamp, stamp)
    arrivals.note_asked(due, [ticker] if missing else [])


def _connects(exchange: Exchange) -> int:
    log = requests.get(f"{exchange.url}/_subscriptions", timeout=5).json()["log"]
    return sum(event["action"] == "connect" for event in log)


def _assert_noticed(trouble: Trouble, found: list[verdicts.Verdict]) -> None:
    """Each kind within the bound that the README states. What the session's end cut short is not judged."""
    end = trouble.said[-1][0]
    came = [
        each
        for each in found
        if each.arrived_at and trouble.begun <= clock.parse(each.minute) < end - 2 * MINUTE
    ]
    if trouble.kind == "delayed" and len(came) <= BEHIND_BARS + 2:
        return  # too thin a ticker
    assert trouble.is_noticed, trouble.said[-1]
    if trouble.kind == "mute":
        said = " ".join(status.message for _, status, _ in trouble.said)
        bound = re.search(r"no bar for (\d+) minutes|(\d+) bars of", said)
        assert bound is not None, said
        assert int(bound[1] or 0) <= SILENT_MINUTES
        assert int(bound[2] or 0) < 2 * BEHIND_BARS  # one request may bring several at this speed
    if trouble.kind == "lossy" and len(came) > BEHIND_BARS:
        assert any(each.way == "fetched" for each in came)


def _recorded(file: Path, first: str, last: str) -> list[dict[str, object]]:
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    return [
        {name: row[name] if name == "timestamp" else float(row[name]) for name in row}
        for row in rows
        if first <= row["timestamp"] <= last
    ]
