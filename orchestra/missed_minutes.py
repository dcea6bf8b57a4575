"""Puts open minutes on record in which the cards were not asked, and why."""

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Any

from database.calendar import calendar
from orchestra.asking import journal_skipped
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, floor_minute
from system_databse import decision_journal, heartbeats, system_db_manager

log = logging.getLogger("autotrader.orchestrator")


def note_skipped(last_minute: datetime, until: datetime) -> None:
    """Note the minutes after ``last_minute`` and before ``until``: the cycle before was still at work."""
    first, end = calendar().minute_number(last_minute + MINUTE), calendar().minute_number(until)
    if first < end:
        log.warning("%d minutes were skipped before %s", end - first, clock.stamp(until))
        _journal(range(first, end), "skipped: the cycle before took too long")


def note_failed(minute: datetime, error: Exception) -> None:
    """Note that a minute's cycle ended early; the cards it had asked keep their answers."""
    number = calendar().minute_number(minute)
    reason = f"skipped: the cycle failed ({type(error).__name__}), see the log"
    _journal(range(number, number + 1), reason)


def note_unstored(since: datetime, until: datetime, why: str) -> None:
    """Note the minutes from ``since`` and before ``until``, in which nothing could be stored, and why."""
    first = calendar().minute_number(floor_minute(since))
    end = calendar().minute_number(until)
    _journal(range(first, end), f"skipped: {why}")


def note_untrusted_clock(
    cards: Collection[dict[str, Any]], since: datetime, until: datetime
) -> None:
    """Note the minutes that start from ``since`` on and before ``until``, by the broker's clock.

    ``cards`` are those that ran meanwhile: their own stamps are not to be trusted.
    """
    first, end = calendar().minute_number(since), calendar().minute_number(until)
    minutes = map(calendar().minute_at, range(first, end))
    journal_skipped(
        [(card, minute) for minute in minutes for card in cards], "skipped: the clock is not set"
    )


def note_restart(left_at: str) -> None:
    """Tell of a restart; ``left_at`` is the stamp of the last sign of life before it."""
    heartbeats.record_event("restarted", f"The trader was started again; it had left at {left_at}.")


def note_downtime(now: datetime) -> None:
    """Tell of the open minutes before ``now`` that no trader kept, to the minute.

    They begin after the last one in which every card is on record: a trader that was killed may have
    asked some cards of its last minute and not others. A card stopped meanwhile missed those before.
    """
    missed: set[int] = set()
    for since, until in decision_journal.unrecorded(now):
        first = calendar().minute_number(clock.parse(since) + MINUTE)
        missed.update(range(first, calendar().minute_number(floor_minute(clock.parse(until)))))
    if missed:
        begin, last = (clock.stamp(calendar().minute_at(n)) for n in (min(missed), max(missed)))
        heartbeats.record_event(
            "downtime",
            f"{len(missed)} open minutes from {begin} to {last} passed without a trader at work:"
            " no card, or not every one, was asked in them.",
        )
        log.warning("%d open minutes passed without a trader at work", len(missed))


def _journal(numbers: range, reason: str) -> None:
    """Put it on record with every card that was running throughout a minute, stopped since or not."""
    cards = system_db_manager.get_all_algorithms()
    minutes = [calendar().minute_at(number) for number in numbers]
    journal_skipped(
        [(card, minute) for minute in minutes for card in cards if _ran_through(card, minute)],
        reason,
    )


def _ran_through(card: dict[str, Any], minute: datetime) -> bool:
    stopped: str | None = card["stopped_at"]
    was_there: bool = card["created_at"] <= clock.stamp(minute)
    return was_there and (stopped is None or stopped >= clock.stamp(minute + MINUTE))
