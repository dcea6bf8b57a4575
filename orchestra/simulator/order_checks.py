"""An order held against the account's other orders and its position, as Alpaca does it."""

from collections.abc import Iterable

from orchestra.simulator.account_rows import ZERO, Order, Position, plain
from orchestra.simulator.order_request import OrderRequest
from orchestra.simulator.refusals import forbidden, invalid


def against_others(wanted: OrderRequest, others: Iterable[Order]) -> None:
    """Raise Refusal where an order could trade with one of the account's own."""
    opposite = next((other for other in others if _washes(wanted, other)), None)
    if opposite is not None:
        kind = "limit" if opposite.type == "limit" else "market/stop"
        raise forbidden(
            "potential wash trade detected. use complex orders",
            existing_order_id=opposite.id,
            reject_reason=f"opposite side {kind} order exists",
        )


def against_position(wanted: OrderRequest, held: Position | None, others: Iterable[Order]) -> None:
    """Raise Refusal where an order is not what it says it is, or sells what is not there."""
    inferred = _intent(wanted.side, held)
    if wanted.position_intent not in (None, inferred):
        raise invalid(
            f"position intent mismatch, inferred: {inferred}, specified: {wanted.position_intent}"
        )
    if wanted.side == "buy":
        return
    if held is None:
        raise forbidden("account is not allowed to short")
    for_orders = sum((order.left for order in others if order.side == "sell"), ZERO)
    available = held.qty - for_orders
    if wanted.qty > available:
        asked, free = plain(wanted.qty), plain(available)
        raise forbidden(
            f"insufficient qty available for order (requested: {asked}, available: {free})",
            available=free,
            existing_qty=plain(held.qty),
            held_for_orders=plain(for_orders),
            symbol=wanted.asset.symbol,
        )


def _intent(side: str, held: Position | None) -> str:
    """What an order of this side does to what is held."""
    shares = ZERO if held is None else held.qty
    if side == "buy":
        return "buy_to_close" if shares < 0 else "buy_to_open"
    return "sell_to_close" if shares > 0 else "sell_to_open"


def _washes(wanted: OrderRequest, other: Order) -> bool:
    """Whether an order could trade with this account's own one."""
    if other.side == wanted.side:
        return False
    if wanted.limit_price is None or other.limit_price is None:
        return True
    if wanted.side == "buy":
        return wanted.limit_price >= other.limit_price
    return wanted.limit_price <= other.limit_price
