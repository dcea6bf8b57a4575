"""How the data of a session came: what a daily report says of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from database import arrivals, bars, checks, schema, verdicts
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, Session


@dataclass(frozen=True)
class SessionData:
    """Counts are minutes of tickers, together ``minutes``. Delays are market seconds after a minute's end.

    ``late`` bars came after the cycle had asked. Of bars whose arrival is not known (history from
    before the ticker was followed) no delay is counted; without any, delays are None.
    """

    minutes: int  # ended open minutes, of all tickers together
    on_time: int  # with a bar that was there when the cycle asked
    late: int
    no_trade: int  # the exchange says there was none
    missing: int  # not known
    gaps_closed: int  # bars among the above that the stream did not bring, and REST did
    corrected: int  # bars that the exchange corrected after it had sent them
    delay_median: float | None
    delay_p99: float | None
    delay_longest: float | None


def session_data(tickers: Iterable[str], session: Session) -> SessionData:
    """Sum up a session, so far as it has ended, for the given tickers together."""
    tickers = list(dict.fromkeys(checks.ticker(ticker) for ticker in tickers))
    last = min(session.close - MINUTE, bars.newest_visible())
    known = arrivals.between(clock.stamp(session.open), clock.stamp(last))
    found = [
        each for ticker in tickers for each in verdicts.judge(ticker, session.open, last, known)
    ]
    corrected = {
        (ticker, bar["timestamp"])
        for ticker in tickers
        for bar in bars.replaced(schema.stocks(), ticker, session.open, last)
    }
    words = [each.verdict for each in found]
    delays = sorted(each.delay for each in found if each.delay is not None)
    return SessionData(
        minutes=len(found),
        on_time=words.count("bar"),
        late=words.count("late"),
        no_trade=words.count("no trade"),
        missing=words.count("missing"),
        gaps_closed=sum(each.way == "fetched" for each in found),
        corrected=len(corrected),
        delay_median=_quantile(delays, 0.5),
        delay_p99=_quantile(delays, 0.99),
        delay_longest=delays[-1] if delays else None,
    )


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of all do not exceed (the nearest rank)."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
