"""Puts open minutes on record in which the cards were not asked, and why."""

import logging
from datetime import datetime

from database.calendar import calendar
from orchestra.asking import journal_skipped
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, floor_minute
from system_databse import heartbeats, system_db_manager

log = logging.getLogger("autotrader.orchestrator")


def note_skipped(last_minute: datetime, until: datetime) -> None:
    """Note the minutes after ``last_minute`` and before ``until``: the cycle before was still at work."""
    first, end = calendar().minute_number(last_minute) + 1, calendar().minute_number(until)
    if first < end:
        log.warning("%d minutes were skipped before %s", end - first, clock.stamp(until))
        _journal(range(first, end), "skipped: the cycle before took too long")


def note_failed(minute: datetime, error: Exception) -> None:
    """Note that a minute's cycle ended early; the cards it had asked keep their answers."""
    number = calendar().minute_number(minute)
    reason = f"skipped: the cycle failed ({type(error).__name__}), see the log"
    _journal(range(number, number + 1), reason)


def note_unstored(since: datetime) -> None:
    """Note the minutes from ``since`` until now: the disk was full, and there was no room to."""
    first = calendar().minute_number(floor_minute(since))
    end = calendar().minute_number(clock.now())
    _journal(range(first, end), "skipped: the disk was full")


def note_restart(left_at: str) -> None:
    """Tell of a restart, and how many open minutes passed since the stamp of the last sign of life."""
    heartbeats.record_event("restarted", f"The trader was started again; it had left at {left_at}.")
    first, last = floor_minute(clock.parse(left_at)) + MINUTE, clock.now() - MINUTE
    missed = calendar().open_minutes(first, last) if first <= last else 0
    if missed and system_db_manager.get_all_algorithms("running"):
        heartbeats.record_event(
            "downtime",
            f"{missed} open minutes passed between {left_at} and {clock.stamp()} without a trader at"
            " work: no card was asked in them.",
        )
        log.warning("%d open minutes passed without a trader at work", missed)


def _journal(numbers: range, reason: str) -> None:
    cards = system_db_manager.get_all_algorithms("running")
    journal_skipped(cards, map(calendar().minute_at, numbers), reason)
