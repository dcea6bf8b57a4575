"""Notices a stream that is connected and yet brings nothing, brings it late, or was never told to."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from database import arrivals, bars, schema
from database.calendar import calendar
from orchestra.base import clock
from orchestra.base.market_calendar import GRID_MINUTES, MINUTE, floor_minute

CONFIRM_SECONDS = 10.0  # machine seconds in which a subscription is confirmed
CHANCE = 1e-4  # a silence less likely than this is no accident
MOST_CERTAIN, UNKNOWN_SHARE = 0.98, 0.5  # of minutes with a bar; the latter where nothing is stored
LONGEST_MINUTES = 60  # open minutes of silence that are believed of the thinnest tickers
BEHIND_BARS = 5  # so many bars in a row of one ticker may be late, or fetched because they lacked
BEHIND_SECONDS = 30.0  # machine seconds; on a fast market clock a busy machine is late for as long
LOOKED_BACK = timedelta(hours=2)
MOST_PATIENCE = 8  # how much longer it waits after reconnecting did not help


class StreamWatch:
    """One stream's watch: told what is so, it says what is wrong, or nothing."""

    def __init__(self) -> None:
        self.trouble = ""  # what was wrong last, until it is seen to be well again
        self._heard = -1  # bars received when last looked at
        self._since: datetime | None = None  # market time from which silence counts
        self._connected: datetime | None = None  # market time from which arrivals are judged
        self._unconfirmed_at: float | None = None
        self._patience = 1
        self._judged: datetime | None = None  # the minute in which arrivals were last judged
        self._behind: tuple[float, str, int] | None = None  # since when, who, and by how many bars
        self._patience_behind = 1
        self._shares: dict[str, tuple[object, float]] = {}  # by ticker, with the day they are of

    def look(
        self, connected: bool, heard: int, tickers: frozenset[str], confirmed: frozenset[str]
    ) -> str:
        """Return why the connection should be made anew; empty while all is as it should be.

        Once it has said so it begins anew, more patient until that is well again.
        """
        now = clock.now()
        if heard != self._heard:
            self._patience = 1 if self._heard >= 0 else self._patience
            self._heard, self._since = heard, now
            if self._patience_behind == 1:
                self.trouble = ""
        if not connected or self._since is None or self._connected is None:
            self._since, self._connected, self._unconfirmed_at = now, now, None
            return ""
        found = (
            self._unconfirmed(tickers - confirmed)
            or self._silent(tickers, now)
            or self._late(tickers, now)
        )
        if found:
            self.trouble = found
            self._since = self._connected = now
            self._unconfirmed_at = self._judged = self._behind = None
        return found

    def _unconfirmed(self, lacking: frozenset[str]) -> str:
        if not lacking:
            self._unconfirmed_at = None
        elif self._unconfirmed_at is None:
            self._unconfirmed_at = clock.elapsed()
        elif clock.elapsed() - self._unconfirmed_at > CONFIRM_SECONDS * self._patience:
            self._patience = min(2 * self._patience, MOST_PATIENCE)
            return f"the subscription of {', '.join(sorted(lacking))} is not confirmed"
        return ""

    def _silent(self, tickers: frozenset[str], now: datetime) -> str:
        assert self._since is not None
        # The minute in progress, and the one whose bar may be on its way, say nothing
        silent = calendar().open_minutes(self._since, now - 2 * MINUTE)
        if silent <= self._patience * self.believed(tickers):
            return ""
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        return f"connected, but no bar for {silent} minutes"

    def _late(self, tickers: frozenset[str], now: datetime) -> str:
        """Say whose bars have to be fetched, or come after the cycle asked, one after the other."""
        if self._judged != floor_minute(now):
            self._judged = floor_minute(now)
            self._judge(tickers, now)
        if self._behind is None:
            return ""
        since, ticker, count = self._behind
        if (
            count < BEHIND_BARS * self._patience_behind
            or clock.elapsed() - since < BEHIND_SECONDS * self._patience_behind
        ):
            return ""
        self._patience_behind = min(2 * self._patience_behind, MOST_PATIENCE)
        return f"{count} bars of {ticker} in a row came late or had to be fetched"

    def _judge(self, tickers: frozenset[str], now: datetime) -> None:
        """Find the ticker with the most bars behind since the connection was made."""
        assert self._connected is not None
        first = max(self._connected, now - LOOKED_BACK)
        known = arrivals.between(clock.stamp(first), clock.stamp(now))
        counts: dict[str, int] = {}
        for minute in known.values():
            for ticker in tickers & minute.came.keys():
                counts[ticker] = counts.get(ticker, 0) + 1 if minute.is_behind(ticker) else 0
        if not counts:
            return
        count, worst = max((count, ticker) for ticker, count in counts.items())
        if count:
            since = clock.elapsed() if self._behind is None else self._behind[0]
            self._behind = (since, worst, count)
        else:
            self._behind, self._patience_behind, self.trouble = None, 1, ""

    def believed(self, tickers: Iterable[str]) -> int:
        """How many open minutes without any bar of these tickers may be an accident."""
        nothing = sum(math.log(1 - min(self._share(each), MOST_CERTAIN)) for each in tickers)
        if nothing == 0:
            return LONGEST_MINUTES
        return min(LONGEST_MINUTES, math.ceil(math.log(CHANCE) / nothing))

    def _share(self, ticker: str) -> float:
        """In which share of the last session's minutes the ticker had a bar."""
        session = calendar().latest_session(clock.now() - GRID_MINUTES * MINUTE)
        if session is None:
            return UNKNOWN_SHARE
        found = self._shares.get(ticker)
        if found is None or found[0] != session.day:
            count = bars.count(schema.stocks(), ticker, session.open, session.close - MINUTE)
            found = (session.day, count / session.minutes if count else UNKNOWN_SHARE)
            if count:
                self._shares[ticker] = found
        return found[1]
