"""What is known of each open minute of a ticker: bar, late, no trade or missing.

Nothing is stored for it: bars and coverage say whether there is a bar, ``arrivals`` when it came.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from database import arrivals, bars, checks, gaps, schema
from database.arrivals import MinuteArrivals, Way
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE


@dataclass(frozen=True)
class Verdict:
    """One open minute: bar, late (a bar that came after the cycle had asked), no trade or missing.

    ``asked_at`` is the stamp at which a cycle asked. ``arrived_at`` and ``delay``, the market seconds
    from the minute's end until the bar came, are known of followed tickers; ``way`` says how it came.
    """

    minute: str
    verdict: str
    asked_at: str | None = None
    arrived_at: str | None = None
    delay: float | None = None
    way: Way | None = None


def verdicts(ticker: str, start: str, end: str) -> list[Verdict]:
    """Return the verdict on each ended open minute within ``start``..``end``, in order."""
    first, last = checks.span(start, end)
    checks.ticker(ticker)
    last = min(last, bars.newest_visible())
    return judge(ticker, first, last, arrivals.between(clock.stamp(first), clock.stamp(last)))


def judge(
    ticker: str, first: datetime, last: datetime, known: dict[str, MinuteArrivals]
) -> list[Verdict]:
    """The same for ended minutes of which the arrivals have been read."""
    wanted = gaps.within(first, last)
    if wanted is None:
        return []
    connection = schema.stocks()
    held = {row[0] for row in bars.between_rows(connection, ticker, first, last)}
    unknown = {
        n for low, high in gaps.missing(connection, ticker, wanted) for n in range(low, high + 1)
    }
    found = []
    for number in range(wanted[0], wanted[1] + 1):
        minute = gaps.stamp_of(number)
        if minute in held:
            found.append(_of_bar(ticker, minute, known.get(minute)))
        else:
            found.append(Verdict(minute, "missing" if number in unknown else "no trade"))
    return found


def _of_bar(ticker: str, minute: str, known: MinuteArrivals | None) -> Verdict:
    if known is None:
        return Verdict(minute, "bar")
    verdict = "late" if known.is_late(ticker) else "bar"
    asked_at = None if known.asked is None else _stamp(minute, known.asked)
    arrival = known.came.get(ticker)
    if arrival is None:
        return Verdict(minute, verdict, asked_at)
    ms = arrival.milliseconds
    return Verdict(minute, verdict, asked_at, _stamp(minute, ms), ms / 1000, arrival.way)


def _stamp(minute: str, milliseconds: int) -> str:
    return clock.stamp(clock.parse(minute) + MINUTE + timedelta(milliseconds=milliseconds))


def late_since(moment: datetime) -> int:
    """Count the bars of minutes since ``moment`` that arrived after a cycle had asked."""
    known = arrivals.between(clock.stamp(moment), clock.stamp())
    return sum(minute.is_late(ticker) for minute in known.values() for ticker in minute.came)
