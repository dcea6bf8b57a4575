"""The simulated exchange put together: one account, one market, REST and stream side by side."""

import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import Any

from orchestra.base import clock, settings, systemd
from orchestra.base.errors import AutoTraderError, SettingsError
from orchestra.base.market_calendar import nyse
from orchestra.base.settings import Settings
from orchestra.base.single import only_one
from orchestra.base.threads import share_heaps
from orchestra.simulator.account import Account
from orchestra.simulator.assets import listed
from orchestra.simulator.bars import BarSource
from orchestra.simulator.faults import Faults
from orchestra.simulator.generated_bars import GeneratedBars
from orchestra.simulator.http_server import HttpServer
from orchestra.simulator.market import Market
from orchestra.simulator.matching import Matching
from orchestra.simulator.recorded_bars import RecordedBars
from orchestra.simulator.rest import new_app
from orchestra.simulator.rest_control import control_routes
from orchestra.simulator.rest_data import DataRoutes
from orchestra.simulator.rest_trading import TradingRoutes
from orchestra.simulator.stream import Stream

SWITCH_SECONDS = 0.001  # the stream's thread must not wait long for one that writes a page


class Exchange:
    """A simulated exchange. ``port`` and ``stream_port`` override the settings; 0 takes a free one."""

    def __init__(
        self, chosen: Settings, *, port: int | None = None, stream_port: int | None = None
    ) -> None:
        self._settings = chosen
        self._host = chosen.simulator_host
        self.port = chosen.simulator_port if port is None else port
        self.stream_port = chosen.simulator_stream_port if stream_port is None else stream_port
        self.faults = Faults()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The address for trading and data, without /v2."""
        return f"http://{self._host}:{self.port}"

    @property
    def stream_url(self) -> str:
        """The stream's complete address."""
        return f"ws://{self._host}:{self.stream_port}/v2/{self._settings.alpaca_feed}"

    def start(self) -> None:
        """Open the account and both ports. Raises AlreadyRunning, SettingsError."""
        chosen = self._settings
        with ExitStack() as undo:
            undo.enter_context(only_one("simulator", chosen.simulator_db))
            source, assets = _bars(chosen)
            self.market = Market(source, assets, self.faults)
            self.account = Account(chosen.simulator_db, clock.now())
            undo.callback(self.account.close)
            self.matching = Matching(
                self.account,
                self.market,
                self.faults,
                chosen.simulator_fill,
                chosen.simulator_slippage_bps,
            )
            self._listen(chosen.keys if chosen.alpaca_api_key else None, source)
            self._opened = undo.pop_all()

    def _listen(self, keys: tuple[str, str] | None, source: BarSource) -> None:
        app = new_app(self.faults, keys)
        self.stream = Stream(self.market, self.faults, keys, self._host, self.stream_port)
        trading = TradingRoutes(self.account, self.market, self.matching, self.faults)
        app.register_blueprint(trading.blueprint())
        app.register_blueprint(DataRoutes(self.market).blueprint())
        app.register_blueprint(
            control_routes(
                lambda: source.label, self.stream.subscriptions, self.faults, self.matching.wake
            )
        )
        try:
            self._http = HttpServer((self._host, self.port), app)
        except OSError as error:
            raise _busy("SIMULATOR_PORT", self.port, error) from None
        self.port = self._http.server_port
        try:
            self.stream.start()
        except OSError as error:
            self._http.server_close()
            raise _busy("SIMULATOR_STREAM_PORT", self.stream_port, error) from None
        self.stream_port = self.stream.port
        for target in (self._serve_http, self.matching.run):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Close every connection and the account, and let go of the lock."""
        self.faults.clear()
        self._http.stop()
        self.stream.stop()
        self.matching.stop()
        for thread in self._threads:
            thread.join()
        self._opened.close()

    def _serve_http(self) -> None:
        self._http.serve_forever(poll_interval=0.05)


def run(faults: list[dict[str, Any]] | None = None) -> int:
    """Run the exchange of the current settings until SIGTERM or SIGINT; return the exit status."""
    sys.setswitchinterval(SWITCH_SECONDS)
    share_heaps()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        exchange = Exchange(settings.current())
        for fault in faults or []:
            exchange.faults.add(fault)
        exchange.start()
    except AutoTraderError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Simulated exchange ready: {exchange.url} and {exchange.stream_url}", flush=True)
    systemd.notify("READY=1")
    systemd.feed_while_answering(f"{exchange.url}/_subscriptions", stop)
    exchange.stop()
    return 0


def _bars(chosen: Settings) -> tuple[BarSource, dict[str, Any]]:
    if chosen.simulator_bars is not None:
        recorded = RecordedBars(chosen.simulator_bars)
        return recorded, listed(recorded.tickers())
    assets = listed()
    return GeneratedBars(chosen.simulator_seed, nyse(), assets.values()), assets


def _busy(name: str, port: int, error: OSError) -> SettingsError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return SettingsError(f"Setting {name}: cannot listen on port {port}: {reason}.")
