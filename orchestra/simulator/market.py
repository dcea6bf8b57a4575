"""The market as the exchange shows it now: its calendar and the bars that have ended."""

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from orchestra.base import clock
from orchestra.base.market_calendar import MarketCalendar, Session, new_york, nyse
from orchestra.simulator.assets import Asset
from orchestra.simulator.bars import MINUTE_SECONDS, Bar, BarSource, merged
from orchestra.simulator.faults import Faults

BEGINNING = 0
LARGEST_HASH = 2**32


@dataclass(frozen=True)
class Split:
    """``ratio`` new shares for each old one, from the open of session ``day`` on."""

    symbol: str
    day: date
    ratio: Decimal


class Market:
    """Bars up to the present, on the calendar in force. Faults of bars and sessions act here."""

    def __init__(
        self,
        source: BarSource,
        assets: dict[str, Asset],
        faults: Faults,
        calendar: MarketCalendar | None = None,
    ) -> None:
        self.source = source
        self.assets = assets
        self._faults = faults
        self._calendar = calendar or nyse()
        self._corrected = (-1, self._calendar)

    def calendar(self) -> MarketCalendar:
        """The calendar with the early closes in force."""
        version, calendar = self._corrected
        if version != self._faults.version:
            version, calendar = self._faults.version, self._calendar
            corrections = {}
            for fault in self._faults.standing("early_close"):
                day = date.fromisoformat(fault["day"])
                session = calendar.session_on(day)
                if session is not None:
                    close = min(session.close, new_york(day, fault["time"]))
                    opens = close > session.open
                    corrections[day] = Session(day, session.open, close) if opens else None
            if corrections:
                calendar = calendar.corrected(corrections)
            self._corrected = (version, calendar)
        return calendar

    def bars(
        self,
        symbol: str,
        first: int,
        last: int,
        limit: int,
        newest_first: bool = False,
        where: str = "rest",
    ) -> list[Bar]:
        """Ended bars that start within first..last, at most ``limit``; fewer only at the end.

        ``where`` is ``rest`` or ``stream``: late and missing bars may concern only one of them.
        """
        now = clock.now()
        late = timedelta(seconds=self._lateness(symbol, where))
        last = min(last, newest_start(now - late))
        found: list[Bar] = []
        while len(found) < limit and first <= last:
            wanted = limit - len(found)
            rows = self.source.bars(symbol, first, last, wanted, newest_first)
            if self._faults.none:
                found += rows
            else:
                found += [
                    self._shown(symbol, b, now) for b in rows if self._trades(symbol, b, where)
                ]
            if len(rows) < wanted:
                break
            if newest_first:
                last = rows[-1].start - 1
            else:
                first = rows[-1].start + 1
        return found

    def minute(self, symbols: list[str], start: int) -> dict[str, Bar]:
        """The bars of one ended minute as the stream shows them."""
        now = clock.now()
        return {
            symbol: self._shown(symbol, bar, now)
            for symbol, bar in self.source.minute(symbols, start).items()
            if self._trades(symbol, bar, "stream")
        }

    def late(self, symbols: list[str]) -> dict[str, float]:
        """Market seconds by which the stream holds back the bars of some symbols."""
        found = {symbol: self._lateness(symbol, "stream") for symbol in symbols}
        return {symbol: seconds for symbol, seconds in found.items() if seconds > 0}

    def corrected_after(self, symbols: list[str]) -> dict[str, float]:
        """Market seconds after their minute at which the bars of some symbols are corrected."""
        found: dict[str, float] = {}
        for fault in self._faults.standing("updated_bars"):
            found |= {symbol: fault["seconds"] for symbol in symbols if fault.concerns(symbol)}
        return found

    def newest(self, symbol: str, moment: datetime) -> Bar | None:
        """The newest bar that had ended at ``moment``, however long ago; None when there is none."""
        last = newest_start(moment)
        while True:
            rows = self.source.bars(symbol, BEGINNING, last, 1, newest_first=True)
            if not rows or self._trades(symbol, rows[0], "market"):
                return self._in_shares_of(symbol, rows[0], moment) if rows else None
            last = rows[0].start - 1

    def opening(self, symbol: str, moment: datetime) -> float | None:
        """The open of the minute in progress; None when nothing has traded in it."""
        start = newest_start(moment) + MINUTE_SECONDS
        bar = self.source.minute([symbol], start).get(symbol)
        return self._split(symbol, bar).open if bar else None

    def day_bar(self, symbol: str, session: Session) -> Bar | None:
        """The session's bars so far as one, starting at its open; None without any."""
        first, last = unix(session.open), unix(session.close) - 1
        rows = self.bars(symbol, first, last, session.minutes)
        return merged(rows, first) if rows else None

    def splits(self) -> list[Split]:
        """The splits in force, oldest first."""
        found = [
            Split(fault["symbol"], date.fromisoformat(fault["day"]), Decimal(str(fault["ratio"])))
            for fault in self._faults.standing("split")
        ]
        return sorted(found, key=lambda split: split.day)

    def _lateness(self, symbol: str, where: str) -> float:
        """Market seconds by which bars of ``symbol`` appear after they have ended."""
        return max(
            (
                float(fault["seconds"])
                for fault in self._faults.standing("late_bars")
                if fault["where"] in (where, "both") and fault.concerns(symbol)
            ),
            default=0.0,
        )

    def _trades(self, symbol: str, bar: Bar, where: str) -> bool:
        """Whether ``where`` has this bar: not after an early close, not if a fault hides it."""
        if self._faults.standing("early_close"):
            begin = datetime.fromtimestamp(bar.start, UTC)
            if self._calendar.is_open(begin) and not self.calendar().is_open(begin):
                return False
        return not any(
            fault["where"] in (where, "both")
            and fault.concerns(symbol)
            and _chance(symbol, bar.start, fault["seed"]) < fault["probability"]
            for fault in self._faults.standing("missing_bars")
        )

    def _shown(self, symbol: str, bar: Bar, now: datetime) -> Bar:
        bar = self._split(symbol, bar)
        ended = bar.start + MINUTE_SECONDS
        for fault in self._faults.standing("updated_bars"):
            if fault.concerns(symbol) and now.timestamp() < ended + fault["seconds"]:
                return preliminary(bar)
        return bar

    def _split(self, symbol: str, bar: Bar) -> Bar:
        """The bar as traded: prices and volume of the share as it was on that day."""
        for split in self.splits():
            if split.symbol == symbol and bar.start >= self._split_at(split):
                bar = adjusted(bar, split.ratio)
        return bar

    def split_adjusted(self, symbol: str, bar: Bar) -> Bar:
        """The bar, as traded, in today's shares: what ``adjustment=split`` serves."""
        for split in self.splits():
            at = self._split_at(split)
            if split.symbol == symbol and bar.start < at <= clock.now().timestamp():
                bar = adjusted(bar, split.ratio)
        return bar

    def _in_shares_of(self, symbol: str, bar: Bar, moment: datetime) -> Bar:
        """A bar of the source in the shares of ``moment``, which may be after a split that it is not."""
        for split in self.splits():
            if split.symbol == symbol and self._split_at(split) <= moment.timestamp():
                bar = adjusted(bar, split.ratio)
        return bar

    def _split_at(self, split: Split) -> int:
        session = self._calendar.session_on(split.day)
        return unix(session.open) if session else unix(new_york(split.day, "09:30"))


def unix(moment: datetime) -> int:
    """Whole unix seconds of a moment."""
    return int(moment.timestamp())


def newest_start(moment: datetime) -> int:
    """The start (unix seconds) of the newest minute that has ended at ``moment``."""
    return unix(moment) // MINUTE_SECONDS * MINUTE_SECONDS - MINUTE_SECONDS


def adjusted(bar: Bar, ratio: Decimal) -> Bar:
    """The bar in shares of which there are ``ratio`` for each old one; prices in 1/10,000 dollars."""
    factor = float(ratio)
    return bar._replace(
        open=round(bar.open / factor, 4),
        high=round(bar.high / factor, 4),
        low=round(bar.low / factor, 4),
        close=round(bar.close / factor, 4),
        volume=max(1, round(bar.volume * factor)),
        vwap=round(bar.vwap / factor, 6),
    )


def preliminary(bar: Bar) -> Bar:
    """The bar before its late trades are in: it closes nearer to its open, on less volume."""
    close = round((bar.open + bar.close) / 2, 2)
    return bar._replace(
        close=min(max(close, bar.low), bar.high), volume=max(1, bar.volume - bar.volume // 10)
    )


def _chance(symbol: str, start: int, seed: int) -> float:
    return zlib.crc32(f"{seed}:{symbol}:{start}".encode()) / LARGEST_HASH
