"""The terminal without keys: its clock, and the cards it begins with."""

import os
import sqlite3
from contextlib import suppress

from database import contents, recorded_files
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import AutoTraderError
from orchestra.base.settings import Settings
from system_databse import heartbeats, system_db_manager

DEMO_START = "2024-06-03T13:25:00Z"  # a Monday, five minutes before the open
DEMO_SPEED = "60"  # one market minute a second
DEMO_CARDS = (("NVDA", 10_000), ("AAPL", 10_000), ("SPY", 15_000))
DEMO_ALGORITHM = "sma_crossover"


def clock_settings(chosen: Settings) -> dict[str, str]:
    """Return the clock settings all processes share: a simulated terminal goes on where it stopped.

    Empty on the real clock, and where an anchor is set: then the clock is somebody else's to set.
    """
    start, speed = chosen.market_clock_start, f"{chosen.market_clock_speed:g}"
    skip_closed = chosen.market_clock_skip_closed
    if start is None and chosen.market_clock_speed == 1:
        if not chosen.simulated_by_default:
            return {}
        start, speed, skip_closed = clock.parse(DEMO_START), DEMO_SPEED, True
    if (chosen.market_clock_anchor, chosen.market_clock_steady_anchor) != (None, None):
        return {}
    begin = clock.stamp(start or clock.machine_now())
    stopped_at = heartbeats.newest_market_time() or begin
    return {
        "MARKET_CLOCK_START": max(begin, stopped_at),
        "MARKET_CLOCK_SPEED": speed,
        "MARKET_CLOCK_SKIP_CLOSED": str(skip_closed),
        # A machine without a battery learns the time minutes after its start: no market week may pass then
        "MARKET_CLOCK_STEADY_ANCHOR": repr(clock.elapsed()),
    }


def set_clock(chosen: Settings) -> dict[str, str]:
    """Begin the clock that all processes share, here and for those started from here; return its settings."""
    shared = clock_settings(chosen)
    _adopt(shared)
    return shared


def join_clock() -> None:
    """Let market time in a command at the keyboard be where the simulated terminal is, or stopped.

    By the machine's clock the command would show days that this market has not had, and its exchange's
    answer about them would be stored as minutes without a trade.
    """
    chosen = settings.current()
    if not chosen.simulated_by_default or not chosen.system_db_path.exists():
        return
    with suppress(AutoTraderError, sqlite3.Error):  # what cannot be read, the command itself tells
        has_run = heartbeats.newest_market_time() is not None
        if has_run and contents.recorded_source() != recorded_files.SOURCE:
            shared = clock_settings(chosen)
            _adopt(shared and {**shared, "MARKET_CLOCK_SPEED": "1"})  # never ahead of the terminal
    sqlite.close_kept()  # the command may fork, or put another ledger in this one's place


def add_cards_to_new_ledger() -> None:
    """Give a simulated ledger that never had a card three to look at."""
    if system_db_manager.get_all_algorithms():
        return
    for ticker, capital in DEMO_CARDS:
        system_db_manager.create_algorithm(ticker, DEMO_ALGORITHM, capital)


def _adopt(shared: dict[str, str]) -> None:
    os.environ.update(shared)
    settings.adopt(None)
    clock.reset()
