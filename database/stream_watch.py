"""Notices a stream that is connected and yet brings nothing, or was never told to."""

import math
from collections.abc import Iterable
from datetime import datetime

from database import bars, schema
from database.calendar import calendar
from orchestra.base import clock
from orchestra.base.market_calendar import GRID_MINUTES, MINUTE

CONFIRM_SECONDS = 10.0  # machine seconds in which a subscription is confirmed
CHANCE = 1e-4  # a silence less likely than this is no accident
MOST_CERTAIN, UNKNOWN_SHARE = 0.98, 0.5  # of minutes with a bar; the latter where nothing is stored
LONGEST_MINUTES = 60  # open minutes of silence that are believed of the thinnest tickers
MOST_PATIENCE = 8  # how much longer it waits after reconnecting did not help


class StreamWatch:
    """One stream's watch: told what is so, it says what is wrong, or nothing."""

    def __init__(self) -> None:
        self._heard = -1  # bars received when last looked at
        self._since: datetime | None = None  # market time from which silence counts
        self._unconfirmed_at: float | None = None
        self._patience = 1
        self._shares: dict[str, tuple[object, float]] = {}  # by ticker, with the day they are of

    def reconnected(self) -> None:
        """Begin anew, more patient until a bar comes."""
        self._since = clock.now()
        self._unconfirmed_at = None
        self._patience = min(2 * self._patience, MOST_PATIENCE)

    def look(
        self, connected: bool, heard: int, tickers: frozenset[str], confirmed: frozenset[str]
    ) -> str:
        """Return why the connection should be made anew; empty while all is as it should be."""
        now = clock.now()
        if heard != self._heard:
            self._patience = 1 if self._heard >= 0 else self._patience
            self._heard, self._since = heard, now
        if not connected or self._since is None:
            self._since, self._unconfirmed_at = now, None
            return ""
        lacking = tickers - confirmed
        if not lacking:
            self._unconfirmed_at = None
        elif self._unconfirmed_at is None:
            self._unconfirmed_at = clock.elapsed()
        elif clock.elapsed() - self._unconfirmed_at > CONFIRM_SECONDS * self._patience:
            return f"the subscription of {', '.join(sorted(lacking))} is not confirmed"
        # The minute in progress, and the one whose bar may be on its way, say nothing
        silent = calendar().open_minutes(self._since, now - 2 * MINUTE)
        if silent > self._patience * self.believed(tickers):
            return f"connected, but no bar for {silent} minutes"
        return ""

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
