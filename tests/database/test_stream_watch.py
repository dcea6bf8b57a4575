"""A stream that is refused, mute, frozen or never confirmed is noticed, said, and mended."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgpack
import pytest
from websockets.sync.server import ServerConnection

from database import arrivals, db_manager, schema, stream_watch
from database.arrivals import Way
from database.historical_pull import HistoricalFetcher
from database.realtime_pull import RealtimeStreamer, StreamStatus
from database.stream_watch import StreamWatch
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import floor_minute
from orchestra.exchange import stream as exchange_stream
from orchestra.simulator import Exchange
from tests.conftest import Configure
from tests.database.conftest import bar
from tests.database.test_realtime_pull import connected, next_bar, peer, say
from tests.exchange_fixture import running_exchange, set_clock
from tests.processes import until

NOTICED_SECONDS = 40.0  # machine seconds a test waits for what must happen
LAST_SESSION = [f"2024-06-03T{14 + n // 60}:{n % 60:02}:00Z" for n in range(360)]
ALWAYS = frozenset({"SPY"})


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange(MARKET_CLOCK_SPEED=60) as running:
        yield running


@pytest.fixture
def streamer() -> Iterator[RealtimeStreamer]:
    made = RealtimeStreamer()
    yield made
    made.stop()


def says(streamer: RealtimeStreamer, *words: str) -> None:
    def said() -> bool:
        status = streamer.status()
        return not status.healthy and all(word in status.message for word in words)

    until(said, NOTICED_SECONDS, lambda: streamer.status().message, " ".join(words))


def test_a_mute_stream_is_noticed_and_mended(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    db_manager.insert_historical_data("SPY", [bar(stamp) for stamp in LAST_SESSION])
    streamer.subscribe("SPY")
    next_bar(streamer, "SPY")
    assert streamer.status().healthy
    exchange.faults.add({"name": "mute"})
    says(streamer, "no bar for", "minutes")
    assert streamer.status().mended >= 1
    exchange.faults.clear()
    until(lambda: streamer.status().healthy, NOTICED_SECONDS)
    next_bar(streamer, "SPY")


def test_a_frozen_stream_is_left_and_made_anew(
    exchange: Exchange, streamer: RealtimeStreamer
) -> None:
    db_manager.insert_historical_data("SPY", [bar(stamp) for stamp in LAST_SESSION])
    streamer.subscribe("SPY")
    next_bar(streamer, "SPY")
    exchange.faults.add({"name": "freeze"})
    until(lambda: not streamer.status().healthy, NOTICED_SECONDS)
    exchange.faults.clear()
    until(lambda: streamer.status().healthy, NOTICED_SECONDS)
    next_bar(streamer, "SPY")


@pytest.mark.parametrize(
    ("fault", "words"), [("406", "connection limit exceeded"), ("auth_failed", "auth failed")]
)
def test_a_refusal_is_said_in_the_exchanges_words(
    exchange: Exchange, streamer: RealtimeStreamer, fault: str, words: str
) -> None:
    exchange.faults.add({"name": fault})
    streamer.subscribe("SPY")
    says(streamer, "Not connected", words)
    exchange.faults.clear()
    connected(streamer)
    next_bar(streamer, "SPY")
    assert streamer.status().healthy


def test_a_subscription_that_is_never_confirmed_is_noticed(
    configure: Configure, streamer: RealtimeStreamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_watch, "CONFIRM_SECONDS", 0.3)
    release, attempts = threading.Event(), []

    def attend(connection: ServerConnection) -> None:
        attempts.append(connection)
        say(connection, T="success", msg="connected")
        connection.recv()
        say(connection, T="success", msg="authenticated")
        connection.recv()
        if len(attempts) > 1:
            connection.send(msgpack.packb([{"T": "subscription", "bars": ["SPY"]}]))
        release.wait(NOTICED_SECONDS)

    with peer(configure, attend):
        streamer.subscribe("SPY")
        says(streamer, "subscription of SPY is not confirmed")
        until(lambda: len(attempts) == 2, NOTICED_SECONDS)
        release.set()
        streamer.stop()


def test_a_mute_handshake_ends(
    configure: Configure, streamer: RealtimeStreamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_stream, "HANDSHAKE_SECONDS", 0.3)
    release = threading.Event()

    def attend(connection: ServerConnection) -> None:
        release.wait(NOTICED_SECONDS)

    with peer(configure, attend):
        streamer.subscribe("SPY")
        says(streamer, "Not connected", "does not answer the handshake")
        release.set()
        streamer.stop()


def test_silence_is_judged_by_how_often_the_tickers_trade(exchange: Exchange) -> None:
    set_clock("2024-06-04T14:30:00Z")
    db_manager.insert_historical_data("SPY", [bar(stamp) for stamp in LAST_SESSION])
    db_manager.insert_historical_data("PPLT", [bar(stamp) for stamp in LAST_SESSION[::4]])
    watch = StreamWatch()
    assert watch.believed({"SPY"}) == 4  # 360 of 390 minutes: 0.077 ** 4 < 1e-4
    assert watch.believed({"PPLT"}) == 36  # 90 of 390
    assert watch.believed({"SPY", "PPLT"}) == 4
    assert watch.believed({"NEW"}) == 14  # nothing is known of it: every second minute
    assert watch.believed(set()) == 60


def test_only_open_minutes_are_silent(exchange: Exchange) -> None:
    day_before = [stamp.replace("06-03", "06-04") for stamp in LAST_SESSION]
    db_manager.insert_historical_data("SPY", [bar(stamp) for stamp in day_before])
    watch = StreamWatch()

    def at(stamp: str, heard: int = 1) -> str:
        set_clock(stamp)
        return watch.look(True, heard, ALWAYS, ALWAYS)

    assert at("2024-06-04T19:58:30Z", 0) == ""
    assert at("2024-06-04T20:00:10Z") == ""
    assert at("2024-06-05T13:29:00Z") == ""  # a night
    assert at("2024-06-05T13:35:30Z") == ""  # five minutes, one of which is still under way
    assert at("2024-06-05T13:37:30Z") == "connected, but no bar for 6 minutes"
    assert at("2024-06-05T13:41:30Z") == ""  # it was made anew and is given longer
    assert at("2024-06-05T13:49:00Z") == watch.trouble == "connected, but no bar for 10 minutes"
    assert at("2024-06-05T13:50:00Z", 2) == watch.trouble == ""


def test_a_ticker_whose_bars_are_late_or_fetched_is_noticed_though_others_come(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, tickers = StreamWatch(), frozenset({"SPY", "PPLT"})
    begin = datetime.fromisoformat("2024-06-04T14:00:00+00:00")

    def minute(n: int, pplt: str = "") -> str:
        """Let SPY's bar of the n-th minute come in time, and PPLT's fetched or late, if at all."""
        stamp = clock.stamp(begin + timedelta(minutes=n))
        set_clock(stamp)
        with sqlite.transaction(schema.stocks()) as connection:
            arrivals.note(connection, "streamed", {stamp: {"SPY": 40}})
            if pplt:
                way: Way = "fetched" if pplt == "fetched" else "streamed"
                arrivals.note(connection, way, {stamp: {"PPLT": 50 if pplt == "in time" else 9000}})
        set_clock(clock.stamp(begin + timedelta(minutes=n + 1, seconds=3)))
        arrivals.note_asked(begin + timedelta(minutes=n), [])
        return watch.look(True, n, tickers, tickers)

    minute(0, "fetched")
    minute(1, "fetched")  # it had begun before the connection was made
    for n, came in enumerate(("fetched", "", "fetched", "late", "", "late"), start=2):
        assert minute(n, came) == ""
    assert minute(8, "fetched") == ""  # five now, but on this clock no half minute has passed
    monkeypatch.setattr(stream_watch, "BEHIND_SECONDS", 0.0)
    assert minute(9) == "5 bars of PPLT in a row came late or had to be fetched"
    minute(10, "fetched")
    for n in range(11, 20):
        assert minute(n, "fetched") == ""  # it is given twice as long
        assert watch.trouble
    assert minute(20, "fetched").startswith("10 bars of PPLT")
    minute(21)
    assert minute(22, "in time") == watch.trouble == ""
    assert all(minute(n, "fetched") == "" for n in range(23, 27))
    assert minute(27, "fetched").startswith("5 bars of PPLT")


def test_a_stream_that_lost_one_of_two_tickers_is_made_anew(
    exchange: Exchange, streamer: RealtimeStreamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_watch, "BEHIND_SECONDS", 1.0)
    for ticker in ("MSFT", "SPY"):
        streamer.subscribe(ticker)
    next_bar(streamer, "MSFT", "SPY")
    exchange.faults.add({"name": "missing_bars", "symbols": ["MSFT"]})

    def after_a_cycle() -> StreamStatus:
        minute = floor_minute(clock.now())
        streamer.wait_for_bars({"SPY"}, minute, clock.elapsed() + 2.0)  # it may be connecting
        HistoricalFetcher().close_gaps(["MSFT", "SPY"], minute)
        arrivals.note_asked(minute, [])
        return streamer.status()

    until(lambda: "of MSFT in a row" in after_a_cycle().message, NOTICED_SECONDS)
    assert not streamer.status().healthy and streamer.status().mended >= 1
    exchange.faults.clear()
    connected(streamer)
    until(lambda: after_a_cycle().healthy, NOTICED_SECONDS)


def test_an_updated_bar_leaves_a_trace(exchange: Exchange, streamer: RealtimeStreamer) -> None:
    exchange.faults.add({"name": "updated_bars", "seconds": 30})
    streamer.subscribe("SPY")
    connected(streamer)
    minute = clock.stamp(next_bar(streamer, "SPY"))
    [first] = db_manager.get_historical_data("SPY", minute, minute)
    until(lambda: db_manager.replaced_bars("SPY", minute, minute), NOTICED_SECONDS)
    assert db_manager.replaced_bars("SPY", minute, minute) == [first]
    assert db_manager.get_historical_data("SPY", minute, minute) != [first]
