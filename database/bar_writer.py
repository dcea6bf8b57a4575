"""One thread that stores streamed bars: all that have arrived in one transaction, then the next."""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

from database import arrivals, bars, checks, db_manager
from database.bars import Bar
from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput

KEPT_MINUTES = 8  # how many minutes' arrivals are remembered for those who wait
STOP_SECONDS = 5.0  # machine seconds for what is queued to be stored
GATHER_SECONDS = 0.02  # machine seconds: a minute's bars come one by one, and are stored together

log = logging.getLogger("autotrader.websocket")
Heard = tuple[dict[str, Any], datetime]  # a raw bar, and when it came (market time)


class BarWriter:
    """Takes raw bars from the stream's thread and stores them from its own."""

    def __init__(self) -> None:
        self.received = 0  # bars taken in, good or bad
        self.newest: str | None = None  # the newest minute stored
        self.met_damage = False  # whether the file was damaged when last written to
        self._queue: SimpleQueue[Heard | None] = SimpleQueue()
        self._stored = threading.Condition()
        self._arrivals: dict[str, set[str]] = {}  # tickers by minute
        self._thread: threading.Thread | None = None

    def put(self, raw: dict[str, Any]) -> None:
        """Take one raw bar; never blocks and never raises."""
        self.received += 1
        self._queue.put((raw, clock.now()))

    def start(self) -> None:
        """Start the thread, with a queue of its own, unless it runs."""
        if self._thread is None:
            self._queue = SimpleQueue()
            self._thread = threading.Thread(
                target=self._work, args=(self._queue,), name="bar-writer", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Store what is queued and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(STOP_SECONDS)

    def wait_for(self, tickers: Iterable[str], stamp: str, until: float) -> set[str]:
        """Wait until ``clock.elapsed()`` is ``until`` for that minute's bars; the tickers missing."""
        wanted = set(tickers)
        with self._stored:
            while missing := wanted - self._arrivals.get(stamp, set()):
                left = until - clock.elapsed()
                if left <= 0:
                    break
                self._stored.wait(left)
        return missing

    def _work(self, queue: "SimpleQueue[Heard | None]") -> None:
        going_on = True
        while going_on:
            batch = [queue.get()]
            until = clock.elapsed() + GATHER_SECONDS
            with contextlib.suppress(Empty):
                while batch[-1] is not None and (left := until - clock.elapsed()) > 0:
                    batch.append(queue.get(timeout=left))
            going_on = None not in batch
            self._store([heard for heard in batch if heard is not None])
        sqlite.close_kept()

    def _store(self, batch: list[Heard]) -> None:
        usable: list[tuple[str, Bar]] = []
        streamed: dict[str, dict[str, int]] = {}
        for raw, moment in batch:
            pair = _pair(raw)
            if pair is not None:
                usable.append(pair)
                ms = arrivals.milliseconds(raw["t"].to_datetime(), moment)
                streamed.setdefault(pair[1]["timestamp"], {}).setdefault(pair[0], ms)
        if not usable:
            return
        try:
            db_manager.insert_minute_bars(usable, streamed)
        except (sqlite3.Error, OSError) as error:
            # Not lost: their minutes stay uncovered, so they are asked for over REST
            log.error("%d streamed bars could not be stored: %s", len(usable), error)
            self.met_damage = sqlite.is_damaged(error)
            return
        self.met_damage = False
        with self._stored:
            for ticker, bar in usable:
                self._arrivals.setdefault(bar["timestamp"], set()).add(ticker)
                self.newest = max(self.newest or "", bar["timestamp"])
            for stamp in sorted(self._arrivals)[:-KEPT_MINUTES]:
                del self._arrivals[stamp]
            self._stored.notify_all()


def _pair(raw: dict[str, Any]) -> tuple[str, Bar] | None:
    """Ticker and bar from the stream's message; None, with a log line, when it is no usable bar."""
    try:
        began: datetime = raw["t"].to_datetime()
        bar = bars.from_exchange(raw, checks.minute(clock.stamp(began)))
        fault = checks.fault_of(bar)
        if fault:
            raise BadInput(fault)
        return checks.ticker(raw["S"]), bar
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError) as error:
        log.warning("A streamed bar is left out: %s %.200r", error, raw)
        return None
