"""Recorded minutes, served as they are in their files."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame

from orchestra.base.errors import SettingsError
from orchestra.simulator import Exchange
from orchestra.simulator.recorded_bars import RecordedBars
from tests.exchange_fixture import running_exchange
from tests.simulator.conftest import connected_data, connected_http, connected_trader

HEADER = "timestamp,open,high,low,close,volume\n"
MONDAY = HEADER + (
    "2024-06-03T13:30:00Z,10.00,10.50,9.90,10.20,1000\n"
    "2024-06-03T13:31:00Z,10.20,10.30,10.10,10.25,250\n"
    "2024-06-03T19:59:00Z,11.00,11.00,10.80,10.9999,90\n"
)
WEDNESDAY = HEADER + "2024-06-05T13:35:00Z,12,12.5,11.75,12.25,100\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("2024-06-03", MONDAY), ("2024-06-05", WEDNESDAY)):
        file = tmp_path / "bars" / "XYZ" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "bars"


@pytest.fixture
def recorded(folder: Path) -> Iterator[Exchange]:
    with running_exchange(SIMULATOR_BARS=folder, MARKET_CLOCK_START="2024-06-05T14:00:00Z") as it:
        yield it


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_bars_are_those_of_the_files(recorded: Exchange) -> None:
    with connected_data(recorded) as data:
        request = StockBarsRequest(
            symbol_or_symbols="XYZ", timeframe=TimeFrame.Minute, start=utc("2024-06-01T00:00:00")
        )
        bars = data.get_stock_bars(request)["XYZ"]
    assert [(bar.timestamp, bar.close, bar.volume) for bar in bars] == [
        (utc("2024-06-03T13:30:00"), 10.2, 1000),
        (utc("2024-06-03T13:31:00"), 10.25, 250),
        (utc("2024-06-03T19:59:00"), 10.9999, 90),
        (utc("2024-06-05T13:35:00"), 12.25, 100),
    ]
    assert (bars[0].open, bars[0].high, bars[0].low) == (10.0, 10.5, 9.9)


def test_a_day_without_a_file_is_empty(recorded: Exchange) -> None:
    with connected_http(recorded) as http:
        day = {"symbols": "XYZ", "start": "2024-06-04T00:00:00Z", "end": "2024-06-04T23:00:00Z"}
        answer = http("GET", "/v2/stocks/bars", params=day)
        assert answer.json() == {"bars": {}, "next_page_token": None}


def test_the_label_is_a_hash_of_names_and_contents(recorded: Exchange, folder: Path) -> None:
    contents = b"".join(
        f"XYZ/{day}.csv\0".encode() + (folder / "XYZ" / f"{day}.csv").read_bytes()
        for day in ("2024-06-03", "2024-06-05")
    )
    expected = hashlib.sha256(contents).hexdigest()[:12]
    with connected_http(recorded) as http:
        assert http("GET", "/_label").json() == {"label": f"recorded:{expected}"}


def test_a_recorded_ticker_is_tradable_at_its_newest_close(recorded: Exchange) -> None:
    with connected_trader(recorded) as trader:
        assert trader.client.get_asset("XYZ").tradable
        assert trader.fill("XYZ", 4).filled_avg_price == "12.25"
        assert trader.client.get_account().cash == "99951.00"


def test_before_the_first_file_an_order_is_rejected(folder: Path) -> None:
    early = "2024-05-31T14:00:00Z"
    with (
        running_exchange(SIMULATOR_BARS=folder, MARKET_CLOCK_START=early) as exchange,
        connected_trader(exchange) as trader,
    ):
        order = trader.until(trader.place("XYZ", 1), "rejected")
        assert order.failed_at == utc("2024-05-31T14:00:00")
        assert trader.client.get_account().cash == "100000"


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("XYZ/monday.csv", HEADER, "expected files named YYYY-MM-DD.csv"),
        ("readme.txt", "", "no TICKER/YYYY-MM-DD.csv"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    tmp_path: Path, file: str, text: str, sentence: str
) -> None:
    path = tmp_path / "wrong" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        RecordedBars(tmp_path / "wrong")


def test_a_line_that_is_no_bar_names_itself(folder: Path) -> None:
    broken = folder / "XYZ" / "2024-06-05.csv"
    broken.write_text(HEADER + "2024-06-05T13:35:00Z,12,12.5,11.75,dear,100\n")
    source = RecordedBars(folder)
    start = int(utc("2024-06-05T13:35:00").timestamp())
    with pytest.raises(SettingsError, match=r"2024-06-05.csv, line 2: expected timestamp"):
        source.bars("XYZ", start, start, 10)


def test_real_recordings_are_served_whole(recorded_bars: Path) -> None:
    source = RecordedBars(recorded_bars)
    assert {"AAPL", "PPLT", "SPY"} <= set(source.tickers())
    first, last = utc("2024-01-02T00:00:00"), utc("2024-01-02T23:59:00")
    bars = source.bars("AAPL", int(first.timestamp()), int(last.timestamp()), 1000)
    assert len(bars) == 390
    assert bars[0].start == int(utc("2024-01-02T14:30:00").timestamp())
    assert (bars[0].open, bars[0].close, bars[0].volume) == (187.17, 187.83, 3252877)
