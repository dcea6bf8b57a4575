"""The orchestrator's loop: when a cycle runs, and what is done while the market is closed."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from database.calendar import calendar
from orchestra import housekeeping, missed_minutes
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock, logs, settings, sqlite, systemd
from orchestra.base.errors import ExchangeUnavailable, LedgerDamaged, LedgerGone, StorageBlocked
from orchestra.base.market_calendar import MINUTE, floor_minute
from orchestra.base.single import only_one
from orchestra.blocked_storage import BlockedStorage, when_it_can_be_stored
from orchestra.broker_calendar import BrokerCalendar
from orchestra.clock_trust import ClockTrust
from orchestra.cycle import Cycle
from orchestra.deadman import Deadman
from orchestra.execution import Execution
from orchestra.first_contact import make_first_contact
from orchestra.ledger_guard import LedgerGuard
from orchestra.live_lock import refuse_unarmed_live
from orchestra.nightly import NightlyBackup
from orchestra.runner import AlgorithmRunner
from orchestra.splits import Splits
from orchestra.stocks_guard import StocksGuard
from orchestra.vital_signs import VitalSigns
from orchestra.websocket_manager import WebSocketManager
from system_databse import create_system_db, cycle_journal, heartbeats, system_db_manager

CLOSED_SLEEP = timedelta(minutes=15)
CALENDAR_WITHIN = timedelta(seconds=45)  # of a minute's start: a broker may hang for 13 seconds
RETRY_SECONDS = 5.0

log = logging.getLogger("autotrader.orchestrator")


def is_market_open(moment: datetime | None = None) -> bool:
    """Say whether the NYSE is open at ``moment`` (aware UTC; default: now)."""
    return calendar().is_open(moment or clock.now())


def run_orchestrator(stop: threading.Event | None = None) -> None:
    """Run every card's algorithm each open minute until ``stop`` is set.

    Raises SettingsError, AlreadyRunning or ForeignContents where it must not start, LedgerDamaged or
    LedgerGone where it must not go on.
    """
    stop = stop or threading.Event()
    chosen = settings.current()
    logs.start_logging("orchestrator", chosen.log_dir, chosen.log_total_bytes)
    refuse_unarmed_live()
    when_it_can_be_stored(create_system_db.create_database, stop)
    with only_one("orchestrator", settings.current().system_db_path):
        ledger, stocks = LedgerGuard(), StocksGuard()
        when_it_can_be_stored(ledger.examine, stop)
        when_it_can_be_stored(stocks.open, stop)
        with _trader(ledger, stocks) as trader:
            try:
                trader.run(stop)
            except (LedgerDamaged, LedgerGone) as error:
                log.critical("%s", error)
                raise


def run_all_algorithms() -> None:
    """Ask every running card once, for the minute that is running, and carry out what they decide.

    Raises SettingsError where LIVE trading is locked, AlreadyRunning beside another trader.
    """
    refuse_unarmed_live()
    with only_one("orchestrator", settings.current().system_db_path):
        ledger, stocks = LedgerGuard(), StocksGuard()
        ledger.examine()
        stocks.open()
        with _trader(ledger, stocks) as trader:
            trader.run_this_minute()


@contextmanager
def _trader(ledger: LedgerGuard, stocks: StocksGuard) -> Iterator["_Trader"]:
    """Start what trading needs, workers before any thread; stop it in reverse."""
    with ExitStack() as started:
        runner = started.enter_context(AlgorithmRunner())
        wrapper = AlpacaWrapper()
        execution = Execution(wrapper)
        started.callback(execution.close)
        websocket_manager = WebSocketManager()
        started.callback(websocket_manager.stop)
        audit, splits = Audit(wrapper), Splits(wrapper)
        cycle = Cycle(execution, audit, splits, runner, websocket_manager)
        nightly = NightlyBackup()
        started.callback(nightly.close)
        clock_trust = ClockTrust(wrapper)
        deadman = Deadman(settings.current().deadman_url, settings.current().page_url)
        started.callback(deadman.close)
        signs = VitalSigns(cycle, runner, websocket_manager, clock_trust, stocks, ledger, deadman)
        started.callback(signs.note_wear)
        yield _Trader(
            wrapper, cycle, websocket_manager, ledger, stocks, clock_trust, nightly, signs
        )


class _Trader:
    """Decides when; what is done in a minute is the cycle's."""

    def __init__(
        self,
        wrapper: AlpacaWrapper,
        cycle: Cycle,
        websocket_manager: WebSocketManager,
        ledger: LedgerGuard,
        stocks: StocksGuard,
        clock_trust: ClockTrust,
        nightly: NightlyBackup,
        signs: VitalSigns,
    ) -> None:
        self._ledger = ledger
        self._guard = stocks
        self._nightly = nightly
        self._clock = clock_trust
        self._signs = signs
        self._broker_calendar = BrokerCalendar()
        self._wrapper = wrapper
        self._cycle = cycle
        self._websockets = websocket_manager
        # Up to which every minute was kept, or is on record
        self._last_minute: datetime | None = None
        self._close_due = False  # whether a session's end is yet to be worked off
        self._blocked = BlockedStorage()
        self._downtime_noted = False

    def run(self, stop: threading.Event) -> None:
        systemd.notify("READY=1")  # the loop runs; that it waits for the exchange is its status
        # Before waiting for the exchange gives newer ones
        left_at = heartbeats.newest_market_time()
        when_it_can_be_stored(lambda: self._reach_exchange(stop), stop)
        when_it_can_be_stored(lambda: self._clock.wait(stop), stop)
        if stop.is_set():
            return
        if left_at is not None:
            when_it_can_be_stored(lambda: missed_minutes.note_restart(left_at), stop)
        when_it_can_be_stored(self._cycle.audit, stop)
        when_it_can_be_stored(lambda: housekeeping.make_reports(clock.now()), stop)
        while not stop.is_set():
            began = clock.now()
            try:
                self._step(stop)
                self._blocked.note_end()
            except StorageBlocked as error:
                self._blocked.wait(error, began, stop)
            except sqlite3.DatabaseError as error:
                if not sqlite.is_damaged(error) or not self._follow_stocks(self._guard.examine):
                    raise
        systemd.notify("STOPPING=1")

    def run_this_minute(self) -> None:
        """Run the minute that is running, if the clock may be traded by."""
        if self._clock.follow():
            self.run_minute(floor_minute(clock.now()))

    def _step(self, stop: threading.Event) -> None:
        on_record = self._clock.wait(stop, self._last_minute)
        if on_record is not None:
            self._last_minute, self._close_due = on_record - MINUTE, True
            return
        now = clock.now()
        if not self._downtime_noted:  # here, where it is known which minute the first cycle is for
            missed_minutes.note_downtime(now)
            self._downtime_noted, self._last_minute = True, floor_minute(now) - MINUTE
        if calendar().is_open(now):
            minute = floor_minute(now)
            if minute != self._last_minute:
                self.run_minute(minute)
            self._sleep_to_next_minute(stop)
        else:
            if self._close_due:
                self._close_session(now)
            self._sleep_while_closed(now, stop)

    def _close_session(self, now: datetime) -> None:
        """Work off a session's end; what a full disk interrupts is all done again, which harms nothing."""
        self._note_skipped(now)
        self._last_minute = floor_minute(now)
        self._cycle.end_session(now)
        self._cycle.audit(look_far=True)
        self._signs.note_wear()
        housekeeping.after_close(now)
        self._follow_stocks(self._guard.examine)
        self._ledger.examine()
        self._close_due = False

    def _note_skipped(self, until: datetime) -> None:
        self._blocked.note_minutes(until)  # before the minutes are put down to a slow cycle
        if self._last_minute is not None:
            missed_minutes.note_skipped(self._last_minute, until)

    def run_minute(self, minute: datetime) -> None:
        begun = clock.elapsed()
        late = (begun - clock.due(minute, clock.WAKE_UP)) * 1000
        log.info("Orchestrator cycle started at %s (%.1f ms after its time)", clock.now(), late)
        self._note_skipped(minute)
        self._last_minute, self._close_due = minute, True
        try:
            self._follow_stocks(self._guard.follow)
            self._broker_calendar.follow(once_a_day=True)
            if not calendar().is_open(minute):
                return
            self._run_cycle(minute)
        except (StorageBlocked, LedgerDamaged, LedgerGone):
            raise
        except Exception as error:
            # A cycle that failed is on record; the next one starts with reconciliation
            log.exception("The cycle of %s failed", clock.stamp(minute))
            missed_minutes.note_failed(minute, error)
            heartbeats.beat({"orchestrator": ("degraded", "The last cycle failed: see the log.")})
            return
        cycle_journal.record(minute, late, (clock.elapsed() - begun) * 1000)
        self._signs.cycle_done(minute)

    def _run_cycle(self, minute: datetime) -> None:
        """Run the minute's cycle, once more where it met a damaged stocks.db, which is replaced."""
        try:
            self._cycle.run(minute)
        except sqlite3.DatabaseError as error:
            if not sqlite.is_damaged(error):
                raise
            if not self._follow_stocks(self._guard.examine):
                self._ledger.examine()
                raise
            self._cycle.run(minute)
        if self._cycle.met_damage or self._websockets.streamer.met_damage:
            self._follow_stocks(self._guard.examine)

    def _follow_stocks(self, look: Callable[[], bool]) -> bool:
        replaced = look()
        if replaced:
            self._cycle.forget_history()
            self._broker_calendar.forget()
        return replaced

    def _reach_exchange(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                return make_first_contact(self._wrapper)
            except ExchangeUnavailable as error:
                log.warning("The exchange cannot be reached, trading waits: %s", error)
                message = f"Waiting for the exchange: {error}"
                told = {"orchestrator": ("degraded", message), "broker": ("down", message)}
                if clock.is_the_machines():  # after a power cut without network it is not set
                    told["clock"] = self._clock.health
                heartbeats.beat(told)
                systemd.alive(message)
                clock.pause(RETRY_SECONDS, stop)
            except sqlite3.DatabaseError as error:  # damaged since it was opened
                if not sqlite.is_damaged(error) or not self._follow_stocks(self._guard.examine):
                    raise

    def _sleep_to_next_minute(self, stop: threading.Event) -> None:
        """Sleep until the next cycle's time: not at all where the last one ran into that minute."""
        if self._last_minute is None or clock.now() - self._last_minute < CALENDAR_WITHIN:
            self._broker_calendar.follow()
        self._clock.look_aside()  # now, for a new connection to the broker would slow the next cycle down
        next_minute = floor_minute(clock.now())
        if self._last_minute is not None:
            next_minute = max(next_minute, self._last_minute + MINUTE)
        seconds = clock.due(next_minute, clock.WAKE_UP) - clock.elapsed()
        until = next_minute + timedelta(seconds=clock.WAKE_UP.market_seconds)
        log.info("Sleeping for %.2f seconds until %s", max(0.0, seconds), until)
        # No longer, whatever the clock says then: set back, it would not come to that minute for long
        clock.wait_until(next_minute, stop, clock.WAKE_UP, longest=seconds + 1)

    def _sleep_while_closed(self, now: datetime, stop: threading.Event) -> None:
        """Sleep until the earlier of 15 minutes after ``now``, when it was closed, and the open after it.

        The market may have opened since, for a session's end may be worked off late.
        """
        until, delay = now + CLOSED_SLEEP, clock.NO_DELAY
        self._broker_calendar.follow()
        next_open = calendar().next_open(now)
        if next_open is not None and next_open <= until:
            until, delay = next_open, clock.WAKE_UP
        minutes = (until - now).total_seconds() / 60
        log.info("Market is closed. Sleeping for %s minutes.", f"{minutes:.1f}".removesuffix(".0"))
        while (
            not stop.is_set() and clock.due(until, delay) > clock.elapsed() and self._clock.follow()
        ):
            self._follow_stocks(self._guard.follow)
            self._broker_calendar.follow()
            self._cycle.follow_cards(system_db_manager.get_all_algorithms("running"))
            self._nightly.follow()
            self._signs.closed()
            self._cycle.look_again()
            nap_ends = clock.elapsed() + clock.LONGEST_NAP_SECONDS
            clock.pause(max(0.0, min(clock.due(until, delay), nap_ends) - clock.elapsed()), stop)
