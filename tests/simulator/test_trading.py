"""Account, assets, orders and positions through the official client."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
)

from orchestra.simulator import Exchange
from tests.exchange_fixture import running_exchange, set_clock
from tests.simulator.conftest import Trader, connected_http, connected_trader, eventually

NEWEST_CLOSE = "211.54"  # AAPL's at 10:30 New York on 2024-06-04 with seed 2020


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def limit_order(price: float, side: OrderSide = OrderSide.BUY, **more: object) -> LimitOrderRequest:
    fields = {"symbol": "AAPL", "qty": 1, "time_in_force": TimeInForce.DAY, **more}
    return LimitOrderRequest(limit_price=price, side=side, **fields)


def test_a_new_account_is_a_cash_account_with_100000(trader: Trader) -> None:
    account = trader.client.get_account()
    assert (account.cash, account.buying_power, account.equity) == ("100000",) * 3
    assert (account.multiplier, account.shorting_enabled, account.currency) == ("1", False, "USD")
    assert account.status == "ACTIVE"
    assert account.account_number.startswith("PA") and len(account.account_number) == 12


def test_the_account_outlives_the_process(trader: Trader, exchange: Exchange) -> None:
    number = trader.client.get_account().account_number
    order = trader.fill("AAPL", 1)
    exchange.stop()
    again = Exchange(exchange._settings, port=0, stream_port=0)
    again.start()
    with connected_trader(again) as reopened:
        assert reopened.client.get_account().account_number == number
        assert reopened.get(order).filled_avg_price == NEWEST_CLOSE
    again.stop()
    exchange.start()  # for the fixture to stop


def test_a_market_order_fills_at_the_newest_close(trader: Trader) -> None:
    placed = trader.place("AAPL", 3, client_order_id="first")
    assert placed.status == "pending_new"
    assert placed.filled_avg_price is None and placed.filled_qty == "0"
    filled = trader.until(placed, "filled")
    assert (filled.filled_qty, filled.filled_avg_price) == ("3", NEWEST_CLOSE)
    assert filled.filled_at == utc("2024-06-04T14:30:00")
    assert filled.expires_at == utc("2024-06-04T20:00:00")
    assert filled.position_intent == "buy_to_open"
    assert trader.client.get_order_by_client_id("first").id == placed.id
    account = trader.client.get_account()
    assert (account.cash, account.buying_power) == ("99365.38", "99365.38")
    assert (account.equity, account.long_market_value) == ("100000.00", "634.62")


def test_positions_follow_the_fills(trader: Trader) -> None:
    assert trader.client.get_all_positions() == []
    trader.fill("AAPL", 3)
    trader.fill("AAPL", 1, "sell")
    position = trader.client.get_open_position("AAPL")
    assert (position.qty, position.qty_available, position.side) == ("2", "2", "long")
    assert (position.avg_entry_price, position.cost_basis) == (NEWEST_CLOSE, "423.08")
    assert (position.current_price, position.unrealized_pl) == (NEWEST_CLOSE, "0")
    trader.fill("AAPL", 2, "sell")
    assert trader.client.get_all_positions() == []
    assert trader.client.get_account().cash == "100000.00"


def test_fractions_of_shares_are_kept_to_the_cent(trader: Trader) -> None:
    assert trader.fill("AAPL", 0.123456789).filled_qty == "0.123456789"
    assert trader.client.get_account().cash == "99973.88"  # 26.1160... dollars


def test_the_same_ticker_gains_when_its_price_does(trader: Trader) -> None:
    trader.fill("AAPL", 100)
    set_clock("2024-06-04T19:00:00Z")
    position = trader.client.get_open_position("AAPL")
    gain = (Decimal(position.current_price) - Decimal(NEWEST_CLOSE)) * 100
    assert gain != 0
    assert Decimal(position.unrealized_pl) == gain
    assert Decimal(trader.client.get_account().equity) == 100_000 + gain


def test_slippage_makes_both_sides_worse() -> None:
    with (
        running_exchange(SIMULATOR_SLIPPAGE_BPS=10) as exchange,
        connected_trader(exchange) as trader,
    ):
        assert trader.fill("AAPL", 1).filled_avg_price == "211.7515"
        assert trader.fill("AAPL", 1, "sell").filled_avg_price == "211.3285"


def test_filling_at_the_open_takes_the_minute_in_progress() -> None:
    with (
        running_exchange(
            SIMULATOR_FILL="open", MARKET_CLOCK_START="2024-06-04T14:30:30Z"
        ) as exchange,
        connected_trader(exchange) as trader,
    ):
        price = trader.fill("AAPL", 1).filled_avg_price
        set_clock("2024-06-04T14:31:00Z")
        start = int(utc("2024-06-04T14:30:00").timestamp())
        bar = exchange.market.bars("AAPL", start, start, 1)[0]
        assert float(price or 0) == bar.open


def test_a_thin_ticker_fills_at_its_last_trade_however_old(
    trader: Trader, exchange: Exchange
) -> None:
    newest = exchange.market.bars("FT", 0, 2**33, 1, newest_first=True)[0]
    assert newest.start < utc("2024-06-04T14:29:00").timestamp()
    assert float(trader.fill("FT", 10).filled_avg_price or 0) == newest.close


def test_a_limit_order_waits_for_its_price(trader: Trader) -> None:
    waiting = trader.client.submit_order(limit_order(150))
    marketable = trader.client.submit_order(limit_order(212))
    assert trader.until(marketable, "filled").filled_avg_price == NEWEST_CLOSE
    assert trader.until(waiting, "new").limit_price == "150"
    account = trader.client.get_account()
    assert (account.cash, account.buying_power) == ("99788.46", "99638.46")
    trader.client.cancel_order_by_id(waiting.id)
    canceled = trader.get(waiting)
    assert canceled.status == "canceled" and canceled.canceled_at is not None
    assert trader.client.get_account().buying_power == "99788.46"


def test_an_immediate_order_does_not_wait(trader: Trader) -> None:
    order = trader.client.submit_order(limit_order(150, time_in_force=TimeInForce.IOC))
    assert trader.until(order, "canceled").filled_qty == "0"


def test_orders_are_listed_by_status_time_and_side(trader: Trader) -> None:
    bought = trader.fill("AAPL", 2)
    set_clock("2024-06-04T15:00:00Z")
    sold = trader.fill("AAPL", 1, "sell")
    waiting = trader.until(trader.client.submit_order(limit_order(150, symbol="MSFT")), "new")

    def listed(**wanted: object) -> list[object]:
        return [order.id for order in trader.client.get_orders(GetOrdersRequest(**wanted))]

    assert listed() == [waiting.id]
    assert listed(status=QueryOrderStatus.ALL) == [waiting.id, sold.id, bought.id]
    assert listed(status=QueryOrderStatus.CLOSED, direction="asc") == [bought.id, sold.id]
    assert listed(status=QueryOrderStatus.ALL, limit=1) == [waiting.id]
    assert listed(status=QueryOrderStatus.ALL, side=OrderSide.SELL) == [sold.id]
    assert listed(status=QueryOrderStatus.ALL, symbols=["MSFT"]) == [waiting.id]
    assert listed(status=QueryOrderStatus.ALL, after=utc("2024-06-04T14:59:00")) == [
        waiting.id,
        sold.id,
    ]
    assert listed(status=QueryOrderStatus.ALL, until=utc("2024-06-04T14:59:00")) == [bought.id]


def test_all_orders_are_cancelled_together(trader: Trader) -> None:
    first = trader.client.submit_order(limit_order(150))
    second = trader.client.submit_order(limit_order(151))
    answers = trader.client.cancel_orders()
    assert sorted((str(each.id), each.status) for each in answers) == sorted(
        [(str(first.id), 200), (str(second.id), 200)]
    )
    assert trader.get(first).status == "canceled"


def test_positions_are_closed_in_part_and_together(trader: Trader) -> None:
    trader.fill("AAPL", 4)
    trader.fill("MSFT", 1)
    half = trader.client.close_position("AAPL", ClosePositionRequest(percentage="50"))
    assert trader.until(half, "filled").qty == "2"
    closed = trader.client.close_all_positions(cancel_orders=True)
    assert sorted((each.symbol, each.status) for each in closed) == [("AAPL", 200), ("MSFT", 200)]
    for each in closed:
        trader.until(each.body, "filled")
    assert trader.client.get_all_positions() == []


def test_assets_are_listed_and_found(trader: Trader) -> None:
    assets = {asset.symbol: asset for asset in trader.client.get_all_assets()}
    assert len(assets) >= 30
    assert {"AAPL", "SPY", "BRK.B", "PPLT", "NVDA", "GOOGL"} <= set(assets)
    assert trader.client.get_asset("BRK.B").exchange == "NYSE"
    assert trader.client.get_asset(str(assets["SPY"].id)).symbol == "SPY"
    with pytest.raises(APIError) as refused:
        trader.client.get_asset("ZZZZ")
    assert refused.value.status_code == 404
    assert (refused.value.code, refused.value.message) == (40410000, "asset not found for ZZZZ")


def test_the_clock_is_the_market_clock(trader: Trader) -> None:
    found = trader.client.get_clock()
    assert found.is_open
    assert found.timestamp.isoformat().startswith("2024-06-04T10:30:00")
    assert found.next_open == utc("2024-06-05T13:30:00")
    assert found.next_close == utc("2024-06-04T20:00:00")
    set_clock("2024-11-29T18:00:00Z")  # the half day has just ended
    found = trader.client.get_clock()
    assert not found.is_open
    assert found.next_open == utc("2024-12-02T14:30:00")
    assert found.next_close == utc("2024-12-02T21:00:00")
    set_clock("2031-01-02T15:00:00Z")
    assert not trader.client.get_clock().is_open


def test_the_calendar_has_half_days_and_no_holidays(trader: Trader) -> None:
    request = GetCalendarRequest(start="2024-11-27", end="2024-12-02")
    days = trader.client.get_calendar(request)
    assert [(str(day.date), day.open.hour, day.close.hour) for day in days] == [
        ("2024-11-27", 9, 16),
        ("2024-11-29", 9, 13),
        ("2024-12-02", 9, 16),
    ]
    assert len(trader.client.get_calendar()) == 3266


def test_the_portfolio_history_ends_now(trader: Trader) -> None:
    trader.fill("AAPL", 100)
    set_clock("2024-06-06T14:30:00Z")
    history = trader.client.get_portfolio_history()
    assert history.timestamp == [1717531200, 1717617600, 1717684200]
    assert history.equity[-1] == float(trader.client.get_account().equity)
    assert history.base_value == 100000


def test_orders_from_many_threads_are_each_filled_once(trader: Trader, exchange: Exchange) -> None:
    """Eight threads ask for more than the cash allows; what is accepted adds up to the cent."""

    def buy(number: int) -> list[int]:
        with connected_http(exchange) as http:
            return [
                http.order(qty=30, client_order_id=f"{number}-{each}").status_code
                for each in range(4)
            ]

    with ThreadPoolExecutor(8) as pool:
        codes = [code for answers in pool.map(buy, range(8)) for code in answers]
    assert sorted(codes) == [200] * 15 + [403] * 17  # 15 x 30 x 211.54 = 95,193.00
    eventually(lambda: not trader.client.get_orders())
    account = trader.client.get_account()
    assert (account.cash, account.buying_power) == ("4807.00", "4807.00")
    assert trader.client.get_open_position("AAPL").qty == "450"


def test_an_account_that_cannot_be_written_for_a_while_ends_no_matching(
    trader: Trader, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk. Only the matching's own thread looks at the order afterwards."""
    set_clock("2024-06-04T12:00:00Z")
    waiting = trader.place("AAPL", 1)
    exchange.account._db.execute("PRAGMA query_only = ON")
    set_clock("2024-06-04T14:30:00Z")
    eventually(lambda: "readonly" in caplog.text)
    exchange.account._db.execute("PRAGMA query_only = OFF")
    eventually(lambda: exchange.account.existing(str(waiting.id)).status == "filled")
