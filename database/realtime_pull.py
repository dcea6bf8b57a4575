"""Live bars: alpaca-py's stream in a thread of its own, and one writer that stores what it hears.

The stream's handlers only queue a bar. Everything alpaca-py could block on, and everything SQLite could,
happens elsewhere. A stream thread exists only while a ticker is subscribed, since an idle one spins.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from database import checks, db_manager
from database.bar_writer import BarWriter
from database.stream_watch import StreamWatch
from orchestra import exchange
from orchestra.base import clock, sqlite
from orchestra.exchange.stream import HeardStream

WATCH_SECONDS = 0.5  # machine seconds between two looks at the stream
CALL_SECONDS = 3.0  # machine seconds; alpaca-py's own calls wait for ever
POLITE_SECONDS = 1.5  # for a close that the peer confirms
END_SECONDS = 5.0  # for the stream's thread to end, politely or not
LONGEST_BACKOFF_SECONDS = 60.0

log = logging.getLogger("autotrader.websocket")


@dataclass(frozen=True)
class StreamStatus:
    """How the stream is: ``last_bar_at`` is the minute of the newest bar it brought."""

    connected: bool
    tickers: tuple[str, ...]
    last_bar_at: str | None
    restarts: int
    trouble: str = ""  # why it is not connected, or was made anew
    mended: int = 0  # connections that were made anew because they did not do their work

    @property
    def healthy(self) -> bool:
        return (self.connected and not self.trouble) or not self.tickers

    @property
    def message(self) -> str:
        if not self.tickers:
            return "No card needs live bars."
        if not self.connected:
            why = f": {self.trouble}" if self.trouble else ""
            return f"Not connected{why}; {len(self.tickers)} tickers wait for bars."
        if self.trouble:
            return f"The stream was made anew: {self.trouble}. Bars are asked for meanwhile."
        return f"{len(self.tickers)} tickers, newest bar {self.last_bar_at or 'not yet'}."


class _Run:
    """One thread that keeps a stream running until it is told to end."""

    def __init__(self, keep: Callable[["_Run"], None]) -> None:
        self.ended = threading.Event()
        self.stream: HeardStream | None = None
        self.thread = threading.Thread(target=keep, args=(self,), name="bar-stream", daemon=True)

    def end(self) -> bool:
        """End stream and thread within ``END_SECONDS``; False when the thread would not."""
        self.ended.set()
        deadline = clock.elapsed() + END_SECONDS
        self._in_loop(_close)
        self.thread.join(POLITE_SECONDS)
        while self.thread.is_alive() and clock.elapsed() < deadline:
            self._in_loop(_cancel_everything)  # the peer does not answer
            self.thread.join(0.2)
        return not self.thread.is_alive()

    def _in_loop(self, work: Callable[[HeardStream], Coroutine[Any, Any, None]]) -> None:
        stream = self.stream
        loop = stream._loop if stream is not None else None
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed: what was wanted
                loop.call_soon_threadsafe(lambda: loop.create_task(work(stream)))


async def _close(stream: HeardStream) -> None:
    await stream.stop_ws()
    await stream.close()


async def _cancel_everything(stream: HeardStream) -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


class RealtimeStreamer:
    """Streams the minute bars of subscribed tickers into stocks.db.

    Safe to call from any thread but the stream's own. No call takes longer than a few seconds,
    whatever the peer does; what a call could not do, ``resubscribe`` mends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickers: frozenset[str] = frozenset()  # replaced, never changed: others read it
        self._run: _Run | None = None
        self._writer = BarWriter()
        self._restarts = 0
        self._mended = 0
        self._silence = ""  # why the last connection was made anew, until that is well again
        self._ended_by = ""  # what the stream ended with that has no successor yet

    def subscribe(self, ticker: str) -> None:
        """Have a ticker's bars stored from now on; the first ticker starts the stream."""
        checks.ticker(ticker)
        with self._lock:
            if ticker in self._tickers and self._run is not None:
                return
            self._tickers |= {ticker}
            if self._run is None:
                self._begin()
            else:
                self._on_stream(lambda stream: self._enter(stream, (ticker,)))
            log.info("Subscribed to %s", ticker)

    def unsubscribe(self, ticker: str) -> None:
        """Drop a ticker, known or not; the last one ends the stream."""
        with self._lock:
            if ticker not in self._tickers:
                return
            self._tickers -= {ticker}
            if not self._tickers:
                self._end()
            elif self._run is not None:
                self._on_stream(lambda stream: self._leave(stream, ticker))
            log.info("Unsubscribed from %s", ticker)

    def resubscribe(self) -> None:
        """Send the whole subscription again: one lost while the stream reconnected is healed."""
        with self._lock:
            if self._run is not None:
                tickers = tuple(sorted(self._tickers))
                self._on_stream(lambda stream: stream.subscribe_bars(self._on_bar, *tickers))

    def start(self) -> None:
        """Stream what is subscribed; without a ticker there is nothing to start yet."""
        with self._lock:
            if self._tickers and self._run is None:
                self._begin()

    def stop(self) -> None:
        """End the stream within a few seconds. ``start`` or a subscription resumes it."""
        with self._lock:
            self._end()

    def wait_for_bars(self, tickers: Iterable[str], minute: datetime, until: float) -> set[str]:
        """Wait for that minute's bars of all tickers; the tickers still missing.

        ``until`` is an instant on ``clock.elapsed``'s scale. What is known already is not waited for.
        """
        stamp = clock.stamp(minute)
        return self._writer.wait_for(db_manager.lacking(tickers, stamp), stamp, until)

    @property
    def met_damage(self) -> bool:
        """Whether stocks.db was damaged when bars were last stored."""
        return self._writer.met_damage

    def status(self) -> StreamStatus:
        """Say how the stream is, for heartbeats and health."""
        run = self._run
        stream = run.stream if run is not None else None
        return StreamStatus(
            connected=stream is not None and bool(stream._running),
            tickers=tuple(sorted(self._tickers)),
            last_bar_at=self._writer.newest,
            restarts=self._restarts,
            trouble=(stream.trouble if stream is not None else self._ended_by) or self._silence,
            mended=self._mended,
        )

    async def _on_bar(self, raw: Any) -> None:
        self._writer.put(raw)

    async def _on_updated_bar(self, raw: Any) -> None:
        self._writer.put(raw)

    def _watch(self, run: _Run) -> None:
        """Make a connection anew that does not do its work, for as long as ``run`` lasts."""
        watch = StreamWatch()
        while not run.ended.wait(WATCH_SECONDS):
            stream = run.stream
            connected = stream is not None and bool(stream._running)
            confirmed = stream.confirmed if stream is not None else frozenset()
            try:
                found = watch.look(connected, self._writer.received, self._tickers, confirmed)
            except (sqlite3.Error, OSError) as error:
                log.warning("The stream cannot be watched: %s", error)
                continue
            self._silence = watch.trouble
            if found:
                log.warning("The stream is made anew: %s", found)
                self._mended += 1
                run._in_loop(HeardStream.break_off)
        sqlite.close_kept()

    def _begin(self) -> None:
        self._writer.start()
        self._run = run = _Run(self._keep_running)
        run.thread.start()
        threading.Thread(target=self._watch, args=(run,), name="bar-watch", daemon=True).start()

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None and not run.end():
            log.warning("The stream's thread did not end in time; it is left behind.")
        self._writer.stop()

    def _keep_running(self, run: _Run) -> None:
        """Run streams one after the other, for alpaca-py gives up on some errors. In ``run``'s thread."""
        failures = 0
        while not run.ended.is_set():
            heard = self._writer.received
            # In this order: a subscription made meanwhile is in the set, or reaches this stream
            run.stream = stream = exchange.bar_stream()
            self._enter(stream, tuple(sorted(self._tickers)))
            try:
                stream.run()
            except (Exception, asyncio.CancelledError) as error:
                if not run.ended.is_set():
                    log.warning("The stream broke: %r", error)
            self._ended_by, run.stream = stream.trouble, None
            if run.ended.is_set():
                return
            failures = 0 if self._writer.received > heard else failures + 1
            self._restarts += 1
            backoff = min(2.0**failures, LONGEST_BACKOFF_SECONDS)
            log.warning("The stream ended; it is started again in %.0f s", backoff)
            run.ended.wait(backoff)

    def _enter(self, stream: HeardStream, tickers: tuple[str, ...]) -> None:
        stream.subscribe_bars(self._on_bar, *tickers)
        stream.subscribe_updated_bars(self._on_updated_bar, *tickers)

    def _leave(self, stream: HeardStream, ticker: str) -> None:
        stream.unsubscribe_bars(ticker)
        stream.unsubscribe_updated_bars(ticker)

    def _on_stream(self, work: Callable[[HeardStream], None]) -> None:
        """Do something with the running stream, but not for long: a stuck one is replaced."""
        stream = self._run.stream if self._run is not None else None
        if stream is None:
            return  # its thread is about to make it, with the tickers as they are now

        def attempt() -> None:
            try:
                work(stream)
            except (Exception, asyncio.CancelledError) as error:
                log.warning("The stream did not take a subscription: %r", error)

        helper = threading.Thread(target=attempt, name="bar-stream-call", daemon=True)
        helper.start()
        helper.join(CALL_SECONDS)
        if helper.is_alive():
            log.warning("The stream is stuck; it is replaced.")
            self._end()
            self._restarts += 1
            if self._tickers:
                self._begin()
