"""Historical and latest bars through the official client, and by hand where it hides something."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alpaca.common.enums import Sort
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from tests.exchange_fixture import set_clock
from tests.simulator.conftest import Http


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def request(symbols: str | list[str], **more: Any) -> StockBarsRequest:
    return StockBarsRequest(symbol_or_symbols=symbols, timeframe=TimeFrame.Minute, **more)


def starts(bars: list[Any]) -> list[str]:
    return [bar.timestamp.strftime("%d %H:%M") for bar in bars]


def test_only_bars_that_have_ended_are_served(data: StockHistoricalDataClient) -> None:
    since = utc("2024-06-04T14:27:00")
    assert starts(data.get_stock_bars(request("AAPL", start=since))["AAPL"]) == [
        "04 14:27",
        "04 14:28",
        "04 14:29",
    ]
    set_clock("2024-06-04T14:30:59Z")
    assert len(data.get_stock_bars(request("AAPL", start=since))["AAPL"]) == 3
    set_clock("2024-06-04T14:31:00Z")
    assert len(data.get_stock_bars(request("AAPL", start=since))["AAPL"]) == 4


def test_both_ends_are_included(data: StockHistoricalDataClient) -> None:
    bars = data.get_stock_bars(
        request("AAPL", start=utc("2024-06-03T19:58:00"), end=utc("2024-06-04T13:31:00"))
    )["AAPL"]
    assert starts(bars) == ["03 19:58", "03 19:59", "04 13:30", "04 13:31"]
    assert bars[0].trade_count > 0 and bars[0].low <= bars[0].vwap <= bars[0].high


def test_without_a_start_it_is_today(data: StockHistoricalDataClient) -> None:
    bars = data.get_stock_bars(request("AAPL"))["AAPL"]
    assert starts(bars)[0] == "04 13:30" and len(bars) == 60


def test_pages_follow_each_other_without_gap_or_overlap(http: Http) -> None:
    query = {
        "symbols": "PPLT,AAPL",
        "start": "2024-06-04T13:30:00Z",
        "timeframe": "1Min",
        "limit": "25",
        "feed": "iex",
        "asof": "-",
    }
    collected: list[tuple[str, str]] = []
    sizes = []
    while True:
        page = http("GET", "/v2/stocks/bars", params=query).json()
        rows = [(symbol, bar["t"]) for symbol, bars in page["bars"].items() for bar in bars]
        collected += rows
        sizes.append(len(rows))
        if page["next_page_token"] is None:
            break
        assert page["next_page_token"]
        query["page_token"] = page["next_page_token"]
    assert collected == sorted(set(collected))
    assert collected[0] == ("AAPL", "2024-06-04T13:30:00Z")
    assert sizes[:-1] == [25] * (len(sizes) - 1)
    query = {**query, "limit": "10000"}
    query.pop("page_token")
    whole = http("GET", "/v2/stocks/bars", params=query).json()
    assert whole["next_page_token"] is None
    assert [(s, bar["t"]) for s, bars in whole["bars"].items() for bar in bars] == collected


def test_a_page_that_ends_with_a_symbol_leads_to_the_next(http: Http) -> None:
    query = {"symbols": "AAPL,MSFT", "start": "2024-06-04T13:30:00Z", "limit": "60"}
    first = http("GET", "/v2/stocks/bars", params=query).json()
    assert list(first["bars"]) == ["AAPL"]
    query["page_token"] = first["next_page_token"]
    second = http("GET", "/v2/stocks/bars", params=query).json()
    assert list(second["bars"]) == ["MSFT"] and len(second["bars"]["MSFT"]) == 60
    assert second["next_page_token"] is None


def test_newest_first(data: StockHistoricalDataClient) -> None:
    bars = data.get_stock_bars(
        request(
            "AAPL",
            start=utc("2024-06-03T13:30:00"),
            limit=3,
            sort=Sort.DESC,
            adjustment=Adjustment.ALL,
            feed=DataFeed.IEX,
        )
    )
    assert starts(bars["AAPL"]) == ["04 14:29", "04 14:28", "04 14:27"]


def test_the_client_collects_more_than_a_page(data: StockHistoricalDataClient) -> None:
    bars = data.get_stock_bars(request("AAPL", start=utc("2024-04-01T13:30:00")))["AAPL"]
    assert len(bars) == (22 + 22 + 1) * 390 + 60  # April, May, June 3 and an hour


def test_a_symbol_nobody_knows_has_no_bars(data: StockHistoricalDataClient, http: Http) -> None:
    assert data.get_stock_bars(request("ZZZZ", start=utc("2024-06-03T13:30:00"))).data == {}
    answer = http("GET", "/v2/stocks/bars?symbols=ZZZZ")
    assert answer.json() == {"bars": {}, "next_page_token": None}


@pytest.mark.parametrize(
    "query",
    [
        "symbols=",
        "symbols=A%20B",
        "symbols=AAPL&limit=0",
        "symbols=AAPL&limit=10001",
        "symbols=AAPL&limit=many",
        "symbols=AAPL&start=yesterday",
        "symbols=AAPL&end=2024-13-01",
        "symbols=AAPL&timeframe=2Day",
        "symbols=AAPL&timeframe=60Min",
        "symbols=AAPL&sort=up",
        "symbols=AAPL&feed=IEXX",
        "symbols=AAPL&adjustment=none",
        "symbols=AAPL&page_token=garbage",
    ],
)
def test_a_wrong_query_is_refused_by_name(http: Http, query: str) -> None:
    answer = http("GET", f"/v2/stocks/bars?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == 42210000
    wrong = query.split("&")[-1].split("=")[0].removesuffix("s")
    assert wrong in answer.json()["message"]


def test_longer_bars_are_put_together_from_minutes(data: StockHistoricalDataClient) -> None:
    minutes = data.get_stock_bars(request("AAPL", start=utc("2024-06-04T13:30:00")))["AAPL"]
    fives = data.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols="AAPL",
            timeframe=TimeFrame(5, TimeFrameUnit.Minute),
            start=utc("2024-06-04T13:30:00"),
        )
    )["AAPL"]
    assert starts(fives) == [f"04 {h:02}:{m:02}" for h in (13, 14) for m in range(0, 60, 5)][6:18]
    first = minutes[:5]
    assert (fives[0].open, fives[0].close) == (first[0].open, first[-1].close)
    assert fives[0].high == max(bar.high for bar in first)
    assert fives[0].low == min(bar.low for bar in first)
    assert fives[0].volume == sum(bar.volume for bar in first)


def test_a_day_is_a_session_named_by_its_new_york_midnight(data: StockHistoricalDataClient) -> None:
    days = data.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols="AAPL", timeframe=TimeFrame.Day, start=utc("2024-05-31T00:00:00")
        )
    )["AAPL"]
    assert [bar.timestamp for bar in days] == [
        utc("2024-05-31T04:00:00"),
        utc("2024-06-03T04:00:00"),
    ]
    last = data.get_stock_bars(
        request("AAPL", start=utc("2024-06-03T19:59:00"), end=utc("2024-06-03T20:00:00"))
    )["AAPL"]
    assert days[1].close == last[0].close


def test_latest_values_are_those_of_the_newest_ended_bar(data: StockHistoricalDataClient) -> None:
    bars = data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=["AAPL", "ZZZZ"]))
    assert list(bars) == ["AAPL"]
    assert (bars["AAPL"].timestamp, bars["AAPL"].close) == (utc("2024-06-04T14:29:00"), 211.54)
    trades = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))
    assert (trades["AAPL"].price, trades["AAPL"].timestamp) == (211.54, utc("2024-06-04T14:29:59"))
    quotes = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))
    assert (quotes["AAPL"].bid_price, quotes["AAPL"].ask_price) == (211.53, 211.55)
    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert snapshot.minute_bar.close == snapshot.daily_bar.close == 211.54
    assert snapshot.daily_bar.open != snapshot.previous_daily_bar.open


def test_one_symbols_own_addresses(http: Http) -> None:
    assert http("GET", "/v2/stocks/AAPL/bars/latest").json()["bar"]["c"] == 211.54
    page = http("GET", "/v2/stocks/AAPL/bars?limit=2").json()
    assert page["symbol"] == "AAPL" and len(page["bars"]) == 2 and page["next_page_token"]
    assert http("GET", "/v2/stocks/ZZZZ/trades/latest").status_code == 404
    assert http("GET", "/v2/stocks/AAPL/snapshot").json()["minuteBar"]["c"] == 211.54
