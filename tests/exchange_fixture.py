"""A simulated exchange for a test: ``with running_exchange(MARKET_CLOCK_START=...) as exchange: ...``.

Inside the block the settings of this process (and of processes it starts with ``os.environ``) point at
the exchange. Without other values the market stands still at 10:30 New York on 2024-06-04.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestra.base import clock, settings, sqlite
from orchestra.simulator import Exchange

STANDING_STILL = 1e-6  # market seconds a machine second
OPEN_MARKET = "2024-06-04T14:30:00Z"
_PORTS = ("SIMULATOR_PORT", "SIMULATOR_STREAM_PORT")
_ADDRESSES = {  # until the real ones are known: an accelerated clock allows none of Alpaca's
    "ALPACA_TRADING_URL": "http://127.0.0.1:1",
    "ALPACA_DATA_URL": "http://127.0.0.1:1",
    "ALPACA_STREAM_URL": "ws://127.0.0.1:1/v2/iex",
}


@contextmanager
def running_exchange(**values: object) -> Iterator[Exchange]:
    """Start an exchange on free ports with these settings over the test's own; stop it afterwards.

    The market clock is anchored now, so the market time on entry is MARKET_CLOCK_START. Databases and
    other settings are those of the test (fixture ``configure``).
    """
    changes: dict[str, object] = {
        "MARKET_CLOCK_START": OPEN_MARKET,
        "MARKET_CLOCK_SPEED": STANDING_STILL,
        "MARKET_CLOCK_ANCHOR": clock.machine_now().timestamp(),
        **_ADDRESSES,
        **values,
    }
    before = {name: os.environ.get(name) for name in (*changes, *_PORTS)}
    try:
        change(**changes)
        exchange = Exchange(settings.current(), port=0, stream_port=0)
        exchange.start()
        try:
            change(
                ALPACA_TRADING_URL=exchange.url,
                ALPACA_DATA_URL=exchange.url,
                ALPACA_STREAM_URL=exchange.stream_url,
                SIMULATOR_PORT=exchange.port,
                SIMULATOR_STREAM_PORT=exchange.stream_port,
            )
            yield exchange
        finally:
            exchange.stop()
    finally:
        restore(before)


def restore(before: Mapping[str, str | None]) -> None:
    """Give this process's settings their former values; None is one that was not set."""
    sqlite.close_kept()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _forget()


def change(**values: object) -> None:
    """Change settings of this process at once, the market clock included."""
    for name, value in values.items():
        os.environ[name] = str(value)
    _forget()


def set_clock(start: str, speed: float = STANDING_STILL, *, skip_closed: bool = False) -> None:
    """Let market time be ``start`` now, and run at ``speed`` from here; 1e-6 stands still."""
    change(
        MARKET_CLOCK_START=start,
        MARKET_CLOCK_SPEED=speed,
        MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp(),
        MARKET_CLOCK_SKIP_CLOSED=skip_closed,
    )


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on, for a process to be started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _forget() -> None:
    settings.adopt(None)
    clock.reset()
