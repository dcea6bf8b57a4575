"""What a client asks for with POST /v2/orders, checked as Alpaca checks it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestra.simulator.assets import Asset
from orchestra.simulator.refusals import BAD_REQUEST, Refusal, forbidden, invalid

LONGEST_CLIENT_ID = 128
FINEST_SHARE = Decimal("1e-9")
MOST_SHARES = Decimal(10**9)
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")


@dataclass(frozen=True)
class OrderRequest:
    """A well-formed order, not yet checked against the account."""

    asset: Asset
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None
    extended_hours: bool
    client_order_id: str
    position_intent: str | None  # None: whatever the position makes of it


def read(body: Any, assets: Mapping[str, Asset]) -> OrderRequest:
    """Check an order's JSON. Raises Refusal with Alpaca's status, code and message."""
    if not isinstance(body, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    if not body.get("symbol"):
        raise invalid("symbol is required", BAD_REQUEST)
    asset = assets.get(str(body["symbol"]))
    if asset is None:
        raise invalid(f'asset "{body["symbol"]}" not found')
    side = _word(body, "side", ("buy", "sell"))
    type = _word(body, "type", ("market", "limit"))
    time_in_force = _word(body, "time_in_force", ("day", "gtc", "ioc", "fok"))
    if body.get("order_class") not in (None, "", "simple"):
        raise invalid("order_class other than simple is not supported")
    limit_price = _limit_price(body, type)
    qty = _qty(body, asset, time_in_force)
    extended = body.get("extended_hours") in (True, "true", "True")
    if extended and (type != "limit" or time_in_force != "day"):
        raise invalid("extended hours order must be DAY limit orders")
    intent = body.get("position_intent")
    if intent not in (None, *INTENTS):
        raise invalid("invalid position_intent specified", BAD_REQUEST)
    identity = _client_order_id(body)
    return OrderRequest(
        asset, side, type, time_in_force, qty, limit_price, extended, identity, intent
    )


def decimal(value: Any, name: str) -> Decimal:
    """A number out of JSON or a query. Raises Refusal naming the field."""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise invalid(f"invalid {name}: {value}") from None
    if not number.is_finite():
        raise invalid(f"invalid {name}: {value}")
    return number


def _word(body: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    value = body.get(name)
    if value in (None, ""):
        raise invalid(f"{name} is required", BAD_REQUEST)
    if value not in words:
        raise invalid(f"invalid {name}: {value}")
    return str(value)


def _limit_price(body: Mapping[str, Any], type: str) -> Decimal | None:
    if body.get("limit_price") is None:
        if type == "limit":
            raise invalid("limit orders require limit price", BAD_REQUEST)
        return None
    if type == "market":
        raise invalid("market orders must not have limit price", BAD_REQUEST)
    price = decimal(body["limit_price"], "limit_price")
    if price <= 0:
        raise invalid("limit price must be > 0")
    places = Decimal("0.01") if price >= 1 else Decimal("0.0001")
    if price % places:
        raise invalid(
            f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria"
        )
    return price


def _qty(body: Mapping[str, Any], asset: Asset, time_in_force: str) -> Decimal:
    if body.get("notional") is not None:
        raise invalid("notional orders are not supported, use qty")
    if body.get("qty") is None:
        raise invalid("qty is required", BAD_REQUEST)
    qty = decimal(body["qty"], "qty")
    if qty <= 0:
        raise invalid("qty must be > 0")
    if qty > MOST_SHARES:
        raise invalid(f"qty must be <= {MOST_SHARES}")
    whole = qty == qty.to_integral_value()
    if not whole and not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')
    if not whole and time_in_force != "day":
        raise invalid("fractional orders must be DAY orders")
    if qty % FINEST_SHARE:
        raise invalid("qty must have at most 9 decimal places")
    return qty


def _client_order_id(body: Mapping[str, Any]) -> str:
    wanted = body.get("client_order_id")
    if wanted in (None, ""):
        return str(uuid.uuid4())
    if not isinstance(wanted, str) or len(wanted) > LONGEST_CLIENT_ID:
        raise invalid(
            f"client_order_id must be no more than {LONGEST_CLIENT_ID} characters", BAD_REQUEST
        )
    return wanted
