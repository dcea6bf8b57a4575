"""What the exchange refuses, with Alpaca's status, code, message and details."""

from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.requests import LimitOrderRequest

from orchestra.simulator import Exchange
from orchestra.simulator.rate_limit import REQUESTS_A_MINUTE
from tests.exchange_fixture import running_exchange, set_clock
from tests.simulator.conftest import Http, Trader, connected_http

AFTER_HOURS = "2024-06-04T21:00:00Z"


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"symbol": ""}, 422, 40010001, "symbol is required"),
        ({"symbol": "X"}, 422, 42210000, 'asset "X" not found'),
        ({"symbol": "aapl"}, 422, 42210000, 'asset "aapl" not found'),
        ({"qty": None}, 422, 40010001, "qty is required"),
        ({"qty": "0"}, 422, 42210000, "qty must be > 0"),
        ({"qty": -1}, 422, 42210000, "qty must be > 0"),
        ({"qty": "many"}, 422, 42210000, "invalid qty: many"),
        ({"qty": "NaN"}, 422, 42210000, "invalid qty: NaN"),
        ({"qty": True}, 422, 42210000, "invalid qty: True"),
        ({"qty": "0.0000000001"}, 422, 42210000, "qty must have at most 9 decimal places"),
        ({"side": "hold"}, 422, 42210000, "invalid side: hold"),
        ({"side": None}, 422, 40010001, "side is required"),
        ({"type": "stop"}, 422, 42210000, "invalid type: stop"),
        ({"time_in_force": "opg"}, 422, 42210000, "invalid time_in_force: opg"),
        ({"notional": 10}, 422, 42210000, "notional orders are not supported, use qty"),
        ({"limit_price": 1}, 422, 40010001, "market orders must not have limit price"),
        ({"type": "limit"}, 422, 40010001, "limit orders require limit price"),
        ({"type": "limit", "limit_price": 0}, 422, 42210000, "limit price must be > 0"),
        ({"symbol": "FT", "qty": 0.5}, 403, 40310000, 'asset "FT" is not fractionable'),
        (
            {"qty": 0.5, "time_in_force": "gtc"},
            422,
            42210000,
            "fractional orders must be DAY orders",
        ),
        (
            {"client_order_id": "x" * 129},
            422,
            40010001,
            "client_order_id must be no more than 128 characters",
        ),
        ({"side": "sell"}, 403, 40310000, "account is not allowed to short"),
        ({"position_intent": ""}, 422, 40010001, "invalid position_intent specified"),
        (
            {"side": "sell", "position_intent": "sell_to_close"},
            422,
            42210000,
            "position intent mismatch, inferred: sell_to_open, specified: sell_to_close",
        ),
    ],
)
def test_a_wrong_order_is_refused(
    http: Http, fields: dict[str, Any], status: int, code: int, message: str
) -> None:
    answer = http.order(**fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"] == message
    assert http("GET", "/v2/orders", params={"status": "all"}).json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3"])
def test_a_body_that_is_no_order_is_refused(http: Http, body: bytes) -> None:
    answer = http("POST", "/v2/orders", data=body)
    assert answer.status_code == 400
    assert answer.json() == {"code": 40010000, "message": "request body format is invalid"}


def test_a_client_order_id_is_used_for_good(trader: Trader, http: Http) -> None:
    trader.fill("AAPL", 1, client_order_id="mine")
    answer = http.order(client_order_id="mine")
    assert answer.status_code == 422
    assert answer.json() == {"code": 40010001, "message": "client_order_id must be unique"}


def test_too_little_cash(http: Http) -> None:
    answer = http.order(qty=500)
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "100000",
        "cost_basis": "105770.00",
    }


def test_open_buys_reserve_their_cost(http: Http) -> None:
    set_clock(AFTER_HOURS)
    assert http.order(qty=300).json()["status"] == "accepted"
    assert http.order(qty=300).json()["message"] == "insufficient buying power"
    assert http.order(qty=100).json()["status"] == "accepted"


def test_a_sale_that_says_what_it_does_to_the_position(trader: Trader, http: Http) -> None:
    trader.fill("AAPL", 5)
    answer = http.order(side="sell", qty=5, position_intent="sell_to_open")
    assert (answer.status_code, answer.json()["message"]) == (
        422,
        "position intent mismatch, inferred: sell_to_close, specified: sell_to_open",
    )
    assert http.order(side="sell", qty=5, position_intent="sell_to_close").status_code == 200


def test_selling_more_than_is_held(trader: Trader, http: Http) -> None:
    trader.fill("AAPL", 5)
    answer = http.order(side="sell", qty=10)
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 10, available: 5)",
        "available": "5",
        "existing_qty": "5",
        "held_for_orders": "0",
        "symbol": "AAPL",
    }


def test_shares_in_an_open_sell_are_not_available(trader: Trader, http: Http) -> None:
    trader.fill("AAPL", 5)
    set_clock(AFTER_HOURS)
    assert http.order(side="sell", qty=4).status_code == 200
    answer = http.order(side="sell", qty=2).json()
    assert answer["message"].endswith("(requested: 2, available: 1)")
    assert answer["held_for_orders"] == "4"
    assert trader.client.get_open_position("AAPL").qty_available == "1"


def test_opposite_orders_are_a_wash_trade_and_same_sides_are_not(
    trader: Trader, http: Http
) -> None:
    trader.fill("AAPL", 5)
    set_clock(AFTER_HOURS)
    sell = http.order(side="sell").json()
    answer = http.order(side="buy")
    assert answer.status_code == 403
    assert answer.json() == {
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "reject_reason": "opposite side market/stop order exists",
        "existing_order_id": sell["id"],
    }
    assert http.order(side="sell").status_code == 200
    assert http.order(symbol="MSFT").status_code == 200


def test_opposite_limits_that_cannot_meet_are_fine(trader: Trader) -> None:
    trader.fill("AAPL", 1)

    def limit(price: float, side: str) -> LimitOrderRequest:
        return LimitOrderRequest(
            symbol="AAPL", qty=1, limit_price=price, side=side, time_in_force="day"
        )

    trader.client.submit_order(limit(250, "sell"))
    trader.client.submit_order(limit(150, "buy"))
    with pytest.raises(APIError, match="opposite side limit order exists"):
        trader.client.submit_order(limit(260, "buy"))


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v2/orders/no-such-id", "order not found for no-such-id"),
        ("DELETE", "/v2/orders/no-such-id", "order not found for no-such-id"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=x", "order not found for x"),
        ("GET", "/v2/assets/ZZZZ", "asset not found for ZZZZ"),
        ("GET", "/v2/positions/AAPL", "position does not exist"),
        ("DELETE", "/v2/positions/AAPL", "position does not exist"),
    ],
)
def test_what_does_not_exist(http: Http, method: str, path: str, message: str) -> None:
    answer = http(method, path)
    assert answer.status_code == 404
    assert answer.json() == {"code": 40410000, "message": message}


def test_a_filled_order_cannot_be_cancelled(trader: Trader) -> None:
    order = trader.fill("AAPL", 1)
    with pytest.raises(APIError) as refused:
        trader.client.cancel_order_by_id(order.id)
    assert refused.value.status_code == 422
    assert refused.value.code == 42210000
    assert refused.value.message == 'order is already in "filled" state'


@pytest.mark.parametrize(
    "query", ["status=some", "limit=0", "limit=501", "limit=x", "after=soon", "direction=up"]
)
def test_wrong_parameters_of_a_list_are_named(http: Http, query: str) -> None:
    answer = http("GET", f"/v2/orders?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == 42210000
    assert answer.json()["message"].startswith(f"invalid {query.split('=')[0]}: ")


def test_unknown_routes_and_methods_answer_in_json(http: Http) -> None:
    answer = http("GET", "/v2/v2/orders")
    assert (answer.status_code, answer.json()) == (404, {"message": "not found"})
    answer = http("PUT", "/v2/orders")
    assert (answer.status_code, answer.json()) == (405, {"message": "method not allowed"})


def test_without_keys_trading_says_401_and_data_403(http: Http) -> None:
    http.session.headers.pop("APCA-API-SECRET-KEY")
    answer = http("GET", "/v2/account")
    assert (answer.status_code, answer.json()) == (401, {"message": "unauthorized."})
    answer = http("GET", "/v2/stocks/bars?symbols=AAPL")
    assert (answer.status_code, answer.json()) == (403, {"message": "forbidden."})
    assert http("GET", "/_label").status_code == 200


def test_with_keys_in_the_settings_only_those_are_accepted() -> None:
    with (
        running_exchange(ALPACA_API_KEY="PKTEST", ALPACA_SECRET="hush") as exchange,
        connected_http(exchange) as http,
    ):
        assert http("GET", "/v2/account").status_code == 401
        http.session.headers.update({"APCA-API-KEY-ID": "PKTEST", "APCA-API-SECRET-KEY": "hush"})
        assert http("GET", "/v2/account").status_code == 200


def test_the_rate_limit_is_told_and_kept(http: Http) -> None:
    answers = [http("GET", "/v2/clock") for _ in range(REQUESTS_A_MINUTE + 1)]
    assert answers[0].headers["X-RateLimit-Limit"] == "200"
    assert answers[0].headers["X-RateLimit-Remaining"] == "199"
    assert int(answers[0].headers["X-RateLimit-Reset"]) > 0
    assert [answer.status_code for answer in answers] == [200] * 200 + [429]
    assert answers[-1].json() == {"code": 42910000, "message": "rate limit exceeded"}
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"
    assert http("GET", "/v2/stocks/bars/latest?symbols=AAPL").status_code == 200
    assert "X-RateLimit-Limit" not in http("GET", "/_faults").headers


def test_an_accelerated_clock_allows_as_many_more(exchange: Exchange, http: Http) -> None:
    set_clock("2024-06-04T14:30:00Z", speed=60)
    assert http("GET", "/v2/clock").headers["X-RateLimit-Limit"] == "12000"


def test_one_connection_serves_many_requests(http: Http) -> None:
    for _ in range(3):
        http("GET", "/v2/clock")
    http.order(symbol="X")
    http("DELETE", "/v2/orders/none")
    pools = http.session.get_adapter("http://").poolmanager.pools  # type: ignore[attr-defined]
    (only,) = pools.keys()
    assert pools[only].num_connections == 1
