"""The stream through the real alpaca-py client: against the simulated exchange, and against worse peers."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest
import requests
from websockets.sync.server import ServerConnection, serve

from database import db_manager, gaps, realtime_pull
from database.bar_writer import BarWriter
from database.historical_pull import HistoricalFetcher
from database.realtime_pull import RealtimeStreamer
from orchestra.base import clock, settings
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import floor_minute
from orchestra.simulator import Exchange
from tests.conftest import Configure
from tests.database.conftest import bar
from tests.exchange_fixture import free_port, running_exchange
from tests.processes import until

MANY = ("AAPL", "AMZN", "BAC", "F", "KO", "MSFT", "NVDA", "QQQ", "SPY", "TSLA")
PATIENCE = 15.0  # machine seconds a test waits for what must happen
MINUTE = timedelta(minutes=1)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange(MARKET_CLOCK_SPEED=60) as running:
        yield running


@pytest.fixture
def streamer() -> Iterator[RealtimeStreamer]:
    made = RealtimeStreamer()
    yield made
    made.stop()


def eventually(condition: Callable[[], Any], what: str) -> None:
    deadline = clock.elapsed() + PATIENCE
    while not condition():
        assert clock.elapsed() < deadline, what
        clock.pause(0.01)


def subscriptions(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{exchange.url}/_subscriptions", timeout=5).json()
    return found


def connected(streamer: RealtimeStreamer) -> None:
    eventually(lambda: streamer.status().connected, "connected")


def next_bar(streamer: RealtimeStreamer, *tickers: str) -> datetime:
    """Wait for the bars of a minute that is running now."""
    minute = floor_minute(clock.now())
    missing = streamer.wait_for_bars(set(tickers), minute, clock.elapsed() + PATIENCE)
    assert missing == set()
    return minute


def stream_threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name in ("bar-stream", "bar-writer")
    ]


def test_streamed_bars_are_stored_as_history_has_them(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    streamer.subscribe("AAPL")
    streamer.subscribe("MSFT")
    connected(streamer)
    minute = clock.stamp(next_bar(streamer, "AAPL", "MSFT"))
    for ticker in ("AAPL", "MSFT"):
        [streamed] = db_manager.get_historical_data(ticker, minute, minute)
        assert db_manager.check_data_exists(ticker, minute, minute) == []
        number = gaps.number_of(minute)
        HistoricalFetcher().fetch_range([ticker], (number, number))
        assert db_manager.get_historical_data(ticker, minute, minute) == [streamed]
    status = streamer.status()
    assert status.healthy and status.tickers == ("AAPL", "MSFT") and status.restarts == 0
    assert status.last_bar_at is not None and status.last_bar_at >= minute


def test_a_minute_of_many_tickers_is_stored_in_one_transaction(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    for ticker in MANY:
        streamer.subscribe(ticker)
    connected(streamer)
    eventually(lambda: subscriptions(exchange)["current"] == sorted(MANY), "all subscribed")
    next_bar(streamer, *MANY)
    before = commits()
    minutes = [next_bar(streamer, *MANY) for _ in range(4)]
    stored = commits() - before
    bars = sum(
        db_manager.count_bars(ticker, clock.stamp(minutes[0]), clock.stamp(minutes[-1]))
        for ticker in MANY
    )
    assert bars == len(MANY) * 4
    assert 4 <= stored <= 5  # a machine that stalls may cut one in two


def commits() -> int:
    """How many transactions stand in the write-ahead log, by SQLite's file format."""
    written = Path(f"{settings.current().stocks_db_path}-wal").read_bytes()
    page = int.from_bytes(written[8:12], "big")
    salts = written[16:24]  # frames with others are left over from before a checkpoint
    frames = range(32, len(written) - 24, 24 + page)
    return sum(
        written[at + 8 : at + 16] == salts and written[at + 4 : at + 8] != bytes(4) for at in frames
    )


def test_the_threads_live_from_the_first_ticker_to_the_last(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    streamer.start()
    assert stream_threads() == []
    streamer.subscribe("AAPL")
    streamer.subscribe("MSFT")
    streamer.subscribe("AAPL")
    connected(streamer)
    eventually(lambda: subscriptions(exchange)["current"] == ["AAPL", "MSFT"], "both subscribed")
    assert sorted(stream_threads()) == ["bar-stream", "bar-writer"]
    streamer.unsubscribe("AAPL")
    streamer.unsubscribe("TSLA")  # never subscribed
    eventually(lambda: subscriptions(exchange)["current"] == ["MSFT"], "one left")
    next_bar(streamer, "MSFT")
    streamer.unsubscribe("MSFT")
    assert stream_threads() == []
    assert not streamer.status().connected and streamer.status().healthy
    eventually(lambda: subscriptions(exchange)["connections"] == 0, "disconnected")
    streamer.subscribe("NVDA")
    next_bar(streamer, "NVDA")


def test_stop_and_start_resume_the_same_tickers(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    streamer.subscribe("AAPL")
    connected(streamer)
    streamer.stop()
    streamer.stop()
    streamer.resubscribe()
    assert stream_threads() == []
    streamer.start()
    next_bar(streamer, "AAPL")


def test_a_dropped_connection_comes_back_with_its_subscriptions(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    streamer.subscribe("AAPL")
    next_bar(streamer, "AAPL")
    exchange.faults.add({"name": "drop", "times": 1})
    eventually(lambda: _connects(exchange) == 2, "a second connection")
    connected(streamer)
    next_bar(streamer, "AAPL")


def _connects(exchange: Exchange) -> int:
    return sum(event["action"] == "connect" for event in subscriptions(exchange)["log"])


def test_a_subscription_lost_on_the_way_is_healed(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    streamer.subscribe("AAPL")
    connected(streamer)
    assert streamer._run is not None and streamer._run.stream is not None
    # What a reconnect at the wrong moment leaves behind: in alpaca-py's table, never sent
    for channel in ("bars", "updatedBars"):
        streamer._run.stream._handlers[channel]["MSFT"] = streamer._on_bar
    streamer._tickers |= {"MSFT"}
    assert subscriptions(exchange)["current"] == ["AAPL"]
    streamer.resubscribe()
    eventually(lambda: subscriptions(exchange)["current"] == ["AAPL", "MSFT"], "healed")
    streamer.resubscribe()
    next_bar(streamer, "MSFT")


def test_an_updated_bar_replaces_the_first(exchange: Exchange, streamer: RealtimeStreamer) -> None:
    exchange.faults.add({"name": "updated_bars", "seconds": 30})
    streamer.subscribe("AAPL")
    connected(streamer)
    minute = clock.stamp(next_bar(streamer, "AAPL"))
    [first] = db_manager.get_historical_data("AAPL", minute, minute)
    eventually(
        lambda: db_manager.get_historical_data("AAPL", minute, minute) != [first], "an update"
    )
    [updated] = db_manager.get_historical_data("AAPL", minute, minute)
    assert updated["timestamp"] == minute


def test_a_refused_connection_is_tried_again(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    exchange.faults.add({"name": "406", "times": 2})
    streamer.subscribe("AAPL")
    assert not streamer.status().healthy
    assert "Not connected" in streamer.status().message
    connected(streamer)
    next_bar(streamer, "AAPL")


def test_waiting_ends_in_time_and_names_what_is_missing(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    db_manager.insert_minute_data("AAPL", "2024-06-04T14:20:00Z", 10, 11, 9, 10, 1)
    moment = datetime.fromisoformat("2024-06-04T14:20:00Z")
    until = clock.elapsed() + 0.2
    assert streamer.wait_for_bars({"AAPL", "MSFT"}, moment, until) == {"MSFT"}
    assert clock.elapsed() >= until
    far = clock.elapsed() + 3600
    assert streamer.wait_for_bars({"AAPL"}, moment, far) == set()  # known: not waited for
    assert streamer.wait_for_bars(set(), moment, far) == set()


def test_bad_tickers_are_refused(streamer: RealtimeStreamer) -> None:
    with pytest.raises(BadInput):
        streamer.subscribe("aapl")
    assert stream_threads() == []


@contextmanager
def peer(configure: Configure, attend: Callable[[ServerConnection], None]) -> Iterator[None]:
    """Another server than the simulated exchange, for what that one is too well-behaved for."""
    port = free_port()
    with serve(attend, "127.0.0.1", port, logger=logging.getLogger("peer")) as server:
        logging.getLogger("peer").setLevel(logging.CRITICAL)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        configure(ALPACA_STREAM_URL=f"ws://127.0.0.1:{port}/v2/iex")
        yield
        server.shutdown()
        thread.join()


def say(connection: ServerConnection, **message: object) -> None:
    connection.send(msgpack.packb([message]))


def test_a_stream_that_alpaca_py_gives_up_on_is_started_again(
    configure: Configure, streamer: RealtimeStreamer
) -> None:
    attempts = []
    subscribed = threading.Event()

    def attend(connection: ServerConnection) -> None:
        attempts.append(connection)
        say(connection, T="success", msg="connected")
        connection.recv()
        if len(attempts) == 1:
            say(connection, T="error", code=409, msg="insufficient subscription")
            return
        say(connection, T="success", msg="authenticated")
        if msgpack.unpackb(connection.recv())["bars"] == ["AAPL"]:
            subscribed.set()
        connection.recv(timeout=PATIENCE)

    with peer(configure, attend):
        streamer.subscribe("AAPL")
        assert subscribed.wait(PATIENCE)
        assert streamer.status().restarts == 1
        streamer.stop()


def test_it_says_what_alpaca_py_gives_up_on(
    configure: Configure, streamer: RealtimeStreamer
) -> None:
    def attend(connection: ServerConnection) -> None:
        say(connection, T="success", msg="connected")
        connection.recv()
        say(connection, T="error", code=409, msg="insufficient subscription")

    with peer(configure, attend):
        streamer.subscribe("AAPL")
        until(lambda: streamer.status().restarts == 1)
        assert streamer.status().message == (
            "Not connected: insufficient subscription; 1 tickers wait for bars."
        )
        streamer.stop()


@pytest.mark.parametrize("mute_after", ["connected", "authenticated", "nothing"])
def test_stopping_is_bounded_whatever_the_peer_does(
    configure: Configure, streamer: RealtimeStreamer, mute_after: str
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def attend(connection: ServerConnection) -> None:
        if mute_after != "nothing":
            say(connection, T="success", msg="connected")
        if mute_after == "authenticated":
            connection.recv()
            say(connection, T="success", msg="authenticated")
        arrived.set()
        release.wait(PATIENCE)

    with peer(configure, attend):
        streamer.subscribe("AAPL")
        assert arrived.wait(PATIENCE)
        streamer.subscribe("MSFT")  # does not hang either
        begun = clock.elapsed()
        streamer.stop()
        assert clock.elapsed() - begun < PATIENCE / 2
        assert stream_threads() == []
        release.set()


def test_an_exchange_that_is_not_there_blocks_nobody(
    configure: Configure, streamer: RealtimeStreamer
) -> None:
    configure(ALPACA_STREAM_URL=f"ws://127.0.0.1:{free_port()}/v2/iex")
    streamer.subscribe("AAPL")
    streamer.resubscribe()
    streamer.subscribe("MSFT")
    streamer.unsubscribe("MSFT")
    assert not streamer.status().healthy
    streamer.stop()
    assert stream_threads() == []


# alpaca-py's call into the loop that died with it is never run
@pytest.mark.filterwarnings("ignore:coroutine 'DataStream._send_subscribe_msg':RuntimeWarning")
def test_a_stuck_stream_is_replaced(
    exchange: Exchange, streamer: RealtimeStreamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_pull, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(realtime_pull, "END_SECONDS", 0.3)
    monkeypatch.setattr(realtime_pull, "POLITE_SECONDS", 0.1)
    release = threading.Event()
    streamer.subscribe("AAPL")
    connected(streamer)
    assert streamer._run is not None and streamer._run.stream is not None
    stuck = streamer._run.thread
    streamer._run.stream._loop.call_soon_threadsafe(release.wait)
    streamer.subscribe("MSFT")
    assert streamer.status().restarts == 1
    release.set()
    stuck.join(PATIENCE)
    assert not stuck.is_alive()
    gc.collect()
    eventually(lambda: subscriptions(exchange)["current"] == ["AAPL", "MSFT"], "replaced")
    next_bar(streamer, "AAPL", "MSFT")


def message(ticker: str, stamp: str, close: float = 10.0) -> dict[str, Any]:
    shown = bar(stamp, close)
    return {
        "T": "b",
        "S": ticker,
        "o": shown["open"],
        "h": shown["high"],
        "l": shown["low"],
        "c": shown["close"],
        "v": shown["volume"],
        "t": msgpack.Timestamp.from_datetime(datetime.fromisoformat(stamp)),
    }


def test_what_is_queued_is_stored_before_the_writer_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = BarWriter()
    writer.put(message("AAPL", "2024-06-04T14:10:00Z"))  # nobody is subscribed yet
    writer.start()
    stamps = [f"2024-06-04T14:{minute}:00Z" for minute in range(10, 40)]
    for stamp in stamps:
        writer.put(message("AAPL", stamp, 10.0))
        writer.put(message("AAPL", stamp, 20.0))  # its correction, in the same batch or the next
    for bad in ({"t": None}, {"h": 1.0}, {"S": "no ticker"}, {"c": None}):
        writer.put(message("MSFT", stamps[0]) | bad)
    writer.put({})
    writer.put(message("AAPL", "2024-06-04T20:00:00Z"))  # 16:00 New York
    writer.stop()
    found = db_manager.get_historical_data("AAPL", stamps[0], "2024-06-04T21:00:00Z")
    assert found == [bar(stamp, 20.0) for stamp in stamps]
    assert db_manager.newest_bar("MSFT") is None
    assert sum("left out" in text for text in caplog.messages) == 5
    assert writer.wait_for({"AAPL"}, stamps[-1], clock.elapsed()) == set()
