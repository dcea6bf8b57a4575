"""What is done once after each close: old rows are dropped and the session's report is made."""

import logging
from datetime import datetime

from database import arrivals
from database.calendar import calendar
from database.historical_pull import HistoricalFetcher
from orchestra import daily_report, splits
from orchestra.base import clock, systemd
from orchestra.base.errors import ExchangeUnavailable, ForeignContents, StorageBlocked
from orchestra.base.market_calendar import MINUTE, NEW_YORK
from system_databse import (
    card_calculations,
    cycle_journal,
    decision_journal,
    system_db_manager,
)

JOURNALS_KEPT = decision_journal.KEPT

log = logging.getLogger("autotrader.orchestrator")


def after_close(now: datetime) -> None:
    """Drop what is older than is kept, and make the reports that are due. Raises StorageBlocked."""
    before = now - JOURNALS_KEPT
    decision_journal.prune(before)
    arrivals.prune(before)
    cycle_journal.prune(before)
    make_reports(now)


def make_reports(now: datetime) -> None:
    """Make the reports that are due; one that cannot be made is in the log and stops nothing."""
    try:
        _have_bars(now)
        daily_report.write_missing(now)
    except StorageBlocked:
        raise
    except Exception:
        log.exception("The daily report could not be made")


def _have_bars(now: datetime) -> None:
    """Fetch what came up to the last close while nobody listened: a report is kept at its last prices."""
    running = calendar().session_at(now)
    last = calendar().last_minute(now if running is None else running.open - MINUTE)
    session = None if last is None else calendar().session_at(last)
    if last is None or session is None:
        return
    sums = card_calculations.all_card_sums()
    tickers = {
        card["ticker"]
        for card in system_db_manager.get_all_algorithms()
        if card["status"] == "running"
        or card["stopped_at"] >= clock.stamp(session.open)
        or (card["id"] in sums and sums[card["id"]].shares)
    }
    try:
        # Of these the price before the split is the one that fits their shares
        tickers -= splits.unfollowed(tickers, now.astimezone(NEW_YORK).date())
        for ticker in sorted(tickers):
            systemd.alive()
            HistoricalFetcher().close_gaps([ticker], last)
    except (ExchangeUnavailable, ForeignContents, StorageBlocked) as error:
        log.warning("Reports are made without all bars: %s", error)
