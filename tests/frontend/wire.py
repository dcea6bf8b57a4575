"""The server as the page meets it: answers on the wire, and a note of what was asked."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from playwright.sync_api import Request, Route

Json = dict[str, Any]

OPEN_MARKET: Json = {
    "now": "2024-01-02T15:42:05Z",
    "next_open": "2024-01-03T14:30:00Z",
    "next_close": "2024-01-02T21:00:00Z",
    "mode": "paper",
    "speed": 1,
}
CLOSED_MARKET: Json = {
    **OPEN_MARKET,
    "now": "2024-01-05T21:30:00Z",
    "next_open": "2024-01-08T14:30:00Z",
    "next_close": "2024-01-08T21:00:00Z",
}


def spark(values: list[float]) -> list[list[Any]]:
    """A line of one value a minute since the open of 2024-01-02."""
    return [[minute(number), value] for number, value in enumerate(values)]


def minute(number: int, day: str = "2024-01-02") -> str:
    """The stamp of a session's minute, counted from the open at 09:30 New York."""
    return f"{day}T{14 + (30 + number) // 60:02}:{(30 + number) % 60:02}:00Z"


def bars(count: int, day: str = "2024-01-02", first: float = 100.0) -> list[Json]:
    """The first bars of a session, up and down in a wave."""
    found = []
    for number in range(count):
        opening = first + math.sin(number / 25) * 3
        close = first + math.sin((number + 1) / 25) * 3 + (number % 5 - 2) * 0.08
        high, low = max(opening, close) + 0.2, min(opening, close) - 0.2
        figures = {"open": opening, "high": high, "low": low, "close": close, "volume": 100}
        found.append({"timestamp": minute(number, day), **figures})
    return found


def transaction(number: int, kind: str, at: int, shares: int = 57) -> Json:
    stamp = minute(at).replace(":00Z", ":02Z")
    told: Json = {"id": number, "type": kind, "shares": shares, "price": 100.5, "timestamp": stamp}
    return {**told, "label": None}


def decision(at: int, action: str = "hold", shares: int = 0, reason: str = "no cross") -> Json:
    return {
        "minute": minute(at),
        "bar": minute(at - 1),
        "action": action,
        "shares": shares,
        "reason": reason,
        "verdict": "bar",
        "bar_age": 0,
        "milliseconds": 3.5,
    }


def card(number: int, pnl: float = 0.0, **changes: Any) -> Json:
    """A card of 10,000 dollars as the server describes it."""
    fields: Json = {
        "id": number,
        "display_name": f"NVDA_sma_crossover_20240102_14302{number % 10}",
        "algorithm_type": "sma_crossover",
        "ticker": "NVDA",
        "initial_capital": 10000.0,
        "status": "running",
        "state": "running",
        "state_reason": "",
        "created_at": "2024-01-02T14:30:20Z",
        "stopped_at": None,
        "current_shares": 125,
        "order_open": False,
        "trade_count": 3,
        "current_value": 10000.0 + pnl,
        "pnl": pnl,
        "current_price": 77.23,
        "cash": 346.25 + pnl,
        "invested": 9653.75,
        "today_pnl": 12.4,
        "last_bar_at": "2024-01-02T15:41:00Z",
        "price_stale": False,
        "last_decision": {
            "bar": "2024-01-02T15:41:00Z",
            "action": "hold",
            "shares": 0,
            "reason": "no cross",
            "verdict": "hold",
        },
        "spark": spark([10000, 10010, 9990, 10000 + pnl]),
    }
    return {**fields, **changes}


@dataclass
class Answer:
    """One answer of the server."""

    body: Json
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, sentence: str, **more: Any) -> Answer:
    return Answer({"error": sentence, "code": code, **more}, status)


@dataclass
class Call:
    method: str
    path: str
    body: Json | None
    headers: dict[str, str]


Reply = Answer | Callable[[Call], Answer]
LISTED: Json = {
    "algorithms": [
        {
            "name": "sma_crossover",
            "title": "SMA crossover",
            "description": "Buys when SMA 20 crosses above SMA 50.",
            "parameters": [],
            "error": None,
        }
    ]
}
ASSETS: Json = {
    "items": [
        {"symbol": "NVDA", "name": "NVIDIA Corporation"},
        {"symbol": "NVAX", "name": "Novavax, Inc."},
        {"symbol": "NVO", "name": "Novo Nordisk A/S American Depositary Shares"},
        {"symbol": "NVTS", "name": "Navitas Semiconductor Corporation"},
    ],
    "complete": True,
}
REPORT: Json = {
    "day": "2024-01-02",
    "open": "2024-01-02T14:30:00Z",
    "close": "2024-01-02T21:00:00Z",
    "made_at": "2024-01-02T21:05:00Z",
    "minutes": {"due": 390, "run": 388, "missed": {"no trader was running": 2}},
    "card_minutes": {"due": 780, "decided": 780, "not_decided": {}},
    "late_ms": {"p50": 12.4, "p99": 31.0, "max": 80.2},
    "bars": {"tickers": 2, "bar": 776, "late": 2, "no trade": 2, "missing": 0},
    "orders": {"filled": 3, "rejected": 1},
    "fills": {
        "buy": {"number": 2, "shares": 114, "dollars": 11457.0},
        "sell": {"number": 0, "shares": 0, "dollars": 0},
    },
    "slippage": {"fills": 2, "dollars": 3.42, "basis_points": 2.99},
    "pnl": {
        "today": -12.5,
        "total": 61.25,
        "cards": [
            {"id": 1, "ticker": "NVDA", "shares": 57, "today": 20.25, "total": 73.75},
            {"id": 2, "ticker": "KO", "shares": 0, "today": -32.75, "total": -12.5},
        ],
    },
    "drift": [],
    "restarts": 1,
    "events": [
        {"timestamp": "2024-01-02T15:02:10Z", "kind": "restarted", "message": "Trading went on."},
        {
            "timestamp": "2024-01-02T15:10:00Z",
            "kind": "card_paused",
            "message": "KO\nValueError: <b>no",
        },
    ],
    "memory_mb": 210.5,
}
CASH = {"available": 25000.5, "cash": 45000.5, "allocated": 20000.0, "uncommitted": 30000.0}


def tried(pnl: float = 310.0, **changes: Any) -> Json:
    """A backtest of a card of 10,000 dollars that is done."""
    values = [10_000 + pnl * n / 99 + 60 * math.sin(n / 7) for n in range(99)]
    result: Json = {
        "sessions": 20,
        "start": "2023-12-04",
        "end": "2024-01-02",
        "fill": "open",
        "capital": 10_000.0,
        "pnl": pnl,
        "return": pnl / 10_000,
        "max_drawdown": -0.0182,
        "trades": 14,
        "buy_and_hold": {"return": 0.0205, "max_drawdown": -0.03},
        "spark": spark([*values, 10_000 + pnl]),
        "notes": [],
    }
    return {"id": 1, "status": "done", "result": {**result, **changes}, "error": None}


class FakeApi:
    """Answers every request to /api; a test changes the fields, or `replies` for one call."""

    def __init__(self) -> None:
        self.cards: list[Json] = [card(1, 581.25)]
        self.market_open = True
        self.market: Json = dict(OPEN_MARKET)
        self.parts: Json = {"orchestrator": {"status": "ok", "message": "", "age": 1}}
        self.health = "ok"
        self.version = "1.0"
        self.totals: Json | None = None
        self.offline = False
        self.silent = False
        self.unanswered = ""  # the one address that never answers
        self.pin = "2020"
        self.token = "secret-token"
        self.reads_need_pin = False  # as for another machine than the wall
        self.bars: list[Json] = []
        self.equity: list[list[Any]] = []
        self.transactions: list[Json] = []
        self.decisions: list[Json] = []
        self.calls: list[Call] = []
        self.replies: dict[str, Reply] = {}

    def handle(self, route: Route) -> None:
        call = _call(route.request)
        if call.path == "settle":
            route.fulfill(body="{}")
            return
        self.calls.append(call)
        if self.silent or call.path.partition("?")[0] == self.unanswered:
            return
        if self.offline:
            route.abort()
            return
        answer = self._answer(call)
        headers = {"Content-Type": "application/json", **answer.headers}
        route.fulfill(status=answer.status, headers=headers, body=json.dumps(answer.body))

    def asked(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def asked_about(self, name: str) -> list[Call]:
        """What was asked of an address, each with what stood after its "?" as the path."""
        found = [call for call in self.calls if call.path.partition("?")[0] == name]
        return [replace(call, path=call.path.partition("?")[2]) for call in found]

    @property
    def polls(self) -> int:
        return len(self.asked("GET", "algorithms"))

    def _answer(self, call: Call) -> Answer:
        if self.reads_need_pin and call.method == "GET" and not self._has_token(call):
            return error(401, "pin_required", "Enter the PIN first.")
        plain = call.path.partition("?")[0]
        reply = self.replies.get(f"{call.method} {call.path}")
        reply = reply or self.replies.get(f"{call.method} {plain}")
        if reply is not None:
            return reply if isinstance(reply, Answer) else reply(call)
        usual: dict[str, Callable[[], Answer]] = {
            "GET algorithms": lambda: Answer(self.overview()),
            "GET available-algorithms": lambda: Answer(LISTED),
            "GET account/cash": lambda: Answer(CASH),
            "GET report": lambda: Answer({"report": REPORT, "days": ["2024-01-02", "2023-12-29"]}),
            "GET assets": lambda: Answer(ASSETS),
            "POST validate-pin": lambda: self._check_pin(call),
            "POST algorithms": lambda: self._add(call),
            "POST backtests": lambda: Answer(
                {"id": 1, "status": "running", "result": None, "error": None}, 202
            ),
            "GET backtests/1": lambda: Answer(tried()),
            "GET bars": lambda: Answer({"items": self.bars}),
            "GET equity": lambda: Answer({"items": self.equity}),
            "GET transactions": lambda: Answer({"items": self.transactions, "next": None}),
            "GET decisions": lambda: Answer({"items": self.decisions, "next": None}),
        }
        # Of bars/NVDA and algorithms/1/equity, the name of what is asked for
        name = plain.split("/")[0] if plain.startswith("bars/") else plain.split("/")[-1]
        known = usual.get(f"{call.method} {plain}") or usual.get(f"{call.method} {name}")
        if known:
            return known()
        if call.method == "DELETE":
            return self._stop(call)
        return error(404, "not_found", "There is no such page")

    def overview(self) -> Json:
        return {
            "market_open": self.market_open,
            "market": self.market,
            "health": {"status": self.health, "version": self.version, "parts": self.parts},
            "totals": self.totals or self._sums(),
            "algorithms": self.cards,
        }

    def _has_token(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.token}"

    def _sums(self) -> Json:
        """The totals where no card has ever been closed."""
        named = {
            name: sum(card[name] for card in self.cards or []) for name in ("pnl", "today_pnl")
        }
        return {**named, "closed": 0}

    def _check_pin(self, call: Call) -> Answer:
        if call.body and call.body.get("pin") == self.pin:
            return Answer({"valid": True, "token": self.token, "expires_in": 120})
        return error(401, "wrong_pin", "Wrong PIN", valid=False, attempts_left=4)

    def _add(self, call: Call) -> Answer:
        if not self._has_token(call):
            return error(401, "pin_required", "The PIN is required")
        added = card(99, **(call.body or {}))
        self.cards = [*self.cards, added]
        return Answer(added, 201)

    def _stop(self, call: Call) -> Answer:
        if not self._has_token(call):
            return error(401, "pin_required", "The PIN is required")
        number = int(call.path.split("/")[1].split("?")[0])
        self.cards = [each for each in self.cards if each["id"] != number]
        return Answer({"id": number, "status": "stopped"})


def _call(request: Request) -> Call:
    path = request.url.split("/api/", 1)[1]
    body = json.loads(request.post_data) if request.post_data else None
    return Call(request.method, path, body, request.headers)
