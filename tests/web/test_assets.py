"""Suggested tickers: at once what is in use, then the broker's list, kept over a restart."""

from pathlib import Path

import pytest

from database import db_manager
from orchestra.base import settings
from orchestra.simulator import Exchange
from orchestra.web.assets import AssetList
from system_databse.system_db_manager import create_algorithm
from tests.processes import until
from tests.web.conftest import Api, assert_error


def symbols(api: Api, typed: str, more: str = "") -> list[str]:
    return [item["symbol"] for item in api.read(f"/api/assets?q={typed}{more}")["items"]]


def await_list(api: Api) -> None:
    until(lambda: api.read("/api/assets?q=A")["complete"], what="the broker's list is known")


def test_what_is_in_use_comes_at_once_and_without_a_broker(api: Api) -> None:
    db_manager.add_ticker_if_missing("AMD")
    for ticker in ("KO", "NVDA", "KO", "AAPL"):
        create_algorithm(ticker, "sma_crossover", 1_000)
    assert api.read("/api/assets") == {
        "items": [{"symbol": ticker, "name": ""} for ticker in ("AAPL", "KO", "NVDA", "AMD")],
        "complete": False,
    }
    assert symbols(api, "a") == ["AAPL", "AMD"]


def test_the_brokers_list_by_symbol_then_by_name(api: Api, exchange: Exchange) -> None:
    await_list(api)
    create_algorithm("TSLA", "sma_crossover", 1_000)
    assert api.read("/api/assets?q=NV") == {
        "items": [{"symbol": "NVDA", "name": "NVIDIA Corporation"}],
        "complete": True,
    }
    assert symbols(api, "F") == ["F", "FT"]
    assert symbols(api, "T") == ["T", "TSLA"]  # what was typed comes before what is in use
    assert symbols(api, "TRUST") == ["FT", "GLD", "PALL", "PPLT"]  # a word of the name
    assert symbols(api, "TRUST", "&limit=2") == ["FT", "GLD"]
    assert symbols(api, "BRK.") == ["BRK.B"]
    assert symbols(api, "ZZZ") == []


def test_the_list_outlives_the_process_and_the_broker(api: Api, exchange: Exchange) -> None:
    await_list(api)
    exchange.stop()
    path = settings.current().stocks_db_path.with_name("stocks-tickers.json")
    until(path.exists, what="the list is kept")
    assert ("NVDA", "NVIDIA Corporation") in AssetList(path).get()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"as_of": "x", "assets": []}', "\x00"])
def test_a_broken_file_is_no_list(tmp_path: Path, api: Api, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    assert AssetList(path).get() == ()


def test_what_makes_no_sense_is_refused(api: Api) -> None:
    for wrong in ("q=ABCDEFGHIJK", "q=1", "q=%25", "q=A&limit=0"):
        assert_error(api.get(f"/api/assets?{wrong}"), 400, "bad_input")
