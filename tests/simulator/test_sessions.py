"""Orders and the hours of the market: queued, filled at the open, expired at the close."""

from datetime import UTC, datetime

from alpaca.trading.enums import TimeInForce
from alpaca.trading.requests import LimitOrderRequest

from orchestra.base.market_calendar import nyse
from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange, set_clock
from tests.simulator.conftest import Trader, connected_trader


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def far_below(time_in_force: TimeInForce = TimeInForce.DAY) -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol="AAPL", qty=1, side="buy", limit_price=50, time_in_force=time_in_force
    )


def test_outside_the_session_an_order_waits_for_the_next_open(trader: Trader) -> None:
    set_clock("2024-06-07T21:00:00Z")  # Friday evening
    order = trader.place("AAPL", 2)
    assert order.status == "accepted"
    assert order.expires_at == utc("2024-06-10T20:00:00")
    set_clock("2024-06-10T13:29:59Z")
    assert trader.get(order).status == "accepted"
    set_clock("2024-06-10T13:30:00Z")
    filled = trader.until(order, "filled")
    assert filled.filled_at == utc("2024-06-10T13:30:00")


def test_the_exchange_fills_at_the_open_by_itself() -> None:
    """Nobody asks: the fill is there, stamped in the session's first seconds."""
    with (
        running_exchange(MARKET_CLOCK_START="2024-06-05T13:29:00Z", MARKET_CLOCK_SPEED=120) as it,
        connected_trader(it) as trader,
    ):
        order = trader.place("AAPL", 1)
        assert order.status == "accepted"
        filled = trader.until(order, "filled").filled_at
        assert filled is not None
        assert nyse().is_open(filled)


def test_a_queued_order_can_be_cancelled(trader: Trader) -> None:
    set_clock("2024-06-08T12:00:00Z")
    order = trader.place("AAPL", 2)
    trader.client.cancel_order_by_id(order.id)
    set_clock("2024-06-10T14:00:00Z")
    assert trader.get(order).status == "canceled"
    assert trader.client.get_account().buying_power == "100000"


def test_a_day_order_expires_at_the_close(trader: Trader) -> None:
    day = trader.client.submit_order(far_below())
    lasting = trader.client.submit_order(far_below(TimeInForce.GTC))
    trader.until(lasting, "new")
    assert trader.client.get_account().buying_power == "99900.00"
    set_clock("2024-06-04T20:00:00Z")
    expired = trader.until(day, "expired")
    assert expired.expired_at == utc("2024-06-04T20:00:00")
    assert expired.filled_qty == "0"
    assert trader.get(lasting).status == "new"
    assert trader.client.get_account().buying_power == "99950.00"


def test_a_half_day_closes_at_13(trader: Trader) -> None:
    set_clock("2024-11-29T17:59:00Z")
    order = trader.client.submit_order(far_below())
    assert order.expires_at == utc("2024-11-29T18:00:00")
    set_clock("2024-11-29T18:00:00Z")
    assert trader.get(order).status == "expired"
    assert trader.place("AAPL", 1).expires_at == utc("2024-12-02T21:00:00")


def test_after_the_calendar_an_order_waits_for_ever(trader: Trader) -> None:
    set_clock("2031-01-02T15:00:00Z")
    order = trader.place("AAPL", 1)
    assert order.status == "accepted" and order.expires_at is None
    assert trader.get(order).status == "accepted"


def test_an_order_left_open_by_a_killed_exchange_fills_after_its_restart(
    trader: Trader, exchange: Exchange
) -> None:
    exchange.faults.add({"name": "stuck"})
    order = trader.until(trader.place("AAPL", 1), "new")
    exchange.stop()
    exchange.start()
    with connected_trader(exchange) as again:
        assert again.until(order, "filled").filled_qty == "1"
