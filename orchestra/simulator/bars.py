"""What a minute bar is, where bars come from, and how they are put together to longer ones."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

MINUTE_SECONDS = 60


class Bar(NamedTuple):
    """Trades of one interval. ``start`` is in unix seconds; prices are dollars."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int
    vwap: float


class BarSource(Protocol):
    """Minute bars as a function of ticker and time; it knows no clock and shows the future too."""

    @property
    def label(self) -> str:
        """Name the contents, so that a database filled from others is told apart."""

    def tickers(self) -> list[str]:
        """List the tickers that have bars at some time."""

    def bars(
        self, ticker: str, first: int, last: int, limit: int, newest_first: bool = False
    ) -> list[Bar]:
        """Return at most ``limit`` bars that start within first..last, fewer only at the range's end."""

    def minute(self, tickers: list[str], start: int) -> dict[str, Bar]:
        """Return the bars of one minute, without tickers that had no trade in it."""


def merged(bars: Iterable[Bar], start: int) -> Bar:
    """Put bars, in order and at least one, together to a longer one that starts at ``start``."""
    rows = list(bars)
    volume = sum(bar.volume for bar in rows)
    turnover = sum(bar.vwap * bar.volume for bar in rows)
    return Bar(
        start,
        rows[0].open,
        max(bar.high for bar in rows),
        min(bar.low for bar in rows),
        rows[-1].close,
        volume,
        sum(bar.trades for bar in rows),
        round(turnover / volume, 6) if volume else rows[-1].close,
    )
