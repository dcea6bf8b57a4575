"""Bars of the past held in memory: db_manager's answers in a backtest, as of the minute it is at.

Every answer is bounded by what had ended by then, so no question reaches the future. The bars handed out
are the same dicts each time, which is what makes it fast; ``unchanged`` tells whether an algorithm wrote
into one, and ``copies`` hands out copies instead.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter, ne
from typing import TYPE_CHECKING, Any

from database import bars, checks, gaps
from database.bars import Bar, Row
from orchestra.base import clock

if TYPE_CHECKING:
    from database.arrays import BarArrays

CLOSE = 4  # its place in a row
STAMP = itemgetter(0)
FIGURES = itemgetter(*checks.FIELDS)
Load = Callable[[str], list[Row]]


def read(connection: sqlite3.Connection, ticker: str, first: str, last: str) -> list[Row]:
    """All stored rows within two stamps, whatever the clock says: who asks holds them back himself."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(bars.BETWEEN, (ticker, first, last)).fetchall()


class _Series:
    """One ticker's bars, oldest first, as rows and as the dicts that are handed out."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.stamps = list(map(STAMP, rows))
        self.bars = bars.dicts(rows)

    def unchanged(self, ended: int) -> bool:
        """Whether the first ``ended`` dicts still say what the rows say, and nothing more."""
        figures = map(FIGURES, islice(self.bars, ended))  # a tuple at a time: a year's are 10 MB
        try:
            if any(map(ne, figures, self.rows)):
                return False
        except KeyError:
            return False
        return sum(map(len, islice(self.bars, ended))) == len(checks.FIELDS) * ended


class PastBars:
    """A BarSource over ``rows`` of one ticker; another one's are loaded when it is first asked for.

    ``begin`` is the first stamp that may be read. Whoever steps through the minutes sets ``now``, the
    stamp the algorithm is given, and ``ended``, how many of the rows' bars have ended by then.
    ``reaches_back`` says whether more was asked for than there is from ``begin`` on.
    """

    def __init__(
        self, ticker: str, rows: list[Row], begin: str, load: Load, copies: bool = False
    ) -> None:
        self.now = begin
        self.ended = 0
        self.reaches_back = False
        self._ticker, self._begin, self._load, self._copies = ticker, begin, load, copies
        self._main = _Series(rows)
        self._bars = self._main.bars
        self.stamps: Sequence[str] = self._main.stamps
        self._others: dict[str, _Series] = {}

    def unchanged(self) -> bool:
        """Whether every bar that may have been handed out is as it was."""
        return self._main.unchanged(self.ended) and all(
            each.unchanged(self._visible(each)) for each in self._others.values()
        )

    def at_hand(self, ticker: Any, requirement_type: Any, request: dict[str, Any]) -> Any:
        """The question that nearly every algorithm asks in every minute, without looking twice at it."""
        n = request.get("n")
        if (
            request.get("before_timestamp") is self.now
            and type(n) is int
            and n > 0
            and len(request) == 2
            and requirement_type == "last_n_bars"
            and ticker == self._ticker
            and not self._copies
        ):
            first = self.ended - n
            if first < 0:
                first, self.reaches_back = 0, True
            return self._bars[first : self.ended]
        return None

    def last_bars(self, ticker: str, n: int, before: object) -> list[Bar]:
        return self.newest(ticker, n, bars.newest_visible(before))

    def time_range(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        return self.between(ticker, first, last)

    def newest(self, ticker: str, n: int, until: datetime) -> list[Bar]:
        series, ended = self._of(ticker)
        after = bisect_right(series.stamps, clock.stamp(until), 0, ended)
        if after < n:
            self.reaches_back = True
        return self._handed(series.bars[max(0, after - n) : after])

    def between(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        series, begin, after = self._span(ticker, first, last)
        return self._handed(series.bars[begin:after])

    def arrays(self, ticker: str, first: datetime, last: datetime) -> "BarArrays":
        from database import arrays  # numpy takes a tenth of a second

        series, begin, after = self._span(ticker, first, last)
        return arrays.of_rows(series.rows[begin:after])

    def count(self, ticker: str, first: datetime, last: datetime) -> int:
        _, begin, after = self._span(ticker, first, last)
        return max(0, after - begin)

    def latest_price(self, ticker: str) -> float | None:
        series, ended = self._of(ticker)
        return series.rows[ended - 1][CLOSE] if ended else None

    def missing(self, ticker: str, wanted: gaps.Range) -> list[gaps.Range]:
        """What lies before the first minute read, or has not ended: all between counts as answered for."""
        known = gaps.within(clock.parse(self._begin), bars.newest_visible())
        return gaps.without([wanted], known)

    def _of(self, ticker: str) -> tuple[_Series, int]:
        """A ticker's bars, and how many of them have ended."""
        if ticker == self._ticker:
            return self._main, self.ended
        if ticker not in self._others:
            self._others[ticker] = _Series(self._load(ticker))
        series = self._others[ticker]
        return series, self._visible(series)

    def _visible(self, series: _Series) -> int:
        return bisect_right(series.stamps, clock.stamp(bars.newest_visible()))

    def _span(self, ticker: str, first: datetime, last: datetime) -> tuple[_Series, int, int]:
        series, ended = self._of(ticker)
        wanted = clock.stamp(first)
        if wanted < self._begin:
            self.reaches_back = True
        begin = bisect_left(series.stamps, wanted, 0, ended)
        return series, begin, bisect_right(series.stamps, clock.stamp(last), 0, ended)

    def _handed(self, found: Sequence[Bar]) -> list[Bar]:
        return [dict(bar) for bar in found] if self._copies else list(found)
