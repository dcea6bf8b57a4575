"""Bars of other lengths than a minute, put together from minutes: 1-59 minutes, 1-23 hours, days."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from orchestra.base import clock
from orchestra.base.market_calendar import NEW_YORK, Session, new_york
from orchestra.simulator.bars import MINUTE_SECONDS, Bar, merged
from orchestra.simulator.market import Market, unix
from orchestra.simulator.refusals import invalid

_WORDS = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D)")
_MINUTES = {"M": 1, "T": 1, "H": 60}
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Timeframe:
    """Bars of so many minutes; 0 stands for a day, which is a session."""

    minutes: int

    def bars(
        self,
        market: Market,
        symbol: str,
        first: int,
        last: int,
        limit: int,
        newest_first: bool = False,
    ) -> list[Bar]:
        """Return at most ``limit`` ended bars that start within first..last, in unix seconds."""
        if self.minutes == 1:
            return market.bars(symbol, first, last, limit, newest_first)
        found: list[Bar] = []
        sessions = _sessions(market, first - self.minutes * MINUTE_SECONDS, last)
        for session in reversed(sessions) if newest_first else sessions:
            rows = self._of_session(market, symbol, session)
            chosen = [bar for bar in rows if first <= bar.start <= last]
            found += chosen[::-1] if newest_first else chosen
            if len(found) >= limit:
                break
        return found[:limit]

    def _of_session(self, market: Market, symbol: str, session: Session) -> list[Bar]:
        """The session's bars that have ended; the last one ends with the session."""
        now = clock.now().timestamp()
        if self.minutes == 0:
            bar = market.day_bar(symbol, session) if unix(session.close) <= now else None
            return [bar._replace(start=unix(new_york(session.day, "00:00")))] if bar else []
        seconds = self.minutes * MINUTE_SECONDS
        minutes = market.bars(symbol, unix(session.open), unix(session.close) - 1, session.minutes)
        grouped = groupby(minutes, key=lambda bar: bar.start // seconds * seconds)
        return [
            merged(group, start)
            for start, group in grouped
            if min(start + seconds, unix(session.close)) <= now
        ]


def timeframe(text: str) -> Timeframe:
    """Read 1Min to 59Min, 1Hour to 23Hour or 1Day. Raises Refusal on others."""
    match = _WORDS.fullmatch(text)
    if match:
        count, unit = int(match[1]), match[2][0]
        if unit == "D" and count == 1:
            return Timeframe(0)
        if (unit in "MT" and 1 <= count <= 59) or (unit == "H" and 1 <= count <= 23):
            return Timeframe(count * _MINUTES[unit])
    raise invalid(f"invalid timeframe: {text}, expected 1Min to 59Min, 1Hour to 23Hour or 1Day")


def _sessions(market: Market, first: int, last: int) -> list[Session]:
    """The sessions that begin at or before ``last`` and whose day is not before that of ``first``."""
    now = clock.now()
    begin = datetime.fromtimestamp(max(first, 0), UTC).astimezone(NEW_YORK).date() - _DAY
    end = min(datetime.fromtimestamp(max(last, 0), UTC), now).astimezone(NEW_YORK).date()
    return market.calendar().sessions_between(begin, end)
