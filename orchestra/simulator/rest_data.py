"""The market data API: bars with paging, latest bars, trades and quotes, snapshots, splits."""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from flask import Blueprint, Response, jsonify, request

from orchestra.base import clock
from orchestra.base.market_calendar import NEW_YORK, new_york
from orchestra.simulator.bars import MINUTE_SECONDS, Bar
from orchestra.simulator.market import Market, unix
from orchestra.simulator.queries import choice, day, time, whole
from orchestra.simulator.refusals import Refusal, invalid
from orchestra.simulator.timeframes import Timeframe, timeframe

MOST_BARS = 10_000
SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,6}([./][A-Z]{1,3})?")
HALF_SPREAD = 0.01


class DataRoutes:
    """The handlers of /v2/stocks and /v1/corporate-actions."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def blueprint(self) -> Blueprint:
        """Return the routes to register."""
        routes = Blueprint("data", __name__)
        routes.add_url_rule("/v2/stocks/bars", "bars", self.bars)
        routes.add_url_rule("/v2/stocks/<symbol>/bars", "bars_of", self.bars)
        for kind, shape in (("bars", bar_json), ("trades", trade_json), ("quotes", quote_json)):
            answer = self._latest(kind, shape)
            routes.add_url_rule(f"/v2/stocks/{kind}/latest", f"latest_{kind}", answer)
            routes.add_url_rule(f"/v2/stocks/<symbol>/{kind}/latest", f"latest_{kind}_of", answer)
        routes.add_url_rule("/v2/stocks/snapshots", "snapshots", self.snapshots)
        routes.add_url_rule("/v2/stocks/<symbol>/snapshot", "snapshot_of", self.snapshots)
        routes.add_url_rule("/v1/corporate-actions", "actions", self.corporate_actions)
        return routes

    def bars(self, symbol: str | None = None) -> Response:
        """One page of bars, by symbol, then time."""
        symbols = _symbols(symbol)
        frame = timeframe(request.args.get("timeframe", "1Min"))
        limit = whole("limit", 1000, 1, MOST_BARS)
        newest_first = choice("sort", ("asc", "desc"), "asc") == "desc"
        adjustment = choice("adjustment", ("raw", "split", "dividend", "all"), "raw")
        choice("feed", ("iex", "sip", "delayed_sip", "otc", "boats", "overnight"), "iex")
        now = clock.now()
        midnight = new_york(now.astimezone(NEW_YORK).date(), "00:00")
        first, last = -(-time("start", midnight).timestamp() // 1), unix(time("end", now))
        reached = _read_token(request.args.get("page_token"))
        found, token = self._page(symbols, frame, int(first), last, limit, newest_first, reached)
        if adjustment in ("split", "all"):
            adjust = self._market.split_adjusted
            found = {s: [adjust(s, bar) for bar in bars] for s, bars in found.items()}
        text = _page_text(found, token) if symbol is None else _page_of(symbol, found, token)
        return Response(text, mimetype="application/json")

    def _page(
        self,
        symbols: list[str],
        frame: Timeframe,
        first: int,
        last: int,
        limit: int,
        newest_first: bool,
        reached: tuple[str, int] | None,
    ) -> tuple[dict[str, list[Bar]], str | None]:
        """Bars of a page by symbol, and the token of the next one; None where there is none."""
        found: dict[str, list[Bar]] = {}
        left = limit
        for symbol in symbols:
            begin, end = first, last
            if reached is not None and symbol < reached[0]:
                continue
            if reached is not None and symbol == reached[0]:
                if newest_first:
                    end = min(end, reached[1] - 1)
                else:
                    begin = max(begin, reached[1] + 1)
            bars = frame.bars(self._market, symbol, begin, end, left + 1, newest_first)
            if left == 0 and bars:
                return found, _token(*_last_of(found))
            if len(bars) > left:
                found[symbol] = bars[:left]
                return found, _token(symbol, bars[left - 1].start)
            if bars:
                found[symbol] = bars
            left -= len(bars)
        return found, None

    def _latest(self, kind: str, shape: Callable[[Bar], dict[str, Any]]) -> Callable[..., Response]:
        def answer(symbol: str | None = None) -> Response:
            found = {}
            for each in _symbols(symbol):
                bar = self._newest(each)
                if bar is not None:
                    found[each] = shape(bar)
            if symbol is None:
                return jsonify({kind: found})
            if symbol not in found:
                raise Refusal(404, None, f"no {kind[:-1]} found for {symbol}")
            return jsonify({"symbol": symbol, kind[:-1]: found[symbol]})

        return answer

    def snapshots(self, symbol: str | None = None) -> Response:
        """Newest trade, quote and minute of each symbol, and its running and previous day."""
        found = {each: self._snapshot(each) for each in _symbols(symbol)}
        known = {each: snapshot for each, snapshot in found.items() if snapshot}
        if symbol is None:
            return jsonify(known)
        if symbol not in known:
            raise Refusal(404, None, f"no snapshot found for {symbol}")
        return jsonify({"symbol": symbol, **known[symbol]})

    def corporate_actions(self) -> Response:
        """Splits whose ex-date lies within start..end (default: today), by Alpaca's kinds."""
        today = clock.now().astimezone(NEW_YORK).date()
        first, last = day("start", today), day("end", today)
        symbols = [each for each in request.args.get("symbols", "").split(",") if each]
        types = [each for each in request.args.get("types", "").split(",") if each]
        found: dict[str, list[dict[str, Any]]] = {}
        for split in self._market.splits():
            kind = "forward_split" if split.ratio >= 1 else "reverse_split"
            if not first <= split.day <= last or (symbols and split.symbol not in symbols):
                continue
            if types and kind not in types:
                continue
            action = split_json(split.symbol, split.day, float(split.ratio))
            found.setdefault(f"{kind}s", []).append(action)
        return jsonify({"corporate_actions": found, "next_page_token": None})

    def _newest(self, symbol: str) -> Bar | None:
        rows = self._market.bars(symbol, 0, unix(clock.now()), 1, newest_first=True)
        return rows[0] if rows else None

    def _snapshot(self, symbol: str) -> dict[str, Any] | None:
        bar = self._newest(symbol)
        if bar is None:
            return None
        calendar = self._market.calendar()
        session = calendar.latest_session(datetime.fromtimestamp(bar.start, UTC))
        today = self._market.day_bar(symbol, session) if session else None
        before = session and calendar.latest_session(
            datetime.fromtimestamp(unix(session.open) - 1, UTC)
        )
        previous = self._market.day_bar(symbol, before) if before else None
        return {
            "latestTrade": trade_json(bar),
            "latestQuote": quote_json(bar),
            "minuteBar": bar_json(bar),
            "dailyBar": bar_json(today) if today else None,
            "prevDailyBar": bar_json(previous) if previous else None,
        }


def bar_json(bar: Bar) -> dict[str, Any]:
    """Return a bar as REST has it."""
    found: dict[str, Any] = json.loads(_rows_text([bar]))[0]
    return found


def trade_json(bar: Bar) -> dict[str, Any]:
    """Return the last trade of a bar."""
    return {
        "t": _stamp(bar.start + MINUTE_SECONDS - 1),
        "x": "V",
        "p": bar.close,
        "s": max(1, bar.volume // bar.trades),
        "c": ["@"],
        "i": bar.start,
        "z": "C",
    }


def quote_json(bar: Bar) -> dict[str, Any]:
    """Return a quote one cent either side of a bar's close."""
    return {
        "t": _stamp(bar.start + MINUTE_SECONDS - 1),
        "ax": "V",
        "ap": round(bar.close + HALF_SPREAD, 4),
        "as": 1,
        "bx": "V",
        "bp": round(max(HALF_SPREAD, bar.close - HALF_SPREAD), 4),
        "bs": 1,
        "c": ["R"],
        "z": "C",
    }


def split_json(symbol: str, ex_date: date, ratio: float) -> dict[str, Any]:
    """Return a split: ``ratio`` new shares for each old one."""
    cusip = uuid.uuid5(uuid.NAMESPACE_OID, f"cusip:{symbol}").hex[:9].upper()
    action: dict[str, Any] = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"split:{symbol}:{ex_date}")),
        "symbol": symbol,
        "new_rate": ratio if ratio >= 1 else 1,
        "old_rate": 1 if ratio >= 1 else round(1 / ratio, 6),
        "process_date": ex_date.isoformat(),
        "ex_date": ex_date.isoformat(),
    }
    if ratio >= 1:
        return {**action, "cusip": cusip}
    return {**action, "old_cusip": cusip, "new_cusip": cusip[::-1]}


def _page_text(found: dict[str, list[Bar]], token: str | None) -> str:
    bars = ",".join(f'"{symbol}":{_rows_text(rows)}' for symbol, rows in found.items())
    return f'{{"bars":{{{bars}}},"next_page_token":{json.dumps(token)}}}'


def _page_of(symbol: str, found: dict[str, list[Bar]], token: str | None) -> str:
    rows = _rows_text(found.get(symbol, []))
    return f'{{"bars":{rows},"symbol":"{symbol}","next_page_token":{json.dumps(token)}}}'


def _rows_text(bars: list[Bar]) -> str:
    """Bars as a JSON list. A long one written by json.dumps would hold up the stream's thread."""
    stamps = np.datetime_as_string(np.array([bar.start for bar in bars], dtype="datetime64[s]"))
    rows = [
        f'{{"t":"{t}Z","o":{o!r},"h":{h!r},"l":{low!r},"c":{c!r},"v":{v},"n":{n},"vw":{vw!r}}}'
        for t, (_, o, h, low, c, v, n, vw) in zip(stamps.tolist(), bars, strict=True)
    ]
    return f"[{','.join(rows)}]"


def _stamp(unix_seconds: int) -> str:
    return clock.stamp(datetime.fromtimestamp(unix_seconds, UTC))


def _symbols(one: str | None) -> list[str]:
    """The symbols asked for, sorted, each once."""
    given = one if one is not None else request.args.get("symbols", "")
    symbols = sorted({each.strip() for each in given.split(",") if each.strip()})
    if not symbols:
        raise invalid("symbols is required")
    for symbol in symbols:
        if not SYMBOL.fullmatch(symbol):
            raise invalid(f"invalid symbol: {symbol}")
    return symbols


def _last_of(found: dict[str, list[Bar]]) -> tuple[str, int]:
    symbol = list(found)[-1]
    return symbol, found[symbol][-1].start


def _token(symbol: str, start: int) -> str:
    """Name the last bar of a page; the next page begins after it."""
    return base64.urlsafe_b64encode(f"{symbol}|M|{_stamp(start)}".encode()).decode()


def _read_token(token: str | None) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        symbol, _, stamp = base64.urlsafe_b64decode(token.encode()).decode().split("|")
        return symbol, unix(clock.parse(stamp))
    except (ValueError, binascii.Error):
        raise invalid("invalid page_token") from None
