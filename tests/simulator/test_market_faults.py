"""Bars that are late, missing or corrected, a stream that breaks, early closes and splits."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from alpaca.data.enums import Adjustment, CorporateActionsType
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.requests import GetCalendarRequest
from websockets.exceptions import ConnectionClosed

from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange, set_clock
from tests.simulator.conftest import (
    Http,
    Trader,
    connected_data,
    connected_http,
    eventually,
    unhurried,
)
from tests.simulator.wire import Wire, following, wire


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def fast() -> Iterator[Exchange]:
    """An exchange at 10 market minutes a second."""
    with running_exchange(MARKET_CLOCK_SPEED=600) as running:
        yield running


def subscribed(it: Wire, **channels: list[str]) -> None:
    it.log_in()
    it.send(action="subscribe", **channels)
    it.receive()


def minute_of(bar: dict[str, Any]) -> int:
    return int(bar["t"].seconds) // 60


def history(exchange: Exchange, start: int) -> Any:
    return exchange.market.bars("AAPL", start, start, 1)


def test_a_dropped_stream_is_found_again_by_the_official_client(fast: Exchange) -> None:
    with following(fast, "AAPL") as (_, bars), connected_http(fast) as http:
        bars.get(timeout=10)
        fast.faults.add({"name": "drop", "times": 1})

        def actions() -> list[str]:
            return [each["action"] for each in http("GET", "/_subscriptions").json()["log"]]

        eventually(lambda: actions().count("subscribe") == 2)
        assert actions()[-4:] == ["disconnect", "connect", "auth", "subscribe"]
        while not bars.empty():
            bars.get()
        bars.get(timeout=10)


def test_a_mute_stream_stays_connected_and_speaks_again(fast: Exchange) -> None:
    with wire(fast) as it:
        subscribed(it, bars=["AAPL"])
        before = minute_of(it.receive()[0])
        fast.faults.add({"name": "mute"})
        eventually(lambda: history(fast, (before + 4) * 60))
        fast.faults.clear()
        assert minute_of(it.receive()[0]) > before + 3


def test_a_frozen_stream_answers_nothing(fast: Exchange) -> None:
    with wire(fast) as it:
        subscribed(it, bars=["AAPL"])
        before = minute_of(it.receive()[0])
        fast.faults.add({"name": "freeze"})
        eventually(lambda: history(fast, (before + 3) * 60))
        it.send(action="subscribe", bars=["MSFT"])
        eventually(lambda: history(fast, (before + 6) * 60))
        assert fast.stream.subscriptions()["current"] == ["AAPL"]
        fast.faults.clear()
        eventually(lambda: fast.stream.subscriptions()["current"] == ["AAPL", "MSFT"])


def test_connections_can_be_refused(exchange: Exchange) -> None:
    exchange.faults.add({"name": "406", "times": 1})
    with wire(exchange) as it:
        it.receive()
        it.send(action="auth", key="any", secret="pair")
        assert it.error() == 406
        with pytest.raises(ConnectionClosed):
            it.receive()
    exchange.faults.add({"name": "auth_failed", "times": 1})
    with wire(exchange) as it:
        it.receive()
        it.send(action="auth", key="any", secret="pair")
        assert it.error() == 402


def test_late_bars_come_late_on_the_stream_only(fast: Exchange) -> None:
    fast.faults.add({"name": "late_bars", "seconds": 150, "symbols": ["AAPL"]})
    with wire(fast) as it:
        subscribed(it, bars=["AAPL", "MSFT"])
        arrived: dict[str, int] = {}
        while len(arrived) < 2:
            for bar in it.receive():
                if arrived or bar["S"] == "MSFT":
                    arrived[bar["S"]] = minute_of(bar)
        assert arrived["MSFT"] - arrived["AAPL"] >= 2


def test_late_bars_come_late_to_history(exchange: Exchange) -> None:
    exchange.faults.add({"name": "late_bars", "seconds": 90, "where": "rest"})
    with connected_data(exchange) as data:
        request = StockBarsRequest(
            symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, start=utc("2024-06-04T14:20:00")
        )
        newest = data.get_stock_bars(request)["AAPL"][-1]
        assert newest.timestamp == utc("2024-06-04T14:27:00")
        set_clock("2024-06-04T14:30:30Z")
        assert data.get_stock_bars(request)["AAPL"][-1].timestamp == utc("2024-06-04T14:28:00")


def test_missing_bars_are_missing_on_the_stream_and_in_history_if_told(fast: Exchange) -> None:
    fast.faults.add({"name": "missing_bars", "symbols": ["AAPL"]})
    fast.faults.add(
        {
            "name": "missing_bars",
            "symbols": ["MSFT"],
            "probability": 0.5,
            "seed": 7,
            "where": "both",
        }
    )
    with wire(fast) as it:
        subscribed(it, bars=["AAPL", "MSFT", "SPY"])
        frames = [it.receive() for _ in range(12)]
    assert not any(bar["S"] == "AAPL" for frame in frames for bar in frame)
    streamed = {minute_of(bar) for frame in frames for bar in frame if bar["S"] == "MSFT"}
    first, last = minute_of(frames[0][0]) * 60, minute_of(frames[-1][0]) * 60
    assert 0 < len(streamed) < 12
    assert {b.start // 60 for b in fast.market.bars("MSFT", first, last, 100)} == streamed
    assert len(fast.market.bars("AAPL", first, last, 100)) == 12


def test_an_updated_bar_corrects_the_minute_half_a_minute_later(fast: Exchange) -> None:
    fast.faults.add({"name": "updated_bars", "symbols": ["AAPL"]})
    with wire(fast) as it:
        subscribed(it, bars=["AAPL"], updatedBars=["AAPL"])
        first = it.receive()[0]
        second = it.receive()[0]
        while second["T"] != "u":
            second = it.receive()[0]
    assert first["T"] == "b" and minute_of(first) <= minute_of(second)
    final = history(fast, second["t"].seconds)[0]
    assert (second["o"], second["h"], second["l"], second["c"], second["v"]) == final[1:6]
    if minute_of(first) == minute_of(second):
        assert first["v"] < second["v"]


def test_a_bar_is_preliminary_until_its_correction(exchange: Exchange) -> None:
    final = history(exchange, int(utc("2024-06-04T14:29:00").timestamp()))[0]
    exchange.faults.add({"name": "updated_bars"})
    early = history(exchange, final.start)[0]
    assert early.volume < final.volume and early.open == final.open
    set_clock("2024-06-04T14:30:30Z")
    assert history(exchange, final.start)[0] == final


def test_an_early_close_changes_calendar_clock_and_orders(
    trader: Trader, exchange: Exchange, http: Http
) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-04", "time": "12:00"})
    (today,) = trader.client.get_calendar(GetCalendarRequest(start="2024-06-04", end="2024-06-04"))
    assert (today.close.hour, today.close.minute) == (12, 0)
    assert trader.client.get_clock().next_close == utc("2024-06-04T16:00:00")
    exchange.faults.add({"name": "stuck"})
    order = trader.until(trader.place("AAPL", 1), "new")
    set_clock("2024-06-04T16:05:00Z")
    assert not trader.client.get_clock().is_open
    assert trader.get(order).status == "expired"
    assert trader.place("AAPL", 1).status == "accepted"
    newest = exchange.market.bars("AAPL", 0, 2**33, 1, newest_first=True)[0]
    assert newest.start == int(utc("2024-06-04T15:59:00").timestamp())


def test_a_day_can_be_closed_altogether(trader: Trader, exchange: Exchange) -> None:
    exchange.faults.add({"name": "early_close", "day": "2024-06-05", "time": "09:30"})
    days = trader.client.get_calendar(GetCalendarRequest(start="2024-06-04", end="2024-06-06"))
    assert [day.date for day in days] == [date(2024, 6, 4), date(2024, 6, 6)]
    set_clock("2024-06-05T15:00:00Z")
    assert trader.client.get_clock().next_open == utc("2024-06-06T13:30:00")
    start, end = (int(utc(f"2024-06-05T{hour}:00:00").timestamp()) for hour in ("00", "23"))
    assert exchange.market.bars("AAPL", start, end, 1000) == []


def test_a_split_multiplies_shares_and_divides_prices(trader: Trader, exchange: Exchange) -> None:
    trader.fill("AAPL", 3)
    plain = exchange.market.source.bars(
        "AAPL", int(utc("2024-06-05T13:30:00").timestamp()), 2**33, 1
    )
    exchange.faults.add({"name": "split", "symbol": "AAPL", "day": "2024-06-05", "ratio": 4})
    set_clock("2024-06-05T13:29:00Z")
    assert trader.client.get_open_position("AAPL").qty == "3"
    before = float(trader.client.get_account().equity)
    set_clock("2024-06-05T13:30:00Z")
    position = trader.client.get_open_position("AAPL")
    assert (position.qty, position.cost_basis) == ("12", "634.62")
    assert position.avg_entry_price == "52.885"
    assert float(trader.client.get_account().equity) == pytest.approx(before, abs=0.01)
    set_clock("2024-06-05T13:31:00Z")
    with connected_data(exchange) as data:

        def closes(adjustment: Adjustment) -> list[float]:
            request = StockBarsRequest(
                symbol_or_symbols="AAPL",
                timeframe=TimeFrame.Minute,
                start=utc("2024-06-04T14:29:00"),
                adjustment=adjustment,
            )
            bars = data.get_stock_bars(request)["AAPL"]
            return [bars[0].close, bars[-1].close]

        after = round(plain[0].close / 4, 4)
        assert closes(Adjustment.RAW) == [211.54, after]
        assert closes(Adjustment.SPLIT) == [52.885, after]
    assert trader.fill("AAPL", 12, "sell").filled_avg_price == f"{after:g}"


def test_a_split_is_announced_as_a_corporate_action(exchange: Exchange) -> None:
    exchange.faults.add({"name": "split", "symbol": "AAPL", "day": "2024-06-05", "ratio": 4})
    exchange.faults.add({"name": "split", "symbol": "F", "day": "2024-06-06", "ratio": 0.1})
    client = CorporateActionsClient("any", "pair", url_override=exchange.url)
    unhurried(client)

    def actions(**more: Any) -> Any:
        request = CorporateActionsRequest(start=date(2024, 6, 1), end=date(2024, 6, 30), **more)
        return client.get_corporate_actions(request).data

    found = actions()
    (forward,), (reverse,) = found["forward_splits"], found["reverse_splits"]
    assert (forward.symbol, forward.new_rate, forward.old_rate) == ("AAPL", 4, 1)
    assert forward.ex_date == date(2024, 6, 5)
    assert (reverse.symbol, reverse.new_rate, reverse.old_rate) == ("F", 1, 10)
    assert list(actions(symbols=["F"])) == ["reverse_splits"]
    assert list(actions(types=[CorporateActionsType.FORWARD_SPLIT])) == ["forward_splits"]
    client._session.close()
