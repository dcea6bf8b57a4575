"""Bars as a pure function of ticker, minute and seed: nothing is stored, history and stream agree.

A ticker's logarithmic price is a Brownian path over the calendar's open minutes (so a night makes no
more gap than a minute), built by midpoint displacement: level k adds a triangle 2**k minutes wide whose
height is a normal number hashed from (seed, ticker, k, which triangle). Any minute of thirteen years
costs one hash per level, and at every scale the path moves like a real random walk.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.base.market_calendar import MarketCalendar
from orchestra.simulator.assets import Asset
from orchestra.simulator.bars import MINUTE_SECONDS, Bar

LEVELS = 21  # 2**21 minutes are more than the calendar has
CHUNK_MINUTES = 20_000
# Which hash a number is drawn from; the levels of the path are channels 1 to LEVELS
_PRESENCE, _GAP, _ABOVE, _BELOW, _VOLUME, _BURST = range(32, 38)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class GeneratedBars:
    """Bars of the listed assets in every open minute of ``calendar``."""

    def __init__(self, seed: int, calendar: MarketCalendar, assets: Iterable[Asset]) -> None:
        self.label = f"generated:seed={seed}"
        self._calendar = calendar
        self._assets = {asset.symbol: asset for asset in assets}
        self._keys = {symbol: _key(seed, symbol) for symbol in self._assets}
        self._opens = np.array([int(s.open.timestamp()) for s in calendar.sessions])
        lengths = np.array([session.minutes for session in calendar.sessions])
        self._lengths = lengths
        self._before = np.concatenate(([0], np.cumsum(lengths)))

    def tickers(self) -> list[str]:
        """List the tickers that have bars."""
        return list(self._assets)

    def bars(
        self, ticker: str, first: int, last: int, limit: int, newest_first: bool = False
    ) -> list[Bar]:
        """Return at most ``limit`` bars that start within first..last (unix seconds, both included)."""
        if ticker not in self._assets:
            return []
        low, high = self._number(first), self._number(last + 1)
        found: list[Bar] = []
        presence = self._assets[ticker].presence
        while low < high and len(found) < limit:
            size = min(CHUNK_MINUTES, int((limit - len(found)) / presence) + 1)
            if newest_first:
                rows = self._rows([ticker], max(low, high - size), high)[ticker][::-1]
                high -= size
            else:
                rows = self._rows([ticker], low, min(high, low + size))[ticker]
                low += size
            found += rows
        return found[:limit]

    def minute(self, tickers: list[str], start: int) -> dict[str, Bar]:
        """Return the bars of the minute that starts at ``start``, computed together."""
        number = self._number(start)
        known = [ticker for ticker in tickers if ticker in self._assets]
        if not known or self._number(start + 1) == number:  # a closed minute
            return {}
        rows = self._rows(known, number, number + 1)
        return {ticker: bars[0] for ticker, bars in rows.items() if bars}

    def _number(self, unix: int) -> int:
        return self._calendar.minute_number(datetime.fromtimestamp(unix, UTC))

    def _rows(self, tickers: list[str], low: int, high: int) -> dict[str, list[Bar]]:
        """Bars of the open minutes numbered low..high-1, by ticker."""
        numbers = np.arange(low, high)
        session = np.searchsorted(self._before, numbers, side="right") - 1
        inside = numbers - self._before[session]
        starts = self._opens[session] + inside * MINUTE_SECONDS
        busy = _busyness(inside / self._lengths[session])
        assets = [self._assets[ticker] for ticker in tickers]
        keys = np.array([self._keys[ticker] for ticker in tickers], dtype=np.uint64)
        columns = _columns(keys[:, np.newaxis], assets, numbers, busy)
        present = columns.pop()
        found: dict[str, list[Bar]] = {}
        for row, ticker in enumerate(tickers):
            chosen = present[row]
            values: list[Any] = [column[row][chosen].tolist() for column in columns]
            found[ticker] = list(map(Bar, starts[chosen].tolist(), *values))
        return found


def _columns(
    keys: Hashes, assets: list[Asset], numbers: Integers, busy: Floats
) -> list[NDArray[Any]]:
    """Open, high, low, close, volume, trades, vwap and presence: one row a ticker, one column a minute."""
    base, volatility, volume, presence = (
        np.array([[getattr(asset, name)] for asset in assets])
        for name in ("price", "volatility", "volume", "presence")
    )
    path = _path(keys, np.append(numbers, numbers[-1] + 1))
    price = base * np.exp(volatility * path) * 100  # in cents, at the minutes' borders
    spread = volatility * price[:, :-1]
    gap = spread * 0.3 * (_uniform(keys, _GAP, numbers) - 0.5)
    opening = np.maximum(1, np.rint(price[:, :-1] + gap))
    closing = np.maximum(1, np.rint(price[:, 1:]))
    above = np.rint(spread * 0.8 * _uniform(keys, _ABOVE, numbers) ** 2)
    below = np.rint(spread * 0.8 * _uniform(keys, _BELOW, numbers) ** 2)
    high = np.maximum(opening, closing) + above
    low = np.maximum(1, np.minimum(opening, closing) - below)
    burst = 0.3 + 2.8 * _uniform(keys, _VOLUME, numbers) * _uniform(keys, _BURST, numbers)
    shares = np.maximum(1, np.rint(volume * busy * burst)).astype(np.int64)
    return [
        opening / 100,
        high / 100,
        low / 100,
        closing / 100,
        shares,
        shares // 45 + 1,
        np.rint((opening + high + low + closing) * 25) / 10_000,
        _uniform(keys, _PRESENCE, numbers) < presence,
    ]


def _path(keys: Hashes, points: Integers) -> Floats:
    """The random walk at each point, in steps whose standard deviation is one a minute."""
    total: Floats = np.zeros((keys.shape[0], points.shape[0]))
    for level in range(1, LEVELS + 1):
        width = 1 << level
        triangle = 1 - np.abs((points & (width - 1)) * (2 / width) - 1)
        height = float(width) ** 0.5 / 2
        total += _normal(keys, level, points >> level) * (triangle * height)
    return total


def _busyness(part_of_session: Floats) -> Floats:
    """How much more is traded near the open and the close than at noon."""
    return 0.6 + 1.9 * (2 * part_of_session - 1) ** 4


def _key(seed: int, ticker: str) -> int:
    digest = hashlib.blake2b(f"{seed}:{ticker}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _hash(keys: Hashes, channel: int, index: Integers) -> Hashes:
    """64 even bits from key, channel and index (the finaliser of splitmix64)."""
    bits = (index.astype(np.uint64) + np.uint64(channel << 40)) * np.uint64(0x9E3779B97F4A7C15)
    mixed: Hashes = bits[np.newaxis, :] ^ keys
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _uniform(keys: Hashes, channel: int, index: Integers) -> Floats:
    """Even numbers from 0 to 1, 1 excluded."""
    upper: Floats = (_hash(keys, channel, index) >> np.uint64(11)).astype(np.float64)
    return upper * 2.0**-53


def _normal(keys: Hashes, channel: int, index: Integers) -> Floats:
    """Nearly normal numbers, mean 0 and deviation 1: the sum of a hash's four 16-bit parts."""
    bits = _hash(keys, channel, index)
    parts = np.zeros(bits.shape)
    for shift in (0, 16, 32, 48):
        parts += (bits >> np.uint64(shift)) & np.uint64(0xFFFF)
    centred: Floats = (parts - 2 * 65_535) * (3**0.5 / 65_536)
    return centred
