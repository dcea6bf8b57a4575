"""The stream: through the official client, and message by message."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from orchestra.simulator import Exchange, stream
from tests.exchange_fixture import change, running_exchange, set_clock
from tests.simulator.conftest import PATIENCE_SECONDS, Http, connected_http, eventually
from tests.simulator.wire import EMPTY, following, wire


@pytest.fixture
def running_fast() -> Iterator[Exchange]:
    """An exchange at 20 market minutes a second."""
    with running_exchange(MARKET_CLOCK_SPEED=1200) as running:
        yield running


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_official_client_gets_the_bars_that_history_has(running_fast: Exchange) -> None:
    with following(running_fast, "AAPL") as (_, bars):
        streamed = [bars.get(timeout=PATIENCE_SECONDS) for _ in range(5)]
    first, last = streamed[0].timestamp, streamed[-1].timestamp
    history = running_fast.market.bars("AAPL", int(first.timestamp()), int(last.timestamp()), 10)
    assert [
        (bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in streamed
    ] == [
        (datetime.fromtimestamp(b.start, UTC), b.open, b.high, b.low, b.close, b.volume)
        for b in history
    ]
    assert (last - first).total_seconds() == 4 * 60


def test_the_official_client_subscribes_and_unsubscribes_while_running(
    running_fast: Exchange,
) -> None:
    with (
        following(running_fast, "AAPL") as (client, bars),
        connected_http(running_fast) as http,
    ):

        async def receive(bar: Any) -> None:
            bars.put(bar)

        def current() -> Any:
            return http("GET", "/_subscriptions").json()["current"]

        client.subscribe_bars(receive, "MSFT", "SPY")
        eventually(lambda: current() == ["AAPL", "MSFT", "SPY"])
        client.unsubscribe_bars("AAPL", "SPY")
        eventually(lambda: current() == ["MSFT"])
        log = http("GET", "/_subscriptions").json()["log"]
        assert [(each["action"], each["added"], each["removed"]) for each in log] == [
            ("connect", [], []),
            ("auth", [], []),
            ("subscribe", ["AAPL"], []),
            ("subscribe", ["MSFT", "SPY"], []),
            ("unsubscribe", [], ["AAPL", "SPY"]),
        ]
        assert log[3]["bars"] == ["AAPL", "MSFT", "SPY"]
        assert log[0]["at"].startswith("2024-06-04T1")
    eventually(lambda: running_fast.stream.subscriptions()["connections"] == 0)
    assert running_fast.stream.subscriptions()["log"][-1]["action"] == "disconnect"


def test_a_minute_is_one_frame_with_all_its_symbols(running_fast: Exchange) -> None:
    with wire(running_fast) as it:
        it.log_in()
        it.send(action="subscribe", bars=["MSFT", "AAPL"])
        assert it.receive() == [{**EMPTY, "bars": ["AAPL", "MSFT"]}]
        frames = [it.receive() for _ in range(3)]
    for frame in frames:
        assert [(bar["T"], bar["S"]) for bar in frame] == [("b", "AAPL"), ("b", "MSFT")]
        assert set(frame[0]) == {"T", "S", "o", "h", "l", "c", "v", "n", "vw", "t"}
        assert frame[0]["t"] == frame[1]["t"]
    times = [frame[0]["t"].seconds for frame in frames]
    assert times == [times[0], times[0] + 60, times[0] + 120]


def test_a_minute_without_trades_sends_nothing(running_fast: Exchange) -> None:
    with wire(running_fast) as it:
        it.log_in()
        it.send(action="subscribe", bars=["PPLT"])
        it.receive()
        times = [it.receive()[0]["t"].seconds for _ in range(6)]
    assert times[-1] - times[0] > 5 * 60


def test_nothing_is_sent_for_closed_minutes() -> None:
    start = "2024-06-04T19:50:00Z"
    with (
        running_exchange(
            MARKET_CLOCK_START=start, MARKET_CLOCK_SPEED=1200, MARKET_CLOCK_SKIP_CLOSED=True
        ) as exchange,
        wire(exchange) as it,
    ):
        it.log_in()
        it.send(action="subscribe", bars=["AAPL"])
        it.receive()
        minutes = [it.receive()[0]["t"].to_datetime()]
        while minutes[-1] < utc("2024-06-05T13:32:00"):
            minutes.append(it.receive()[0]["t"].to_datetime())
    evening = [minute for minute in minutes if minute < utc("2024-06-05T00:00:00")]
    assert evening[-1] == utc("2024-06-04T19:59:00")
    assert minutes[len(evening) :] == [utc(f"2024-06-05T13:3{number}:00") for number in range(3)]


def test_the_wildcard_gets_every_symbol(running_fast: Exchange) -> None:
    with wire(running_fast) as it:
        it.log_in()
        it.send(action="subscribe", bars=["*"])
        assert it.receive()[0]["bars"] == ["*"]
        assert {"AAPL", "SPY", "TSLA"} <= {bar["S"] for bar in it.receive()}


def test_the_running_day_the_trades_and_the_quotes(running_fast: Exchange) -> None:
    with wire(running_fast) as it:
        it.log_in()
        it.send(action="subscribe", dailyBars=["AAPL"], trades=["AAPL"], quotes=["AAPL"])
        acknowledged = it.receive()[0]
        assert acknowledged["corrections"] == acknowledged["cancelErrors"] == ["AAPL"]
        frame = it.receive()
    assert [message["T"] for message in frame] == ["t", "q", "d"]
    trade, quote, day = frame
    assert day["t"].to_datetime() == utc("2024-06-04T13:30:00")
    assert day["c"] == trade["p"] and day["v"] > 100_000
    assert quote["ap"] > trade["p"] > quote["bp"]


def test_a_fragmented_and_a_bare_subscription_are_acknowledged(exchange: Exchange) -> None:
    with wire(exchange) as it:
        it.log_in()
        message = msgpack.packb({"action": "subscribe", "bars": ["AAPL"]})
        it.send_raw([message[:9], message[9:], b""])
        assert it.receive() == [{**EMPTY, "bars": ["AAPL"]}]
        it.send(action="subscribe")
        assert it.receive() == [{**EMPTY, "bars": ["AAPL"]}]
        it.send(action="unsubscribe", bars=["AAPL", "never"])
        assert it.receive() == [EMPTY]


def test_json_is_spoken_with_who_speaks_json(running_fast: Exchange) -> None:
    with wire(running_fast, packed=False) as it:
        it.log_in()
        it.send(action="subscribe", bars=["AAPL"])
        assert it.receive() == [{**EMPTY, "bars": ["AAPL"]}]
        bar = it.receive()[0]
        assert datetime.fromisoformat(bar["t"]) >= utc("2024-06-04T14:30:00")
        assert bar["t"].endswith("Z")


def test_before_authentication_there_is_only_authentication(exchange: Exchange) -> None:
    with wire(exchange) as it:
        it.receive()
        it.send(action="subscribe", bars=["AAPL"])
        assert it.error() == 401
        it.send_raw(b"\xc1")
        assert it.error() == 400
        it.send(action="auth", key="any", secret="")
        assert it.error() == 402
        it.send(action="auth", key="any", secret="pair")
        assert it.receive() == [{"T": "success", "msg": "authenticated"}]
        it.send(action="auth", key="any", secret="pair")
        assert it.error() == 403


def test_who_does_not_authenticate_in_time_is_sent_away(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "AUTH_SECONDS", 0.05)
    with wire(exchange) as it:
        it.receive()
        assert it.error() == 404
        with pytest.raises(ConnectionClosed):
            it.receive()


def test_only_the_settings_keys_are_accepted_where_there_are_some() -> None:
    with (
        running_exchange(ALPACA_API_KEY="PKTEST", ALPACA_SECRET="hush") as exchange,
        wire(exchange) as it,
    ):
        it.receive()
        it.send(action="auth", key="any", secret="pair")
        assert it.error() == 402
        it.send(action="auth", key="PKTEST", secret="hush")
        assert it.receive() == [{"T": "success", "msg": "authenticated"}]


def test_a_second_connection_is_one_too_many(exchange: Exchange) -> None:
    with wire(exchange) as first:
        first.log_in()
        with wire(exchange) as second:
            second.receive()
            second.send(action="auth", key="any", secret="pair")
            assert second.error() == 406
            with pytest.raises(ConnectionClosed):
                second.receive()
    eventually(lambda: exchange.stream.subscriptions()["connections"] == 0)
    with wire(exchange) as third:
        third.log_in()


@pytest.mark.parametrize(
    "message",
    [
        {"action": "dance"},
        {"bars": ["AAPL"]},
        {"action": "subscribe", "bars": "AAPL"},
        {"action": "subscribe", "bars": [1]},
        {"action": "subscribe", "candles": ["AAPL"]},
    ],
)
def test_bad_syntax_changes_nothing(exchange: Exchange, message: dict[str, Any]) -> None:
    with wire(exchange) as it:
        it.log_in()
        it.send(**message)
        assert it.error() == 400
        it.send(action="subscribe")
        assert it.receive() == [EMPTY]


def test_more_than_30_symbols_of_trades_are_too_many(exchange: Exchange) -> None:
    with wire(exchange) as it:
        it.log_in()
        it.send(action="subscribe", trades=[f"T{number}" for number in range(31)])
        assert it.error() == 405
        it.send(action="subscribe", bars=[f"T{number}" for number in range(31)])
        assert len(it.receive()[0]["bars"]) == 31


def test_another_path_is_not_found(exchange: Exchange) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(exchange.stream_url.replace("/v2/iex", "/v3/iex"), proxy=None),
    ):
        pass
    assert refused.value.response.status_code == 404


def test_the_stream_follows_a_clock_that_was_set(exchange: Exchange, http: Http) -> None:
    with wire(exchange) as it:
        it.log_in()
        it.send(action="subscribe", bars=["AAPL"])
        it.receive()
        set_clock("2025-03-10T14:00:00Z", speed=1200)
        assert it.receive()[0]["t"].to_datetime() >= utc("2025-03-10T14:00:00")
        set_clock("2024-01-03T15:00:00Z", speed=1200)
        times = [it.receive()[0]["t"].to_datetime() for _ in range(3)]
        assert times[-1].date() == utc("2024-01-03T00:00:00").date()
    change(MARKET_CLOCK_SPEED=1e-6)
