"""What ``GET /api/openapi.json`` answers: every call, what it takes, and all that it may answer.

https://spec.openapis.org/oas/v3.1.1. The tests hold the server against it, and it against the routes.
"""

from typing import Any

import orchestra
from orchestra.web.described_things import (
    DAY,
    NUMBER,
    STAMP,
    TEXT,
    THINGS,
    TICKER,
    WHOLE,
    YES_OR_NO,
    Schema,
    list_of,
    map_of,
    one_of,
    open_thing,
    page_of,
    ref,
    thing,
)

LARGEST_WHOLE = 10**18 - 1  # of a limit or a cursor
REFUSALS = {
    400: "What was sent makes no sense, or the address is not one of this page's names.",
    401: "The PIN is needed: enter it, and send its token.",
    403: "The request comes from another site's page.",
    404: "There is no such thing.",
    409: "Not as things stand; the sentence says why.",
    413: "The body is larger than 16 kB.",
    415: "The body is not called application/json.",
    422: "It exists, and cannot be traded or run.",
    429: "Too many wrong PINs: Retry-After says for how many seconds.",
    503: "The broker does not answer, the disk is full or a database damaged; the sentence says what.",
}
ANY_CALL = (400, 401, 403)
ANY_BODY = (413, 415)
OF_CARD: Schema = {
    "name": "algo_id",
    "in": "path",
    "required": True,
    "schema": {**WHOLE, "minimum": 0, "example": 1},
}
OF_BACKTEST: Schema = {**OF_CARD, "name": "backtest_id"}
OF_TICKER: Schema = {"name": "ticker", "in": "path", "required": True, "schema": TICKER}
ABOVE_ZERO: Schema = {**WHOLE, "minimum": 1, "maximum": LARGEST_WHOLE}
NEXT = "The next of the page before."
CURSOR, MINUTE = ("cursor", ABOVE_ZERO, NEXT), ("cursor", STAMP, NEXT)
LIMIT = ("limit", ABOVE_ZERO, "At most so many.")
LIQUIDATE = ("liquidate", one_of("true", "false"), "Whether its shares are sold; default false.")
STATUS = ("status", one_of("running", "stopped", "all"), "By default what runs or holds shares.")
OF_DAY = ("day", DAY, "By default the newest session's.")
TYPED = ("q", {"type": "string", "pattern": "^[A-Za-z.]{0,10}$"}, "What was typed so far.")
CARD, CARDS = ref("Card"), ref("Cards")
EMPTY = open_thing()
CAPITAL: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12, "example": 1000}
NEW_CARD: Schema = {
    "type": "object",
    "properties": {
        "ticker": {"type": "string", "pattern": "^[A-Za-z][A-Za-z.]{0,9}$", "example": "AAPL"},
        "algorithm_type": {"type": "string", "minLength": 1, "example": "sma_crossover"},
        "initial_capital": CAPITAL,
        "parameters": {"type": ["object", "null"], "additionalProperties": NUMBER},
    },
    "required": ["ticker", "algorithm_type", "initial_capital"],
}
ALLOCATION = open_thing(initial_capital=CAPITAL)
SELL_OR_KEEP = open_thing(liquidate=YES_OR_NO)
GRANT = thing(
    valid={"const": True}, token=TEXT, expires_in={**WHOLE, "description": "Seconds without use."}
)
REFUSED_PIN: Schema = {
    "type": "object",
    "properties": {
        "valid": {"const": False},
        "error": TEXT,
        "code": TEXT,
        "attempts_left": WHOLE,
        "retry_after": WHOLE,
    },
    "required": ["error", "code"],
}


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _pin(length: int) -> Schema:
    form = {"type": "string", "pattern": f"^[0-9]{{4,{length}}}$", "example": "2020"}
    return open_thing(pin=form)


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _call(
    summary: str,
    answer: Schema | None,
    *refusals: int,
    done: int = 200,
    needs_pin: bool = False,
    body: Schema | None = None,
    asked: tuple[tuple[str, Schema, str], ...] = (),
) -> Schema:
    """One call: what it is for, what it answers, and with which refusals."""
    numbers = sorted({*ANY_CALL, *(ANY_BODY if body is not None else ()), *refusals})
    answers = {str(number): _json(REFUSALS[number], ref("Error")) for number in numbers}
    if answer is not None:
        answers = {str(done): _json("Done.", answer), **answers}
    described: Schema = {
        "summary": summary,
        # On the network reading needs the token too
        "security": [{"pin": []}] if needs_pin else [{}, {"pin": []}],
        "parameters": [
            {"name": name, "in": "query", "schema": schema, "description": said}
            for name, schema, said in asked
        ],
        "responses": answers,
    }
    if body is not None:
        described["requestBody"] = _body(body)
    return described


def _validate_pin() -> Schema:
    described = _call("Enter the PIN", GRANT, body=_pin(64))
    described["security"] = [{}]
    locked = _json(REFUSALS[429], REFUSED_PIN)
    locked["headers"] = {"Retry-After": {"schema": WHOLE, "required": True}}
    described["responses"] |= {
        "400": _json(REFUSALS[400], REFUSED_PIN),
        "401": _json("Wrong PIN.", REFUSED_PIN),
        "429": locked,
        "503": _json(REFUSALS[503], ref("Error")),
    }
    return described


def _healthz() -> Schema:
    described = _call("A sign of life, for a watcher", None)
    described["security"] = [{}]
    alive = {"description": "Alive.", "content": {"text/plain": {"schema": {"const": "ok"}}}}
    described["responses"] = {"200": alive, **described["responses"]}
    return described


def _of_all_cards() -> dict[str, Schema]:
    wall = "The cards, the market and how each part is doing"
    new = _call("Add a card", CARD, 404, 409, 422, 503, done=201, needs_pin=True, body=NEW_CARD)
    return {
        "/api/algorithms": {"get": _call(wall, ref("Wall"), asked=(STATUS,)), "post": new},
        "/api/stop-all": {
            "post": _call("Stop every card", CARDS, 503, needs_pin=True, body=SELL_OR_KEEP)
        },
    }


def _of_a_card() -> dict[str, Schema]:
    """The calls under one card's address, by what follows its id."""
    trades, decisions = page_of("Transaction", WHOLE), page_of("Decision", STAMP)
    change = _call("Change its allocation", CARD, 404, 409, 503, needs_pin=True, body=ALLOCATION)
    return {
        "": {
            "get": _call("One card", CARD, 404),
            "patch": change,
            "delete": _call("Stop it", CARD, 404, 409, 503, needs_pin=True, asked=(LIQUIDATE,)),
        },
        "/transactions": {
            "get": _call("Its trades, newest first", trades, 404, asked=(CURSOR, LIMIT))
        },
        "/decisions": {
            "get": _call("Its decisions, newest first", decisions, 404, asked=(MINUTE, LIMIT))
        },
        "/equity": {"get": _call("What it was worth through time", ref("Curve"), 404)},
        "/resume": {"post": _call("Let it go on", CARD, 404, 409, 503, needs_pin=True, body=EMPTY)},
    }


def _of_the_market() -> dict[str, Schema]:
    bars = thing(ticker=TICKER, items=list_of(ref("Bar")))
    assets = thing(items=list_of(ref("Asset")), complete=YES_OR_NO)
    accept = _call("Take the broker's figure", CARDS, 404, 409, 503, needs_pin=True, body=EMPTY)
    return {
        "/api/bars/{ticker}": {
            "parameters": [OF_TICKER],
            "get": _call("Stored bars, oldest first", bars, 404, asked=(LIMIT,)),
        },
        "/api/positions/{ticker}/accept": {"parameters": [OF_TICKER], "post": accept},
        "/api/assets": {"get": _call("Tickers to suggest", assets, asked=(TYPED, LIMIT))},
        "/api/account/cash": {"get": _call("What a new card may take", ref("Cash"), 503)},
    }


def _of_the_past() -> dict[str, Schema]:
    backtest = ref("Backtest")
    start = _call("Try a card on the newest sessions", backtest, 404, 422, done=202, body=NEW_CARD)
    busy = _json("Another one is running: one at a time.", ref("Error"))
    busy["headers"] = {"Retry-After": {"schema": WHOLE, "required": True}}
    start["responses"]["429"] = busy
    return {
        "/api/backtests": {"post": start},
        "/api/backtests/{backtest_id}": {
            "parameters": [OF_BACKTEST],
            "get": _call("What came of it", backtest, 404),
        },
    }


def _of_the_terminal() -> dict[str, Schema]:
    algorithms = thing(algorithms=list_of(ref("Algorithm")))
    report = thing(report=ref("Report"), days=list_of(DAY))
    changed = thing(changed={"const": True})
    return {
        "/api/validate-pin": {"post": _validate_pin()},
        "/api/pin": {"put": _call("Change the PIN", changed, 503, needs_pin=True, body=_pin(12))},
        "/api/available-algorithms": {"get": _call("The algorithm files", algorithms)},
        "/api/report": {"get": _call("The report of a session", report, 404, asked=(OF_DAY,))},
        "/api/health": {"get": _call("How each part is doing", ref("Health"))},
        "/healthz": {"get": _healthz()},
        "/api/openapi.json": {"get": _call("This description", map_of({}))},
    }


def _paths() -> dict[str, Schema]:
    one = {
        f"/api/algorithms/{{algo_id}}{rest}": {"parameters": [OF_CARD], **calls}
        for rest, calls in _of_a_card().items()
    }
    return {**_of_all_cards(), **one, **_of_the_market(), **_of_the_past(), **_of_the_terminal()}


def description() -> dict[str, Any]:
    """Return the whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AutoTrader",
            "version": orchestra.__version__,
            "description": "The terminal's calls, in JSON. Every change needs the PIN's token, which"
            " lives for 120 seconds after its last use; from another machine reading needs it too.",
        },
        "paths": _paths(),
        "components": {
            "schemas": THINGS,
            "securitySchemes": {"pin": {"type": "http", "scheme": "bearer"}},
        },
    }
