"""Who answers questions about bars: stocks.db, unless something else was put in its place."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from database import bars, gaps, schema, smart_fetch
from database.bars import Bar

if TYPE_CHECKING:
    from database.arrays import BarArrays


class BarSource(Protocol):
    """Answers with bars that have ended, oldest first. Arguments are checked by db_manager.

    Moments are aware UTC; ranges include both ends.
    """

    def at_hand(self, ticker: Any, requirement_type: Any, request: dict[str, Any]) -> Any:
        """The answer to a request of get_data_for_algorithm where it needs no checks; else None."""

    def last_bars(self, ticker: str, n: int, before: object) -> list[Bar]:
        """The ``n`` newest bars that ended by ``before`` (None: now), fetched where possible."""

    def time_range(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        """The bars within ``first``..``last``, fetched where possible."""

    def newest(self, ticker: str, n: int, until: datetime) -> list[Bar]:
        """The ``n`` newest bars up to the minute ``until``."""

    def between(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        """The bars within ``first``..``last``."""

    def arrays(self, ticker: str, first: datetime, last: datetime) -> "BarArrays":
        """The same as numpy arrays."""

    def count(self, ticker: str, first: datetime, last: datetime) -> int:
        """How many bars lie within ``first``..``last``."""

    def latest_price(self, ticker: str) -> float | None:
        """The newest bar's close in dollars."""

    def missing(self, ticker: str, wanted: gaps.Range) -> list[gaps.Range]:
        """The parts of ``wanted`` that nobody has answered for."""


class StoredBars:
    """Answers from stocks.db, and fetches what was never asked for."""

    def at_hand(self, ticker: Any, requirement_type: Any, request: dict[str, Any]) -> Any:
        return None

    def last_bars(self, ticker: str, n: int, before: object) -> list[Bar]:
        return smart_fetch.last_bars(ticker, n, before)

    def time_range(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        return smart_fetch.time_range(ticker, first, last)

    def newest(self, ticker: str, n: int, until: datetime) -> list[Bar]:
        return bars.newest(schema.stocks(), ticker, n, until)

    def between(self, ticker: str, first: datetime, last: datetime) -> list[Bar]:
        return bars.between(schema.stocks(), ticker, first, last)

    def arrays(self, ticker: str, first: datetime, last: datetime) -> "BarArrays":
        from database import arrays  # numpy takes a tenth of a second

        return arrays.between(schema.stocks(), ticker, first, last)

    def count(self, ticker: str, first: datetime, last: datetime) -> int:
        return bars.count(schema.stocks(), ticker, first, last)

    def latest_price(self, ticker: str) -> float | None:
        return bars.latest_price(schema.stocks(), ticker)

    def missing(self, ticker: str, wanted: gaps.Range) -> list[gaps.Range]:
        return gaps.missing(schema.stocks(), ticker, wanted)
