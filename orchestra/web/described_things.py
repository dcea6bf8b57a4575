"""JSON Schemas of what the calls take and answer, for ``GET /api/openapi.json``: dollars, shares, stamps."""

from typing import Any

from orchestra.base.tickers import FORM as TICKER_FORM

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
YES_OR_NO: Schema = {"type": "boolean"}
TICKER: Schema = {"type": "string", "pattern": f"^{TICKER_FORM.pattern}$", "example": "NVDA"}
STAMP: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
    "example": "2024-06-04T14:30:00Z",
}
DAY: Schema = {"type": "string", "format": "date", "example": "2024-06-04"}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(words)}


def list_of(schema: Schema) -> Schema:
    """A list of such."""
    return {"type": "array", "items": schema}


def row_of(*schemas: Schema) -> Schema:
    """A list of one of each, in this order. (``prefixItems`` would say so, and few tools know it.)"""
    length = len(schemas)
    return {
        "type": "array",
        "items": {"anyOf": list(schemas)},
        "minItems": length,
        "maxItems": length,
    }


def map_of(schema: Schema) -> Schema:
    """Names with such."""
    return {"type": "object", "additionalProperties": schema}


def thing(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def open_thing(**properties: Schema) -> Schema:
    """An object with these properties and perhaps others."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def ref(name: str) -> Schema:
    """A thing of this page by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str, cursor: Schema) -> Schema:
    """A page of a list, newest first; ``next`` is the following page's cursor."""
    return thing(items=list_of(ref(name)), next=or_null(cursor))


STATUS = one_of("ok", "degraded", "down")
BAR_FIGURES = {name: NUMBER for name in ("open", "high", "low", "close")}

THINGS: dict[str, Schema] = {
    "Error": {
        **open_thing(error=TEXT, code={"type": "string", "pattern": "^[a-z_]+$"}),
        "description": "A sentence to show, and a code to tell one refusal from another.",
    },
    "Card": thing(
        id=WHOLE,
        display_name=TEXT,
        algorithm_type=TEXT,
        ticker=TICKER,
        initial_capital=NUMBER,
        status=one_of("running", "stopped"),
        state=one_of("running", "stopped", "paused", "frozen", "stopping"),
        state_reason=TEXT,
        created_at=STAMP,
        stopped_at=or_null(STAMP),
        current_shares=WHOLE,
        trade_count=WHOLE,
        current_value=NUMBER,
        pnl=NUMBER,
        today_pnl=NUMBER,
        current_price=NUMBER,
        price_stale=YES_OR_NO,
        cash=NUMBER,
        invested=NUMBER,
        last_bar_at=or_null(STAMP),
        last_decision={"oneOf": [ref("LastDecision"), {"type": "null"}]},
        order_open=YES_OR_NO,
        parameters=map_of(NUMBER),
        spark=list_of(row_of(STAMP, NUMBER)),
        marks=list_of(row_of(STAMP, one_of("buy", "sell"))),
    ),
    "Cards": thing(algorithms=list_of(ref("Card"))),
    "LastDecision": thing(bar=or_null(STAMP), action=TEXT, shares=WHOLE, reason=TEXT, verdict=TEXT),
    "Decision": thing(
        minute=STAMP,
        bar=or_null(STAMP),
        bar_age={**or_null(WHOLE), "description": "Open minutes that ended since; 0 is fresh."},
        action=TEXT,
        shares=WHOLE,
        reason=TEXT,
        verdict=TEXT,
        milliseconds=NUMBER,
    ),
    "Transaction": thing(
        id=WHOLE,
        algorithm_id=WHOLE,
        type=one_of("buy", "sell"),
        shares=WHOLE,
        price=NUMBER,
        timestamp=STAMP,
        label={**or_null(TEXT), "description": "Of a correction (a split, say): it is no trade."},
    ),
    "Bar": thing(timestamp=STAMP, **BAR_FIGURES, volume=NUMBER),
    "Market": thing(
        now=STAMP,
        next_open=or_null(STAMP),
        next_close=or_null(STAMP),
        mode=one_of("simulated", "paper", "live"),
        speed=NUMBER,
        skip_closed=YES_OR_NO,
    ),
    "Health": thing(
        status=STATUS,
        version=TEXT,
        parts=map_of(open_thing(status=STATUS, message=TEXT, age=or_null(NUMBER))),
    ),
    "Wall": thing(
        market_open=YES_OR_NO,
        market=ref("Market"),
        build=TEXT,
        health=ref("Health"),
        totals=ref("Totals"),
        algorithms=list_of(ref("Card")),
    ),
    "Totals": thing(pnl=NUMBER, today_pnl=NUMBER, closed=WHOLE),
    "Algorithm": thing(
        name=TEXT,
        title=TEXT,
        description=TEXT,
        parameters=map_of(ref("Parameter")),
        error=or_null(TEXT),
    ),
    "Parameter": {
        "type": "object",
        "properties": {"title": TEXT, "default": NUMBER, "min": NUMBER, "max": NUMBER},
        "required": ["default", "min", "max"],
        "additionalProperties": False,
    },
    "Asset": thing(symbol=TICKER, name=TEXT),
    "Report": {
        **open_thing(
            day=DAY,
            open=STAMP,
            close=STAMP,
            made_at=STAMP,
            minutes=open_thing(due=WHOLE, run=WHOLE, missed=map_of(WHOLE)),
            card_minutes=open_thing(due=WHOLE, decided=WHOLE, not_decided=map_of(WHOLE)),
            bars=open_thing(),
            orders=map_of(WHOLE),
            fills=open_thing(),
            pnl=open_thing(today=NUMBER, total=NUMBER, cards=list_of(open_thing())),
            drift=list_of(open_thing()),
            events=list_of(open_thing()),
        ),
        "description": "What `python -m orchestra report` prints.",
    },
    "Backtest": thing(
        id=WHOLE,
        status=one_of("running", "done", "failed", "stopped"),
        result={"oneOf": [ref("Preview"), {"type": "null"}]},
        error=or_null(TEXT),
    ),
    "Preview": thing(
        sessions=WHOLE,
        start=DAY,
        end=DAY,
        fill=one_of("close", "open"),
        capital=NUMBER,
        pnl=NUMBER,
        **{"return": NUMBER},
        max_drawdown=NUMBER,
        trades=WHOLE,
        buy_and_hold=thing(**{"return": NUMBER}, max_drawdown=NUMBER),
        spark=list_of(row_of(STAMP, NUMBER)),
        notes=list_of(TEXT),
    ),
    "Curve": thing(items=list_of(row_of(STAMP, NUMBER))),
    "Cash": thing(
        available=NUMBER,
        cash=NUMBER,
        allocated=NUMBER,
        invested=NUMBER,
        uncommitted=NUMBER,
        rule=one_of("strict", "net"),
        as_of=STAMP,
    ),
}
