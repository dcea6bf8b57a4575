"""The trading API: account, assets, orders, positions, clock, calendar."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, jsonify, request

from orchestra.base import clock
from orchestra.simulator import answers
from orchestra.simulator.account import Account
from orchestra.simulator.account_rows import OPEN_STATUSES, ZERO, Order, Position, moment, plain
from orchestra.simulator.assets import Asset
from orchestra.simulator.faults import Faults
from orchestra.simulator.market import Market
from orchestra.simulator.matching import Matching, refuse_replacing
from orchestra.simulator.order_request import decimal
from orchestra.simulator.queries import choice, day, time, whole
from orchestra.simulator.refusals import Refusal, forbidden, invalid, not_found
from orchestra.simulator.rest import body_of_request

MOST_ORDERS = 500
EVER = datetime(9999, 1, 1, tzinfo=UTC)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
CLOSED_STATUSES = ("filled", "canceled", "expired", "rejected")


class TradingRoutes:
    """The handlers; each answers from the account as it is after everything due was settled."""

    def __init__(
        self, account: Account, market: Market, matching: Matching, faults: Faults
    ) -> None:
        self._account = account
        self._market = market
        self._matching = matching
        self._faults = faults

    def blueprint(self) -> Blueprint:
        """Return the routes to register."""
        routes = Blueprint("trading", __name__)
        for rule, method, handler in (
            ("/account", "GET", self.account),
            ("/account/portfolio/history", "GET", self.history),
            ("/assets", "GET", self.assets),
            ("/assets/<symbol>", "GET", self.asset),
            ("/orders", "POST", self.submit),
            ("/orders", "GET", self.orders),
            ("/orders", "DELETE", self.cancel_all),
            ("/orders/<id>", "GET", self.order),
            ("/orders/<id>", "DELETE", self.cancel),
            ("/orders/<id>", "PATCH", self.replace),
            ("/orders:by_client_order_id", "GET", self.by_client_id),
            ("/positions", "GET", self.positions),
            ("/positions", "DELETE", self.close_all),
            ("/positions/<symbol>", "GET", self.position),
            ("/positions/<symbol>", "DELETE", self.close),
            ("/clock", "GET", self.clock),
            ("/calendar", "GET", self.calendar),
        ):
            name = handler.__name__
            routes.add_url_rule(f"/v2{rule}", name, handler, methods=[method])
        return routes

    def account(self) -> Response:
        with self._account.lock:
            self._matching.settle()
            shown = answers.account(self._account, self._market, clock.now())
            shown["trade_suspended_by_user"] = bool(self._faults.standing("orders_barred"))
            return jsonify(shown)

    def history(self) -> Response:
        with self._account.lock:
            self._matching.settle()
            return jsonify(answers.portfolio_history(self._account, self._market, clock.now()))

    def assets(self) -> Response:
        wanted = request.args
        chosen = [
            answers.asset(asset)
            for asset in self._market.assets.values()
            if wanted.get("status", "active") == "active"
            and wanted.get("asset_class", "us_equity") == "us_equity"
            and wanted.get("exchange", asset.exchange) == asset.exchange
        ]
        return jsonify(chosen)

    def asset(self, symbol: str) -> Response:
        found = self._market.assets.get(symbol) or next(
            (asset for asset in self._market.assets.values() if asset.id == symbol), None
        )
        if found is None:
            raise not_found(f"asset not found for {symbol}")
        return jsonify(answers.asset(found))

    def submit(self) -> Response:
        body = body_of_request()
        named = body if isinstance(body, dict) else {}
        symbol, client_id = str(named.get("symbol")), str(named.get("client_order_id"))
        if self._faults.take("orders_barred"):
            raise forbidden("new orders are rejected by user request")
        stall = self._faults.take("stall", symbol=symbol)
        if stall is None:
            return self._order(self._matching.submit(body))
        if stall["point"] == "received":
            stall.hold(client_id)
            return self._order(self._matching.submit(body))
        order = self._matching.submit(body, stall)
        if stall["point"] == "filled":
            self._matching.fill_at_once(order)
        stall.hold(client_id)
        return self._order(order)

    def orders(self) -> Response:
        status = choice("status", ("open", "closed", "all"), "open")
        statuses = {"open": OPEN_STATUSES, "closed": CLOSED_STATUSES, "all": None}[status]
        limit = whole("limit", 50, 1, MOST_ORDERS)
        newest_first = choice("direction", ("asc", "desc"), "desc") == "desc"
        side = choice("side", ("buy", "sell", ""), "")
        symbols = [each for each in request.args.get("symbols", "").split(",") if each]
        after, until = moment(time("after", NEVER)), moment(time("until", EVER))
        self._matching.settle()
        found = self._account.orders(statuses, after, until, newest_first, side, symbols, limit)
        return jsonify([self._shown(order) for order in found])

    def order(self, id: str) -> Response:
        self._matching.settle()
        return self._order(self._existing(id))

    def by_client_id(self) -> Response:
        self._matching.settle()
        wanted = request.args.get("client_order_id", "")
        found = self._account.order_by_client_id(wanted)
        if found is None:
            raise not_found(f"order not found for {wanted}")
        return self._order(found)

    def cancel(self, id: str) -> Response:
        self._matching.cancel(self._existing(id).id)
        return Response(status=204)

    def replace(self, id: str) -> Response:
        self._existing(id)
        raise refuse_replacing()

    def cancel_all(self) -> tuple[Response, int]:
        with self._account.lock:
            self._matching.settle()
            ended = [self._matching.cancel(order.id) for order in self._account.open_orders()]
        rows = [{"id": order.id, "status": 200, "body": self._shown(order)} for order in ended]
        return jsonify(rows), 207

    def positions(self) -> Response:
        with self._account.lock:
            self._matching.settle()
            return jsonify([self._position(held) for held in self._account.positions()])

    def position(self, symbol: str) -> Response:
        with self._account.lock:
            self._matching.settle()
            return jsonify(self._position(self._held(symbol)))

    def close(self, symbol: str) -> Response:
        with self._account.lock:
            self._matching.settle()
            return jsonify(self._sell(self._held(symbol), self._part_to_close(symbol)))

    def close_all(self) -> tuple[Response, int]:
        rows: list[dict[str, Any]] = []
        with self._account.lock:
            self._matching.settle()
            if request.args.get("cancel_orders", "").lower() == "true":
                for order in self._account.open_orders():
                    self._matching.cancel(order.id)
            for held in self._account.positions():
                row: dict[str, Any] = {"symbol": held.symbol, "status": 200}
                try:
                    row["body"] = self._sell(held, held.qty)
                    row["order_id"] = row["body"]["id"]
                except Refusal as refusal:
                    row |= {"status": refusal.status, "body": refusal.body}
                rows.append(row)
        return jsonify(rows), 207

    def clock(self) -> Response:
        now = clock.now()
        shown = answers.market_clock(self._market.calendar(), now)
        for fault in self._faults.standing("clock_skew"):
            shown["timestamp"] = answers.shifted(shown["timestamp"], fault["seconds"])
        return jsonify(shown)

    def calendar(self) -> Response:
        calendar = self._market.calendar()
        chosen = calendar.sessions_between(day("start", date.min), day("end", date.max))
        return jsonify(answers.sessions(calendar, chosen))

    def _existing(self, id: str) -> Order:
        found = self._account.order(id)
        if found is None:
            raise not_found(f"order not found for {id}")
        return found

    def _held(self, symbol: str) -> Position:
        held = self._account.position(self._listed(symbol).symbol)
        if held is None:
            raise not_found("position does not exist")
        return held

    def _listed(self, symbol: str) -> Asset:
        listed = self._market.assets.get(symbol)
        if listed is None:
            raise not_found(f"symbol not found: {symbol}")
        return listed

    def _part_to_close(self, symbol: str) -> Decimal:
        held = self._held(symbol)
        if "qty" in request.args:
            return decimal(request.args["qty"], "qty")
        percentage = decimal(request.args.get("percentage", "100"), "percentage")
        if not 0 < percentage <= 100:
            raise invalid("percentage must be > 0 and <= 100")
        return (held.qty * percentage / 100).quantize(Decimal("1e-9"))

    def _sell(self, held: Position, qty: Decimal) -> dict[str, Any]:
        body = {"symbol": held.symbol, "qty": plain(qty), "side": "sell"}
        order = self._matching.submit({**body, "type": "market", "time_in_force": "day"})
        return self._shown(order)

    def _position(self, held: Position) -> dict[str, Any]:
        sells = (o.left for o in self._account.open_orders(held.symbol) if o.side == "sell")
        return answers.position(held, sum(sells, ZERO), self._market, clock.now())

    def _shown(self, order: Order) -> dict[str, Any]:
        return answers.order(order, self._market.assets[order.symbol])

    def _order(self, order: Order) -> Response:
        return jsonify(self._shown(order))
