"""Has each followed ticker's history at hand before an algorithm asks for it, or the wall shows its worth."""

import logging

from database import db_manager, smart_fetch
from database.calendar import calendar
from orchestra.base import clock, systemd
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable, StorageBlocked
from orchestra.base.market_calendar import NEW_YORK
from orchestra.splits import unfollowed

PREFETCHED_BARS = 200
LOOK_SECONDS = 300.0  # machine seconds until the record is asked again about tickers that were left

log = logging.getLogger("autotrader.orchestrator")


class Prefetch:
    """Knows which tickers were seen to; one object lives as long as the process."""

    def __init__(self) -> None:
        self._prefetched: set[str] = set()
        self._left: set[str] = set()  # to the session, as of the last look at the record of splits
        self._left_until = 0.0  # on clock.elapsed's scale

    def forget(self) -> None:
        """Have every ticker's history fetched again: stocks.db is a new one."""
        self._prefetched.clear()

    def have(self, tickers: set[str]) -> None:
        """Have each ticker's history at hand, back beyond today's open: today's P&L begins there.

        Once in a process, and again where it is gone, as after a split: then of one ticker a minute, for
        an exchange that is out of reach must not use it up. Nor do others follow one that it failed for.
        """
        session = calendar().latest_session(clock.now())
        if session is None:
            return
        so_far = calendar().open_minutes(session.open, clock.now())
        known = sorted(tickers & self._prefetched)
        gone = [each for each in known if db_manager.newest_bar(each, session.open) is None]
        again = {gone[so_far % len(gone)]} if gone else set()
        for ticker in [*self._wanted(tickers - self._prefetched), *again]:
            self._prefetched.add(ticker)
            systemd.alive()
            try:
                smart_fetch.prefetch(ticker, PREFETCHED_BARS + so_far)
            except AutoTraderError as error:
                log.error("The history of %s cannot be fetched: %s", ticker, error)
                if isinstance(error, StorageBlocked):
                    self._prefetched.discard(ticker)
                if isinstance(error, ExchangeUnavailable | StorageBlocked):
                    return

    def _wanted(self, tickers: set[str]) -> list[str]:
        """Leave to the session what was split and is not followed yet: its shares are of before that."""
        now = clock.now()
        if calendar().is_open(now):
            return sorted(tickers)
        if clock.elapsed() >= self._left_until:
            self._left.clear()
        tickers = tickers - self._left
        if tickers:
            self._left_until = clock.elapsed() + LOOK_SECONDS
            try:
                self._left |= unfollowed(tickers, now.astimezone(NEW_YORK).date())
            except ExchangeUnavailable as error:
                log.warning("Splits could not be looked up: %s", error)
                self._left |= tickers
        return sorted(tickers - self._left)
