"""The calendar in force: the file's sessions with the broker's corrections, as stocks.db keeps them."""

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from database import corrections
from orchestra.base import clock, settings
from orchestra.base.market_calendar import MarketCalendar, Session, nyse
from orchestra.base.settings import Settings

LOOKED_AGAIN_SECONDS = 1.0  # machine seconds until another process's correction is seen here

log = logging.getLogger("autotrader.database")


@dataclass(frozen=True)
class _Known:
    """The calendar as last built, for which settings and which state of the table."""

    settings: Settings
    state: str | None  # of the table, as ``corrections.state`` names it
    at: float  # on clock.elapsed's scale
    calendar: MarketCalendar


_known: _Known | None = None
_held: MarketCalendar | None = None


def calendar() -> MarketCalendar:
    """Return the calendar in force; the same object until the table ``sessions`` changes.

    Where stocks.db cannot be read it is the last known: the market's hours do not hang on our disk.
    """
    global _known
    if _held is not None:
        return _held
    known, chosen, now = _known, settings.current(), clock.elapsed()
    if known is not None and known.settings is not chosen:
        known = None
    if known is None or now - known.at > LOOKED_AGAIN_SECONDS:
        known = _known = _look(known, chosen, now)
    return known.calendar


def correct(found: Mapping[date, Session | None]) -> None:
    """Enter days as the broker has them; from now on ``calendar`` answers with them."""
    global _known
    corrections.record_corrections(found)
    _known = None


@contextmanager
def held(found: MarketCalendar) -> Iterator[None]:
    """Keep to this calendar in this process, whatever stocks.db says."""
    global _held
    before, _held = _held, found
    try:
        yield
    finally:
        _held = before


def _look(known: _Known | None, chosen: Settings, now: float) -> _Known:
    try:
        state = corrections.state()
        if known is not None and known.state == state:
            return replace(known, at=now)
        found = corrections.recorded_corrections() if state else {}
    except (sqlite3.Error, OSError) as error:
        log.warning("The broker's corrections to the calendar cannot be read: %s", error)
        return replace(known, at=now) if known else _Known(chosen, "unread", now, nyse())
    return _Known(chosen, state, now, nyse().corrected(found) if found else nyse())
