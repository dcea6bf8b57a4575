"""Recorded minutes from a folder of TICKER/YYYY-MM-DD.csv (timestamp,open,high,low,close,volume)."""

import csv
import hashlib
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

from orchestra.base import clock
from orchestra.base.errors import SettingsError
from orchestra.simulator.bars import Bar

SHARES_A_TRADE = 100  # recordings carry no count of trades; Alpaca's bars do
CACHED_FILES = 256  # about 30 MB


class RecordedBars:
    """Bars as recorded: none before a ticker's first file, none where a file or a minute is missing."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SettingsError(f"Setting SIMULATOR_BARS: there is no folder {folder}.")
        self._folder = folder
        self._days: dict[str, list[date]] = {}
        for file in sorted(folder.glob("*/*.csv")):
            self._days.setdefault(file.parent.name, []).append(_day_of(file))
        if not self._days:
            raise SettingsError(f"Setting SIMULATOR_BARS: no TICKER/YYYY-MM-DD.csv in {folder}.")
        self._read = lru_cache(maxsize=CACHED_FILES)(self._read_file)

    @cached_property
    def label(self) -> str:
        """``recorded:`` and 12 hex digits over the files' names and contents."""
        digest = hashlib.sha256()
        for ticker in sorted(self._days):
            for day in self._days[ticker]:
                digest.update(f"{ticker}/{day}.csv\0".encode())
                digest.update((self._folder / ticker / f"{day}.csv").read_bytes())
        return f"recorded:{digest.hexdigest()[:12]}"

    def tickers(self) -> list[str]:
        """List the tickers that have files."""
        return sorted(self._days)

    def bars(
        self, ticker: str, first: int, last: int, limit: int, newest_first: bool = False
    ) -> list[Bar]:
        """Return at most ``limit`` bars that start within first..last (unix seconds, both included)."""
        days = self._days.get(ticker, [])
        # a session's UTC hours never leave its date, but whoever recorded nights may have some
        low = bisect_left(days, _utc_day(first) - timedelta(days=1))
        high = bisect_right(days, _utc_day(last))
        found: list[Bar] = []
        for day in reversed(days[low:high]) if newest_first else days[low:high]:
            rows = self._read(ticker, day)
            begin = bisect_left(rows, first, key=lambda bar: bar.start)
            end = bisect_right(rows, last, key=lambda bar: bar.start)
            found += rows[begin:end][::-1] if newest_first else rows[begin:end]
            if len(found) >= limit:
                break
        return found[:limit]

    def minute(self, tickers: list[str], start: int) -> dict[str, Bar]:
        """Return the recorded bars of one minute."""
        found = {ticker: self.bars(ticker, start, start, 1) for ticker in tickers}
        return {ticker: bars[0] for ticker, bars in found.items() if bars}

    def _read_file(self, ticker: str, day: date) -> list[Bar]:
        path = self._folder / ticker / f"{day}.csv"
        bars = []
        with path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    bars.append(_bar(row))
                except (KeyError, TypeError, ValueError):
                    raise SettingsError(
                        f"{path}, line {number}: expected timestamp (UTC, like"
                        f" 2024-01-02T14:30:00Z),open,high,low,close,volume, was {row}."
                    ) from None
        return sorted(bars)


def _bar(row: dict[str, str]) -> Bar:
    prices = [float(row[name]) for name in ("open", "high", "low", "close")]
    volume = round(float(row["volume"]))
    start = int(clock.parse(row["timestamp"]).timestamp())
    opening, high, low, closing = prices
    trades = max(1, volume // SHARES_A_TRADE)
    return Bar(start, opening, high, low, closing, volume, trades, round(sum(prices) / 4, 6))


def _day_of(file: Path) -> date:
    try:
        return date.fromisoformat(file.stem)
    except ValueError:
        raise SettingsError(
            f"Setting SIMULATOR_BARS: expected files named YYYY-MM-DD.csv, found {file}."
        ) from None


def _utc_day(unix: int) -> date:
    return datetime.fromtimestamp(max(unix, 0), UTC).date()
