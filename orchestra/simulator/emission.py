"""When which bars go to whom: each minute's frame a moment after the minute, corrections later."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestra.base import clock
from orchestra.base.clock import Delay
from orchestra.base.errors import SettingsError
from orchestra.base.market_calendar import MINUTE, floor_minute
from orchestra.simulator.bars import MINUTE_SECONDS, Bar
from orchestra.simulator.faults import Faults
from orchestra.simulator.market import Market, unix
from orchestra.simulator.stream_client import (
    Client,
    Message,
    bar_message,
    flattened,
    quote_message,
    trade_message,
)

AFTER_THE_MINUTE = Delay(0, 0.010)  # well within clock.WAKE_UP at any speed
LONGEST_NAP_SECONDS = 0.5
# Behind by more than both, the clock was set: go on at the present
LARGEST_LAG = Delay(30 * 60, 5)

log = logging.getLogger("autotrader.simulator")
Frames = list[tuple[Client, list[Message]]]


class Emission:
    """Follows the market clock and hands each client one frame a minute."""

    def __init__(
        self,
        market: Market,
        faults: Faults,
        send: Callable[[Frames], None],
        drop: Callable[[], None],
    ) -> None:
        self.clients: list[Client] = []
        self._market = market
        self._faults = faults
        self._send = send
        self._drop = drop
        self._later: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Emit every open minute once it has ended, until cancelled."""
        reached = floor_minute(clock.now())
        try:
            while True:
                now = clock.now()
                if reached > now or now - reached > _largest_lag():
                    reached = floor_minute(now)
                reached = await self._reach(self._next_end(reached), reached)
        finally:
            for task in self._later:
                task.cancel()

    async def _reach(self, end: datetime, reached: datetime) -> datetime:
        """Sleep towards ``end``; emit and return it once it is due, else return ``reached``."""
        remaining = clock.due(end, AFTER_THE_MINUTE) - clock.elapsed()
        if remaining > 0:
            await asyncio.sleep(min(remaining, LONGEST_NAP_SECONDS))
            return reached  # and look again: the clock may have been set meanwhile
        try:
            self._emit(unix(end) - MINUTE_SECONDS)
        except SettingsError as error:  # a broken recording
            log.error("%s", error)
        return end

    def _next_end(self, after: datetime) -> datetime:
        """The first end of an open minute later than ``after``."""
        calendar = self._market.calendar()
        if calendar.is_open(after):
            return floor_minute(after) + MINUTE
        opens = calendar.next_open(after)
        return opens + MINUTE if opens else after + timedelta(days=1)

    def _emit(self, start: int) -> None:
        """Send the minute that began at ``start``, as far as faults let it."""
        if self.clients and self._faults.take("drop"):
            self._drop()
            return
        frozen = bool(self._faults.standing("freeze"))
        for client in self.clients:
            client.freeze(frozen)
        if frozen or not self.clients or self._faults.standing("mute"):
            return
        wanted = flattened(client.symbols(*_MINUTE_CHANNELS) for client in self.clients)
        if any("*" in client.symbols(*_MINUTE_CHANNELS) for client in self.clients):
            wanted = list(self._market.assets)
        bars = self._market.minute(wanted, start)
        late = self._market.late(list(bars))
        now = {symbol: bar for symbol, bar in bars.items() if symbol not in late}
        self._send(self._frames(now))
        for symbol, seconds in late.items():
            self._after(start, seconds, "late", {symbol: bars[symbol]})
        for symbol, seconds in self._market.corrected_after(list(bars)).items():
            self._after(start, seconds, "updated", {symbol: bars[symbol]})

    def _frames(self, bars: dict[str, Bar]) -> Frames:
        frames = []
        for client in self.clients:
            messages: list[Message] = []
            for symbol, bar in bars.items():
                if client.wants("trades", symbol):
                    messages.append(trade_message(symbol, bar))
                if client.wants("quotes", symbol):
                    messages.append(quote_message(symbol, bar))
                if client.wants("bars", symbol):
                    messages.append(bar_message("b", symbol, bar))
                if client.wants("dailyBars", symbol):
                    messages.append(bar_message("d", symbol, self._day(symbol, bar)))
            if messages:
                frames.append((client, messages))
        return frames

    def _day(self, symbol: str, bar: Bar) -> Bar:
        """The running day up to this bar."""
        session = self._market.calendar().session_at(datetime.fromtimestamp(bar.start, UTC))
        return (session and self._market.day_bar(symbol, session)) or bar

    def _after(self, start: int, seconds: float, what: str, bars: dict[str, Bar]) -> None:
        task = asyncio.create_task(self._send_later(start, seconds, what, bars))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _send_later(
        self, start: int, seconds: float, what: str, bars: dict[str, Bar]
    ) -> None:
        """Send a bar that came late, or the corrected form of one, so many market seconds after its end."""
        end = datetime.fromtimestamp(start + MINUTE_SECONDS, UTC)
        while (remaining := clock.due(end, Delay(seconds, 0.010)) - clock.elapsed()) > 0:
            await asyncio.sleep(min(remaining, LONGEST_NAP_SECONDS))
        if what == "late":
            self._send(self._frames(bars))
            return
        final = self._market.minute(list(bars), start)
        frames: Frames = []
        for client in self.clients:
            messages: list[Any] = [
                bar_message("u", symbol, bar)
                for symbol, bar in final.items()
                if client.wants("updatedBars", symbol)
            ]
            if messages:
                frames.append((client, messages))
        self._send(frames)


_MINUTE_CHANNELS = ("bars", "updatedBars", "dailyBars", "trades", "quotes")


def _largest_lag() -> timedelta:
    machine = LARGEST_LAG.machine_seconds * clock.speed()
    return timedelta(seconds=max(LARGEST_LAG.market_seconds, machine))
