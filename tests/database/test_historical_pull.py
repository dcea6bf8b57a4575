"""History from the simulated exchange through the real alpaca-py client: what is asked, and how often."""

import csv
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from requests.adapters import HTTPAdapter

from database import db_manager, gaps, schema, smart_fetch, verdicts
from database.historical_pull import HistoricalFetcher
from orchestra import exchange as clients
from orchestra.base import clock
from orchestra.base.errors import BadInput, ExchangeUnavailable, ForeignContents
from orchestra.exchange.budget import Budget
from orchestra.simulator import Exchange
from tests.conftest import Configure
from tests.database.conftest import NOBODY, bar
from tests.exchange_fixture import change, running_exchange, set_clock

NOW = "2024-06-04T14:30:00Z"  # an hour into the session; the newest ended minute is 14:29
Requests = list[dict[str, str]]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """The query of every request for bars that goes over the wire."""
    seen: Requests = []
    send = HTTPAdapter.send

    def noting(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        url = urlsplit(request.url)
        if url.path == "/v2/stocks/bars":
            seen.append({name: values[0] for name, values in parse_qs(url.query).items()})
        return send(self, request, *args, **kwargs)

    monkeypatch.setattr(HTTPAdapter, "send", noting)
    return seen


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


def last_bars(ticker: str, n: int, **arguments: Any) -> list[str]:
    found = db_manager.get_data_for_algorithm(ticker, "last_n_bars", n=n, **arguments)
    return [each["timestamp"] for each in found]


def test_a_new_tickers_200_bars_come_in_one_request(exchange: Exchange, requests: Requests) -> None:
    found = last_bars("AAPL", 200)
    assert len(found) == 200
    assert found == sorted(found)
    assert found[0] == "2024-06-03T17:40:00Z"  # 60 minutes of today and the last 140 of Monday
    assert found[139] == "2024-06-03T19:59:00Z"
    assert found[140] == "2024-06-04T13:30:00Z"
    assert found[-1] == "2024-06-04T14:29:00Z"
    assert len(requests) == 1
    assert last_bars("AAPL", 200) == found
    assert len(requests) == 1


@pytest.mark.parametrize("ticker", ["PPLT", "FT"])
def test_a_thin_ticker_is_looked_for_further_back(
    exchange: Exchange, requests: Requests, ticker: str
) -> None:
    found = last_bars(ticker, 200)
    assert len(found) == 200
    assert len(requests) <= 3
    asked = len(requests)
    assert last_bars(ticker, 200) == found
    assert len(requests) == asked


def test_recorded_pplt_has_its_200_bars_in_at_most_three_requests(
    configure: Configure, requests: Requests, recorded_bars: Path
) -> None:
    with running_exchange(SIMULATOR_BARS=recorded_bars, MARKET_CLOCK_START="2019-02-15T21:00:00Z"):
        expected: list[str] = []
        for day in sorted((recorded_bars / "PPLT").glob("*.csv")):
            with day.open() as file:
                expected += [row["timestamp"] for row in csv.DictReader(file)]
        assert last_bars("PPLT", 200) == expected[-200:]
        assert len(requests) <= 3
        asked = len(requests)
        assert last_bars("PPLT", 200) == expected[-200:]
        assert len(requests) == asked
        assert last_bars("PPLT", 600) == expected  # there are no more: history ends
        asked = len(requests)
        assert last_bars("PPLT", 600) == expected
        assert len(requests) == asked


def test_a_ticker_nobody_knows_is_asked_for_once(exchange: Exchange, requests: Requests) -> None:
    assert last_bars("ZZZZ", 50) == []
    assert 1 <= len(requests) <= 5
    asked = len(requests)
    assert last_bars("ZZZZ", 50) == []
    assert len(requests) == asked


def test_old_bars_with_a_hole_after_them_are_not_taken_for_the_newest(
    exchange: Exchange, requests: Requests
) -> None:
    db_manager.insert_historical_data(
        "AAPL", [bar(f"2024-01-02T15:{m}:00Z") for m in range(10, 60)]
    )
    db_manager.insert_historical_data(
        "AAPL", [bar(f"2024-06-04T14:{m}:00Z") for m in range(20, 30)]
    )
    found = last_bars("AAPL", 30)
    assert (found[0], found[-1], len(found)) == ("2024-06-04T14:00:00Z", "2024-06-04T14:29:00Z", 30)
    assert len(requests) == 1


def test_bars_before_a_moment_in_the_past(exchange: Exchange, requests: Requests) -> None:
    found = last_bars("AAPL", 3, before_timestamp="2024-05-28T13:31:30Z")  # after Memorial Day
    assert found == ["2024-05-24T19:58:00Z", "2024-05-24T19:59:00Z", "2024-05-28T13:30:00Z"]
    assert len(requests) == 1


def test_a_time_range_fetches_what_it_lacks(exchange: Exchange, requests: Requests) -> None:
    def ask() -> list[dict[str, Any]]:
        return db_manager.get_data_for_algorithm(
            "MSFT", "time_range", start="2024-05-31T13:30:00Z", end="2024-06-04T23:00:00Z"
        )

    found = ask()
    assert len(found) == 390 + 390 + 60
    assert found[-1]["timestamp"] == "2024-06-04T14:29:00Z"
    assert ask() == found
    assert len(requests) == 1


def test_fetch_asks_for_the_missing_ranges_only(exchange: Exchange, requests: Requests) -> None:
    fetcher = HistoricalFetcher()
    assert fetcher.fetch("AAPL", "2024-05-21T13:30:00Z", "2024-05-22T19:59:00Z") == 780
    assert fetcher.fetch("AAPL", "2024-05-20T00:00:00Z", "2024-05-23T23:59:00Z") == 780
    assert [(each["start"], each["end"]) for each in requests] == [
        ("2024-05-21T13:30:00+00:00", "2024-05-22T19:59:00+00:00"),
        ("2024-05-20T13:30:00+00:00", "2024-05-20T19:59:00+00:00"),
        ("2024-05-23T13:30:00+00:00", "2024-05-23T19:59:00+00:00"),
    ]
    assert requests[0]["feed"] == "iex" and requests[0]["limit"] == "10000"
    assert fetcher.fetch("AAPL", "2024-05-20T00:00:00Z", "2024-05-23T23:59:00Z") == 0
    assert len(requests) == 3


def test_a_fetch_ends_with_the_last_ended_minute_and_starts_with_the_calendar(
    exchange: Exchange, requests: Requests
) -> None:
    assert HistoricalFetcher().fetch("AAPL", NOW, "2024-06-05T20:00:00Z") == 0
    assert requests == []
    assert HistoricalFetcher().fetch("AAPL", "2024-06-04T14:28:00Z", "2030-01-01T00:00:00Z") == 2
    assert HistoricalFetcher().fetch("AAPL", "2010-01-01T00:00:00Z", "2018-01-02T20:59:00Z") == 390
    assert requests[-1]["start"] == "2018-01-02T14:30:00+00:00"
    with pytest.raises(BadInput):
        HistoricalFetcher().fetch("AAPL", "2024-06-04T14:28:00Z", "2024-06-04T14:27:00Z")


def test_the_closing_auction_bar_is_dropped_and_half_days_end_early(exchange: Exchange) -> None:
    # The exchange answers 16:00 New York too, as Alpaca does
    assert HistoricalFetcher().fetch("AAPL", "2023-11-22T14:30:00Z", "2023-11-24T21:00:00Z") == 600
    found = db_manager.get_historical_data("AAPL", "2023-11-22T14:30:00Z", "2023-11-24T23:00:00Z")
    assert found[389]["timestamp"] == "2023-11-22T20:59:00Z"
    assert found[-1]["timestamp"] == "2023-11-24T17:59:00Z"  # 12:59 New York
    assert (
        db_manager.check_data_exists("AAPL", "2023-11-22T14:30:00Z", "2023-11-24T21:00:00Z") == []
    )


def test_an_interrupted_fetch_goes_on_where_it_stopped(
    exchange: Exchange, requests: Requests
) -> None:
    days = ("2024-03-01T00:00:00Z", "2024-05-31T23:59:00Z")  # 64 sessions: chunks of 20
    done: list[int] = []

    def fail_in_the_third_chunk(minutes: int) -> None:
        done.append(minutes)
        if len(done) == 2:
            exchange.faults.add({"name": "500", "path": "/v2/stocks/bars", "times": 1})

    with pytest.raises(ExchangeUnavailable, match="500"):
        HistoricalFetcher().fetch("AAPL", *days, progress=fail_in_the_third_chunk)
    assert done == [7800, 7800]
    assert HistoricalFetcher().fetch("AAPL", *days) == 64 * 390 - 15_600
    assert len(requests) == 2 + 1 + 2
    assert db_manager.count_bars("AAPL", *days) == 64 * 390
    assert HistoricalFetcher().fetch("AAPL", *days) == 0


def test_each_day_of_a_fetch_is_asked_for_and_stored_whole(
    exchange: Exchange, requests: Requests
) -> None:
    # From the middle of a session, over a half day: no piece ends within a day
    HistoricalFetcher().fetch("AAPL", "2023-11-01T17:00:00Z", "2024-01-31T15:00:00Z")
    bounds = [(each["start"][11:16], each["end"][11:16]) for each in requests]
    assert bounds == [
        ("17:00", "20:59"),
        ("14:30", "20:59"),
        ("14:30", "20:59"),
        ("14:30", "15:00"),
    ]
    assert (
        db_manager.check_data_exists("AAPL", "2023-11-01T17:00:00Z", "2024-01-31T15:00:00Z") == []
    )


def test_a_ticker_that_was_followed_has_its_hole_closed_before_its_history_is_at_hand(
    exchange: Exchange, requests: Requests
) -> None:
    smart_fetch.prefetch("SPY", 100)
    assert len(requests) == 1  # a new one: nothing but its history
    set_clock("2024-06-05T20:30:00Z")  # after a day and a half without power
    smart_fetch.prefetch("SPY", 100)
    assert len(requests) == 2
    whole = ("2024-06-04T13:30:00Z", "2024-06-05T20:30:00Z")
    assert db_manager.check_data_exists("SPY", *whole) == []
    assert [each.way for each in verdicts.verdicts("SPY", "2024-06-04T14:29:00Z", whole[1])] == [
        None,
        *["fetched"] * (330 + 390),
    ]


def test_bars_of_another_source_are_refused_and_nothing_is_written(exchange: Exchange) -> None:
    db_manager.claim_source("csv")
    with pytest.raises(ForeignContents, match="'csv'"):
        HistoricalFetcher().fetch("AAPL", "2024-06-03T13:30:00Z", "2024-06-03T19:59:00Z")
    assert last_bars("AAPL", 50) == []
    assert db_manager.recorded_source() == "csv"


def test_an_empty_database_takes_the_exchanges_name(exchange: Exchange) -> None:
    last_bars("AAPL", 5)
    assert db_manager.recorded_source() == clients.source_label()


def test_several_tickers_are_asked_for_in_one_request(
    exchange: Exchange, requests: Requests
) -> None:
    fetcher, last = HistoricalFetcher(), clock.parse("2024-06-04T14:29:00Z")
    last_bars("MSFT", 60)
    requests.clear()
    assert fetcher.close_gaps(["AAPL", "MSFT", "BRK.B", "NVDA"], last) > 1
    assert [each["symbols"] for each in requests] == ["AAPL,BRK.B,NVDA"]
    assert fetcher.close_gaps(["AAPL", "MSFT", "BRK.B", "NVDA"], last) == 0
    assert fetcher.close_gaps([], last) == 0
    assert len(requests) == 1


def test_a_minute_that_is_late_over_rest_is_not_taken_for_empty(
    exchange: Exchange, requests: Requests
) -> None:
    exchange.faults.add({"name": "late_bars", "seconds": 20, "where": "rest"})
    set_clock("2024-06-04T14:30:02Z")
    assert last_bars("AAPL", 5)[-1] == "2024-06-04T14:28:00Z"
    assert last_bars("AAPL", 5)[-1] == "2024-06-04T14:28:00Z"
    assert len(requests) == 1  # asked once within the minute, by algorithms
    late = ("2024-06-04T14:29:00Z", "2024-06-04T14:29:00Z")
    assert db_manager.check_data_exists("AAPL", *late) == [late]
    set_clock("2024-06-04T14:30:25Z")
    exchange.faults.clear("late_bars")
    assert HistoricalFetcher().fetch("AAPL", *late) == 1  # gap closing may ask again
    assert last_bars("AAPL", 5)[-1] == "2024-06-04T14:29:00Z"


def test_a_minute_without_a_trade_is_settled_in_the_next_minute(
    exchange: Exchange, requests: Requests
) -> None:
    exchange.faults.add({"name": "missing_bars", "where": "rest"})
    late = ("2024-06-04T14:29:00Z", "2024-06-04T14:29:00Z")
    set_clock("2024-06-04T14:30:02Z")
    HistoricalFetcher().fetch("AAPL", *late)
    assert db_manager.check_data_exists("AAPL", *late) == [late]
    set_clock("2024-06-04T14:30:31Z")
    HistoricalFetcher().fetch("AAPL", *late)
    assert db_manager.check_data_exists("AAPL", *late) == []
    assert len(requests) == 2


def test_history_comes_back_with_the_exchange(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "autotrader.database")
    change(ALPACA_DATA_URL=NOBODY)
    assert last_bars("AAPL", 5) == []
    change(ALPACA_DATA_URL=exchange.url)
    assert len(last_bars("AAPL", 5)) == 5
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_hanging_exchange_is_left_alone_for_the_rest_of_the_minute(
    exchange: Exchange, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "READ_SECONDS", 1.1)
    exchange.faults.add({"name": "hang", "seconds": 3, "path": "/v2/stocks/bars", "times": 1})
    assert last_bars("AAPL", 5) == []
    assert last_bars("AAPL", 5) == []
    assert len(requests) == 1
    set_clock("2024-06-04T14:31:00Z")
    assert len(last_bars("AAPL", 5)) == 5


def test_history_leaves_the_last_requests_to_orders(
    exchange: Exchange, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget()
    monkeypatch.setattr(clients, "history_budget", budget)

    def used_up(seconds: float) -> None:
        reset = clock.machine_now().timestamp() + seconds
        budget.note({"X-RateLimit-Remaining": "60", "X-RateLimit-Reset": str(reset)})

    used_up(60)
    with pytest.raises(ExchangeUnavailable, match="kept for orders"):
        HistoricalFetcher().fetch("AAPL", "2024-06-03T13:30:00Z", "2024-06-03T19:59:00Z")
    assert requests == []
    used_up(0.2)
    patient = HistoricalFetcher(patient=True)
    assert patient.fetch("AAPL", "2024-06-03T13:30:00Z", "2024-06-03T19:59:00Z") == 390


def test_unusable_bars_are_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    spoil = spoiling_third_bar()
    monkeypatch.setattr("requests.Response.json", spoil)
    found = last_bars("AAPL", 5, before_timestamp="2024-06-03T13:36:00Z")
    assert "2024-06-03T13:32:00Z" not in found
    assert [message for message in caplog.messages if "left out" in message]


def spoiling_third_bar() -> Callable[[Any], Any]:
    import requests

    original = requests.Response.json

    def json(self: requests.Response, **kwargs: Any) -> Any:
        body = original(self, **kwargs)
        for each in body.get("bars", {}).get("AAPL", []) if isinstance(body, dict) else []:
            if each["t"].startswith("2024-06-03T13:32:00"):
                each["h"] = -1
        return body

    return json


def test_coverage_never_leaves_a_stored_bar_out(exchange: Exchange) -> None:
    for ticker in ("AAPL", "FT"):
        last_bars(ticker, 40)
        db_manager.get_data_for_algorithm(
            ticker, "time_range", start="2024-05-01T13:35:00Z", end="2024-05-01T14:05:00Z"
        )
        stamps = [
            row[0]
            for row in schema.stocks().execute(
                "SELECT timestamp FROM bars WHERE ticker = ?", (ticker,)
            )
        ]
        assert stamps
        for stamp in stamps:
            assert gaps.known_since(schema.stocks(), ticker, stamp) is not None
