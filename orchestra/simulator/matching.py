"""The life of an order: checked, accepted, queued outside the session, filled, cancelled, expired."""

import logging
import sqlite3
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from orchestra.base import clock
from orchestra.base.errors import AutoTraderError
from orchestra.base.market_calendar import MINUTE, Session, floor_minute
from orchestra.simulator import order_checks, order_request
from orchestra.simulator.account import CENT, Account
from orchestra.simulator.account_rows import ZERO, Order, moment, plain
from orchestra.simulator.faults import Fault, Faults
from orchestra.simulator.market import Market
from orchestra.simulator.order_request import OrderRequest
from orchestra.simulator.refusals import BAD_REQUEST, Refusal, forbidden, invalid

FILL_SECONDS = 0.005  # machine time from accepting an order to its fill
LONGEST_NAP_SECONDS = 1.0
TICK = Decimal("0.0001")

log = logging.getLogger("autotrader.simulator")


@dataclass
class _Plan:
    """What this process knows of an open order: when it may fill, and what a fault has in mind."""

    due: float  # on clock.elapsed's scale
    fault: Fault | None = None

    def holds(self, *names: str) -> bool:
        """Whether the fault is one of these and has not been cleared."""
        return (
            self.fault is not None and self.fault.name in names and not self.fault.released.is_set()
        )


class Matching:
    """Matches orders against the newest bars, on each call and by a thread of its own."""

    def __init__(
        self, account: Account, market: Market, faults: Faults, fill: str, slippage_bps: float
    ) -> None:
        self._account = account
        self._market = market
        self._faults = faults
        self._fill = fill
        self._slippage = Decimal(str(slippage_bps)) / 10_000
        self._plans: dict[str, _Plan] = {}
        self._changed = threading.Event()
        self._stopping = False

    def submit(self, body: Any, stall: Fault | None = None) -> Order:
        """Accept an order, or raise Refusal. ``stall`` keeps it from filling until it is cleared."""
        wanted = order_request.read(body, self._market.assets)
        with self._account.lock:
            self.settle()
            now = clock.now()
            cost = self._check(wanted, now)
            session = self._session(now)
            in_session = session is not None and session.open <= now
            expires = session is not None and wanted.time_in_force == "day"
            order = self._account.add_order(
                id=str(uuid.uuid4()),
                client_order_id=wanted.client_order_id,
                symbol=wanted.asset.symbol,
                side=wanted.side,
                type=wanted.type,
                time_in_force=wanted.time_in_force,
                qty=plain(wanted.qty),
                limit_price=None if wanted.limit_price is None else plain(wanted.limit_price),
                extended_hours=int(wanted.extended_hours),
                status="pending_new" if in_session else "accepted",
                reserved=str(cost),
                submitted_at=moment(now),
                updated_at=moment(now),
                expires_at=moment(session.close) if session and expires else None,
            )
            fault = stall or self._order_fault(order)
            self._plans[order.id] = _Plan(clock.elapsed() + FILL_SECONDS, fault)
        self._changed.set()
        return order

    def cancel(self, id: str) -> Order:
        """Cancel an open order; what was filled stays. Raises Refusal when it is terminal."""
        with self._account.lock:
            self.settle()
            order = self._account.existing(id)
            if not order.open:
                raise invalid(f'order is already in "{order.status}" state')
            return self._end(order, "canceled", clock.now())

    def settle(self) -> None:
        """Do everything that is due by now: splits, fills, expiries."""
        with self._account.lock:
            now = clock.now()
            for split in self._market.splits():
                session = self._market.calendar().session_on(split.day)
                if session is not None and session.open <= now:
                    self._account.apply_split(split, now)
            for order in self._account.open_orders():
                self._advance(order, now)

    def run(self) -> None:
        """Settle whenever something becomes due, until ``stop``."""
        while not self._stopping:
            self._changed.wait(self._nap())
            self._changed.clear()
            try:
                self.settle()
            except (AutoTraderError, sqlite3.Error) as error:  # a broken recording, a full disk
                log.error("%s", error)

    def wake(self) -> None:
        """Look again now: a fault was cleared."""
        self._changed.set()

    def stop(self) -> None:
        """End ``run``."""
        self._stopping = True
        self._changed.set()

    def fill_at_once(self, order: Order) -> Order:
        """Fill an order without the usual delay."""
        with self._account.lock:
            self._plans[order.id] = _Plan(clock.elapsed())
            self.settle()
            return self._account.existing(order.id)

    def price(self, symbol: str, side: str, now: datetime) -> Decimal | None:
        """What a share costs or brings now, slippage included; None before the first bar."""
        opening = self._market.opening(symbol, now) if self._fill == "open" else None
        bar = self._market.newest(symbol, now)
        raw = opening if opening is not None else bar.close if bar else None
        if raw is None:
            return None
        price = Decimal(str(raw))
        if not self._slippage:
            return price
        worse = 1 + self._slippage if side == "buy" else 1 - self._slippage
        return max(TICK, (price * worse).quantize(TICK, ROUND_HALF_UP))

    def _check(self, wanted: OrderRequest, now: datetime) -> Decimal:
        """Check an order against the account; return the dollars it may need. Raises Refusal."""
        symbol = wanted.asset.symbol
        if self._account.order_by_client_id(wanted.client_order_id) is not None:
            raise invalid("client_order_id must be unique", BAD_REQUEST)
        others, held = self._account.open_orders(symbol), self._account.position(symbol)
        order_checks.against_others(wanted, others)
        order_checks.against_position(wanted, held, others)
        if wanted.side == "sell":
            return ZERO
        price = wanted.limit_price or self.price(symbol, "buy", now) or ZERO
        cost = (price * wanted.qty).quantize(CENT, ROUND_HALF_UP)
        power = self._account.cash() - self._account.reserved()
        if cost > power:
            raise forbidden(
                "insufficient buying power",
                buying_power=str(max(power, ZERO)),
                cost_basis=str(cost),
            )
        return cost

    def _session(self, moment: datetime) -> Session | None:
        """The session an order of this moment is for: the running one, else the next."""
        calendar = self._market.calendar()
        following = calendar.next_close(moment)
        return calendar.session_at(following - MINUTE) if following else None

    def _advance(self, order: Order, now: datetime) -> None:
        """Take one open order as far as it can go now."""
        session = self._session(datetime.fromisoformat(order.submitted_at))
        if session is None:  # the calendar has ended: no session will ever come
            return
        if now >= session.close and order.time_in_force != "gtc":
            self._end(order, "expired", session.close)
            return
        plan = self._plans.setdefault(order.id, _Plan(clock.elapsed()))
        early = now < session.open or not self._market.calendar().is_open(now)
        if early or clock.elapsed() < plan.due:
            return
        if plan.holds("stuck", "stall"):
            if order.status != "new":
                self._account.change_order(order.id, now, status="new")
        elif plan.holds("reject"):
            self._end(order, "rejected", now)
        elif not (plan.holds("partial_fill") and order.filled_qty):
            self._execute(order, plan, now)

    def _execute(self, order: Order, plan: _Plan, now: datetime) -> None:
        price = self.price(order.symbol, order.side, now)
        if price is None and order.type == "market":
            self._end(order, "rejected", now)
            return
        if price is None or not _marketable(order, price):
            if order.time_in_force in ("ioc", "fok"):
                self._end(order, "canceled", now)
            elif order.status not in ("new", "partially_filled"):
                self._account.change_order(order.id, now, status="new")
            return
        qty = order.left
        fault = plan.fault if plan.holds("partial_fill") else None
        if fault is not None:
            qty = _part(order, Decimal(str(fault["fraction"])))
        if qty:
            order = self._account.fill(order, qty, price, now)
        elif order.status != "new":
            order = self._account.change_order(order.id, now, status="new")
        if fault is not None and order.open and fault["then"] == "canceled":
            self._end(order, "canceled", now)
        if not order.open:
            self._plans.pop(order.id, None)

    def _end(self, order: Order, status: str, at: datetime) -> Order:
        """Close an order without filling what is left of it."""
        self._plans.pop(order.id, None)
        column = {"canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at"}
        changes = {"status": status, "reserved": "0", column[status]: moment(at)}
        return self._account.change_order(order.id, at, **changes)

    def _order_fault(self, order: Order) -> Fault | None:
        for name in ("reject", "stuck", "partial_fill"):
            fault = self._faults.take(name, symbol=order.symbol)
            if fault is not None:
                return fault
        return None

    def _nap(self) -> float:
        """Machine seconds until an open order may be due: its delay, or the next market minute."""
        elapsed = clock.elapsed()
        with self._account.lock:
            if not self._account.open_orders():
                return LONGEST_NAP_SECONDS
            waits = [plan.due - elapsed for plan in self._plans.values() if plan.due > elapsed]
        waits.append(clock.due(floor_minute(clock.now()) + MINUTE) - elapsed)
        return min(max(min(waits), 0.0005), LONGEST_NAP_SECONDS)


def refuse_replacing() -> Refusal:
    """The answer to PATCH /v2/orders/{id}."""
    return invalid("replacing an order is not supported, cancel it and send another")


def _marketable(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return True
    return price <= order.limit_price if order.side == "buy" else price >= order.limit_price


def _part(order: Order, fraction: Decimal) -> Decimal:
    """That part of an order, in whole shares where the order is."""
    part = order.left * fraction
    whole = order.qty == order.qty.to_integral_value()
    return part.quantize(Decimal(1), "ROUND_DOWN") if whole else part.quantize(Decimal("1e-9"))
