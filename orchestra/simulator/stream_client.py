"""One connection to the stream: its codec, its subscriptions, and the messages it is sent."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection

from orchestra.base import clock
from orchestra.simulator.bars import MINUTE_SECONDS, Bar
from orchestra.simulator.garbling import broken_frame

CHANNELS = (
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
)
IMPLIED = ("corrections", "cancelErrors")  # come with trades, and are not asked for
MOST_TRADES_AND_QUOTES = 30  # symbols of the free plan; minute bars have no limit
ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
}

Message = dict[str, Any]


class Client:
    """What one connection has subscribed to, and how it speaks: msgpack, or JSON by default."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        request = connection.request
        kind = request.headers.get("Content-Type", "") if request else ""
        self._msgpack = kind == "application/msgpack"
        self.channels: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self._frozen = False

    def encode(self, messages: list[Message]) -> bytes | str:
        """Pack messages as one frame. ``t`` is unix seconds until here."""
        if self._msgpack:
            packed = [_timed(each, lambda unix: msgpack.Timestamp(unix, 0)) for each in messages]
            return bytes(msgpack.packb(packed))
        return json.dumps([_timed(each, _stamp) for each in messages])

    def encode_broken(self, messages: list[Message], how: str, dice: Random) -> bytes | str:
        """Pack messages as a frame that is broken in one of ``garbling``'s ways."""
        packed = [_timed(each, lambda unix: msgpack.Timestamp(unix, 0)) for each in messages]
        return broken_frame(packed, how, dice)

    def decode(self, frame: bytes | str) -> Message:
        """Unpack a client's message. Raises ValueError when it is not one map."""
        try:
            message = msgpack.unpackb(frame) if self._msgpack else json.loads(frame)
        except Exception as error:  # msgpack has a dozen of its own
            raise ValueError("not readable") from error
        if not isinstance(message, dict):
            raise ValueError("not a map")
        return message

    async def send(self, *messages: Message) -> None:
        """Send messages as one frame."""
        await self.connection.send(self.encode(list(messages)))

    async def send_error(self, code: int) -> None:
        """Send one of Alpaca's errors."""
        await self.send({"T": "error", "code": code, "msg": ERRORS[code]})

    def freeze(self, frozen: bool) -> None:
        """Stop reading, so that not even pings are answered, or go on."""
        if frozen != self._frozen:
            transport = self.connection.transport
            transport.pause_reading() if frozen else transport.resume_reading()
        self._frozen = frozen

    def wants(self, channel: str, symbol: str) -> bool:
        """Say whether a channel is subscribed for a symbol, or for all by ``*``."""
        chosen = self.channels[channel]
        return symbol in chosen or "*" in chosen

    def symbols(self, *channels: str) -> set[str]:
        """The symbols subscribed on any of some channels."""
        return set().union(*(self.channels[channel] for channel in channels))

    def change(self, action: str, message: Mapping[str, Any]) -> None:
        """Apply a subscribe or unsubscribe, all of it or nothing.

        Raises ValueError for bad syntax, OverflowError when the plan's limit would be exceeded.
        """
        lists = {channel: message[channel] for channel in CHANNELS if channel in message}
        if set(message) - set(CHANNELS) - {"action"}:
            raise ValueError("unknown channel")
        for symbols in lists.values():
            if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
                raise ValueError("expected a list of symbols")
        changed = {channel: set(chosen) for channel, chosen in self.channels.items()}
        for channel, symbols in lists.items():
            if action == "subscribe":
                changed[channel] |= set(symbols)
            else:
                changed[channel] -= set(symbols)
        if max(len(changed["trades"]), len(changed["quotes"])) > MOST_TRADES_AND_QUOTES:
            raise OverflowError("too many symbols")
        for channel in IMPLIED:
            changed[channel] = set(changed["trades"])
        self.channels = changed

    def acknowledgement(self) -> Message:
        """All current subscriptions, each channel with its list."""
        lists = {channel: sorted(self.channels[channel]) for channel in CHANNELS}
        return {"T": "subscription", **lists}


def bar_message(kind: str, symbol: str, bar: Bar) -> Message:
    """Return a bar as ``b`` (minute), ``u`` (corrected minute) or ``d`` (running day)."""
    _, o, h, low, c, v, n, vw = bar
    values = {"o": o, "h": h, "l": low, "c": c, "v": v, "n": n, "vw": vw, "t": bar.start}
    return {"T": kind, "S": symbol, **values}


def trade_message(symbol: str, bar: Bar) -> Message:
    """Return the last trade of a bar."""
    return {
        "T": "t",
        "S": symbol,
        "i": bar.start,
        "x": "V",
        "p": bar.close,
        "s": max(1, bar.volume // bar.trades),
        "c": ["@"],
        "z": "C",
        "t": bar.start + MINUTE_SECONDS - 1,
    }


def quote_message(symbol: str, bar: Bar) -> Message:
    """Return a quote one cent either side of a bar's close."""
    bid, ask = round(max(0.01, bar.close - 0.01), 4), round(bar.close + 0.01, 4)
    sides = {"ax": "V", "ap": ask, "as": 1, "bx": "V", "bp": bid, "bs": 1}
    end = bar.start + MINUTE_SECONDS - 1
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": end}


def flattened(symbol_lists: Iterable[set[str]]) -> list[str]:
    """All symbols of some sets, sorted, without the wildcard."""
    return sorted(set().union(*symbol_lists) - {"*"})


def _timed(message: Message, form: Any) -> Message:
    return {**message, "t": form(message["t"])} if "t" in message else message


def _stamp(unix: int) -> str:
    return clock.stamp(datetime.fromtimestamp(unix, UTC))
