"""Bars, equity curves by hand, the marks of a day's trades, and the chart library's file."""

import hashlib
import sys
from pathlib import Path

import pytest

from database import db_manager
from orchestra.web import market_routes
from system_databse import labels, system_db_manager
from system_databse.system_db_manager import create_algorithm, record_buy, record_sell
from tests.exchange_fixture import set_clock
from tests.web.conftest import Api, assert_error

# npm's lightweight-charts@5.1.0, dist/lightweight-charts.standalone.production.js
CHART_LIBRARY_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"


def insert_bar(stamp: str, close: float) -> None:
    db_manager.insert_minute_data("NVDA", stamp, close, close + 1, close - 1, close, 100)


def test_bars_are_the_newest_ended_ones_oldest_first(api: Api) -> None:
    for minute in range(31):  # the bar of 10:30 New York has not ended yet
        insert_bar(f"2024-06-04T14:{minute:02}:00Z", 100.0 + minute)
    answer = api.read("/api/bars/NVDA?limit=2")
    assert answer == {
        "ticker": "NVDA",
        "items": [
            {
                "timestamp": "2024-06-04T14:28:00Z",
                "open": 128.0,
                "high": 129.0,
                "low": 127.0,
                "close": 128.0,
                "volume": 100,
            },
            {
                "timestamp": "2024-06-04T14:29:00Z",
                "open": 129.0,
                "high": 130.0,
                "low": 128.0,
                "close": 129.0,
                "volume": 100,
            },
        ],
    }
    assert len(api.read("/api/bars/NVDA")["items"]) == 30
    assert api.read("/api/bars/BRK.B") == {"ticker": "BRK.B", "items": []}


def test_what_is_no_ticker_has_no_bars(api: Api) -> None:
    for wrong in ("nvda", "NVDA%20", "1", "ABCDEFGHIJK"):
        assert_error(api.get(f"/api/bars/{wrong}"), 404, "not_found")
    for wrong in ("0", "-1", "x", "1e3"):
        assert_error(api.get(f"/api/bars/NVDA?limit={wrong}"), 400, "bad_input")


def test_the_curve_has_older_closes_then_each_minute(api: Api) -> None:
    set_clock("2024-05-31T15:00:00Z")
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(card, 40, 100.0)  # cash 6,000
    set_clock("2024-06-04T14:30:00Z")
    insert_bar("2024-05-31T14:30:00Z", 90.0)  # before the card, and not its session's last
    insert_bar("2024-05-31T19:58:00Z", 103.0)  # 6,000 + 40 x 103
    # 3 June has no bar: no point
    insert_bar("2024-06-04T13:30:00Z", 105.0)  # 6,000 + 40 x 105
    set_clock("2024-06-04T13:31:20Z")
    record_sell(card, 10, 106.0)  # cash 7,060
    set_clock("2024-06-04T14:30:00Z")
    insert_bar("2024-06-04T13:31:00Z", 107.0)  # 7,060 + 30 x 107
    assert api.read(f"/api/algorithms/{card}/equity") == {
        "items": [
            ["2024-05-31T19:58:00Z", 10_120.0],
            ["2024-06-04T13:30:00Z", 10_200.0],
            ["2024-06-04T13:31:00Z", 10_270.0],
        ]
    }
    assert api.card(card)["marks"] == [["2024-06-04T13:31:00Z", "sell"]]


def test_the_curve_of_a_card_born_today_begins_with_it(api: Api) -> None:
    insert_bar("2024-06-04T14:28:00Z", 100.0)
    set_clock("2024-06-04T14:29:30Z")
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    assert api.read(f"/api/algorithms/{card}/equity") == {"items": []}
    insert_bar("2024-06-04T14:29:00Z", 100.0)
    set_clock("2024-06-04T14:30:00Z")
    assert api.read(f"/api/algorithms/{card}/equity") == {
        "items": [["2024-06-04T14:29:00Z", 10_000.0]]
    }
    assert_error(api.get("/api/algorithms/99/equity"), 404, "not_found")


def test_the_curve_begins_anew_with_a_split(api: Api) -> None:
    set_clock("2024-06-03T14:00:00Z")
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(card, 10, 1000.0)
    set_clock("2024-06-04T13:30:05Z")
    connection = system_db_manager.writable_ledger()
    connection.execute("BEGIN")
    labels.correct(connection, card, "sell", 10, 1000.0, labels.SPLIT, "10 for 1")
    labels.correct(connection, card, "buy", 100, 100.0, labels.SPLIT, "10 for 1")
    connection.execute("COMMIT")
    set_clock("2024-06-04T14:30:00Z")
    insert_bar("2024-06-03T19:59:00Z", 100.0)  # adjusted: 10 shares of then were 1,000 each
    insert_bar("2024-06-04T13:30:00Z", 101.0)
    assert api.read(f"/api/algorithms/{card}/equity") == {
        "items": [["2024-06-04T13:30:00Z", 10_100.0]]
    }


def test_a_card_tells_its_parameters(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    assert api.card(card)["parameters"] == {}


def test_the_chart_library_is_the_known_file(locked: Api) -> None:
    response = locked.get("/lightweight-charts.js")
    assert (response.status_code, response.mimetype) == (200, "text/javascript")
    assert hashlib.sha256(response.data).hexdigest() == CHART_LIBRARY_SHA256
    assert "litecharts" not in sys.modules


def test_without_the_package_the_rest_works(
    locked: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(market_routes, "CHART_LIBRARY", tmp_path / "gone.js")
    assert_error(locked.get("/lightweight-charts.js"), 404, "no_chart_library")
    assert locked.get("/style.css").status_code == 200
