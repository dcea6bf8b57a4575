"""The broker's calendar is compared before the open and each hour after, and wins."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from database import db_manager
from database.calendar import calendar
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import StorageLocked
from orchestra.base.market_calendar import new_york, nyse
from orchestra.broker_calendar import BrokerCalendar
from orchestra.ledger_guard import LedgerGuard
from orchestra.simulator import Exchange
from orchestra.stocks_guard import StocksGuard
from orchestra.trading_loop import _trader, is_market_open
from orchestra.web.wall import market
from system_databse import create_system_db, system_db_manager
from tests.exchange_fixture import change, free_port, running_exchange, set_clock

NOTHING_BEFORE = "2024-06-03T13:00:00Z"  # 09:00 in New York on a Monday


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange(MARKET_CLOCK_START=NOTHING_BEFORE) as running:
        create_system_db.create_database()
        db_manager.initialize_database()
        yield running


def events() -> list[str]:
    rows = system_db_manager.ledger().execute("SELECT message FROM events WHERE kind = 'calendar'")
    return [row[0] for row in rows]


def test_the_same_calendar_changes_nothing(exchange: Exchange) -> None:
    BrokerCalendar().follow()
    assert calendar() is nyse() and events() == []


def test_an_early_close_and_a_closed_day_are_taken_over_by_everybody(exchange: Exchange) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "13:00"})
    exchange.faults.add({"name": "early_close", "day": "2024-06-05", "time": "09:30"})
    BrokerCalendar().follow()
    early = calendar().session_on(date(2024, 6, 4))
    assert early is not None and early.close == new_york(date(2024, 6, 4), "13:00")
    assert calendar().session_on(date(2024, 6, 5)) is None
    assert nyse().session_on(date(2024, 6, 5)) is not None  # the file stays as it is
    assert events() == [
        "The broker's calendar differs from ours and wins: 2024-06-04 is open 09:30 to 13:00 New York"
        " (ours: 09:30 to 16:00); 2024-06-05 is closed."
    ]
    set_clock("2024-06-04T16:59:00Z")
    assert is_market_open()
    set_clock("2024-06-04T17:00:00Z")
    assert not is_market_open()
    shown = market()
    assert shown["market_open"] is False
    assert shown["market"]["next_open"] == "2024-06-06T13:30:00Z"
    # Nobody asks for minutes in which the market was closed, and their bars are not kept
    missing = db_manager.check_data_exists("NVDA", "2024-06-04T16:58:00Z", "2024-06-06T13:31:00Z")
    assert missing == [("2024-06-04T16:58:00Z", "2024-06-06T13:31:00Z")]
    assert db_manager.insert_minute_data("NVDA", "2024-06-04T17:00:00Z", 1, 1, 1, 1, 1) == 0
    assert db_manager.insert_minute_data("NVDA", "2024-06-04T16:58:00Z", 1, 1, 1, 1, 1) == 1
    assert db_manager.insert_minute_data("NVDA", "2024-06-04T16:59:00Z", 1, 1, 1, 1, 1) == 1
    missing = db_manager.check_data_exists("NVDA", "2024-06-04T16:58:00Z", "2024-06-05T20:00:00Z")
    assert missing == []


def test_an_answer_that_would_close_the_market_for_weeks_is_not_believed(
    exchange: Exchange,
) -> None:
    days = [session.day for session in nyse().sessions_between(date(2024, 6, 4), date(2024, 6, 11))]
    for day in days:
        exchange.faults.add({"name": "early_close", "day": day.isoformat(), "time": "09:30"})
    assert len(days) == 6
    watch = BrokerCalendar()
    watch.follow()
    assert calendar() is nyse() and events() == []
    exchange.faults.clear()
    for day in days[1:]:
        exchange.faults.add({"name": "early_close", "day": day.isoformat(), "time": "09:30"})
    watch._not_before = 0.0  # it is asked again later
    watch.follow()
    assert [calendar().session_on(day) is None for day in days] == [False, *[True] * 5]


@pytest.mark.parametrize(("opens", "closes"), [("04:00", "20:00"), ("09:30", "09:30")])
def test_hours_that_are_no_sessions_are_not_believed(
    exchange: Exchange, opens: str, closes: str
) -> None:
    days = [{"date": f"{each.day}", "open": opens, "close": closes} for each in nyse().sessions]

    class Broker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(days).encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Broker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        change(ALPACA_TRADING_URL=f"http://127.0.0.1:{server.server_port}")
        BrokerCalendar().follow()
        server.shutdown()
    assert calendar() is nyse() and events() == []


def test_it_is_asked_at_start_and_each_hour_from_the_morning_on(exchange: Exchange) -> None:
    def asked(stamp: str, *, once_a_day: bool = False) -> bool:
        before = _requests(exchange)
        set_clock(stamp)
        watch.follow(once_a_day=once_a_day)
        return _requests(exchange) > before

    watch = BrokerCalendar()
    assert asked("2024-06-03T13:20:00Z")
    assert not asked("2024-06-03T13:29:00Z")
    assert not asked("2024-06-03T14:00:00Z", once_a_day=True)  # no cycle waits for an hour's look
    assert asked("2024-06-03T14:00:00Z")
    assert not asked("2024-06-03T14:59:00Z")
    assert asked("2024-06-04T04:15:00Z", once_a_day=True)  # 00:15 in New York
    assert not asked("2024-06-04T11:59:00Z")
    assert asked("2024-06-04T12:00:00Z")
    assert asked("2024-06-04T13:15:00Z")


def test_an_early_close_that_is_announced_in_the_session_is_followed(exchange: Exchange) -> None:
    set_clock("2024-06-04T15:30:00Z")
    watch = BrokerCalendar()
    watch.follow()
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "11:50"})
    set_clock("2024-06-04T15:59:00Z")
    watch.follow()
    assert is_market_open()
    set_clock("2024-06-04T16:00:00Z")
    watch.follow()
    assert not is_market_open()


def test_late_in_a_minute_it_is_left_to_the_next_one(exchange: Exchange) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-05", "time": "13:00"})
    stop, stocks = threading.Event(), StocksGuard()
    stop.set()  # so that nothing is slept
    stocks.open()
    with _trader(LedgerGuard(), stocks) as trader:
        for moment, looks in (
            ("2024-06-04T14:00:50Z", False),  # hanging, it would hold up 14:01
            ("2024-06-04T14:01:01Z", False),  # which is due
            ("2024-06-04T14:00:40Z", True),
        ):
            set_clock(moment)
            trader._last_minute = clock.parse("2024-06-04T14:00:00Z")
            trader._sleep_to_next_minute(stop)
            assert (calendar() is not nyse()) is looks


def test_a_difference_that_could_not_be_stored_is_asked_for_again(exchange: Exchange) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "09:30"})
    watch = BrokerCalendar()
    with closing(sqlite.connect(settings.current().stocks_db_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageLocked):
            watch.follow()
        other.execute("ROLLBACK")
    watch.follow()
    assert calendar().session_on(date(2024, 6, 4)) is None


def _requests(exchange: Exchange) -> int:
    """How many requests the account has spent, by what is left of the minute's limit."""
    headers = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}
    answer = requests.get(f"{exchange.url}/v2/clock", headers=headers, timeout=5)
    spent = 200 - int(answer.headers["X-RateLimit-Remaining"])
    global _own
    _own += 1
    return spent - _own


_own = 0


def test_a_correction_is_taken_back_when_the_broker_takes_it_back(exchange: Exchange) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "09:30"})
    BrokerCalendar().follow()
    exchange.faults.clear()
    BrokerCalendar().follow()
    assert calendar().session_on(date(2024, 6, 4)) == nyse().session_on(date(2024, 6, 4))
    assert events()[1].endswith("2024-06-04 is open 09:30 to 16:00 New York (ours: closed).")


def test_a_silent_broker_changes_nothing_and_is_asked_again_later(exchange: Exchange) -> None:
    url = exchange.url
    change(ALPACA_TRADING_URL=f"http://127.0.0.1:{free_port()}")
    watch = BrokerCalendar()
    watch.follow()
    change(ALPACA_TRADING_URL=url)
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "09:30"})
    watch.follow()  # not at once
    assert calendar().session_on(date(2024, 6, 4)) is not None
    watch._not_before = 0.0
    watch.follow()
    assert calendar().session_on(date(2024, 6, 4)) is None


def test_while_nothing_was_compared_a_silent_broker_is_asked_again_within_seconds(
    exchange: Exchange,
) -> None:
    watch = BrokerCalendar()
    for compared, most in ((False, 10.0), (True, 600.0)):
        exchange.faults.add({"name": "500", "times": 1})
        set_clock("2024-06-03T09:00:00Z" if not compared else "2024-06-03T12:30:00Z")
        before = clock.elapsed()
        watch.follow()
        assert most / 10 < watch._not_before - before <= most
        watch._not_before = 0.0
        watch.follow()  # answered


def test_another_process_sees_a_correction_soon(exchange: Exchange) -> None:
    assert calendar().session_on(date(2024, 6, 4)) is not None
    # Entered past this module's memory, as another process does
    from database.corrections import record_corrections

    record_corrections({date(2024, 6, 4): None})
    sqlite.close_kept()
    from tests.processes import until

    until(lambda: calendar().session_on(date(2024, 6, 4)) is None, 15.0)
