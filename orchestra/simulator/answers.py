"""The JSON shapes of Alpaca's trading API: money and shares are strings, null is what never happened."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from orchestra.base.market_calendar import NEW_YORK, MarketCalendar, Session
from orchestra.simulator.account import CENT, STARTING_CASH, Account
from orchestra.simulator.account_rows import ZERO, Order, Position, plain
from orchestra.simulator.assets import Asset
from orchestra.simulator.market import Market

RATIO = Decimal("1e-6")
AFTER_THE_END = timedelta(days=3650)  # the next session of a calendar that has no more
HISTORY_SESSIONS = 30
_BLOCKS = ("trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user")


def asset(listed: Asset) -> dict[str, Any]:
    """Return an asset as GET /v2/assets has it."""
    return {
        "id": listed.id,
        "class": "us_equity",
        "exchange": listed.exchange,
        "symbol": listed.symbol,
        "name": listed.name,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "borrow_status": "easy_to_borrow",
        "fractionable": listed.fractionable,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "attributes": [],
    }


def order(found: Order, listed: Asset) -> dict[str, Any]:
    """Return an order with all the keys the real service sends."""
    return {
        "id": found.id,
        "client_order_id": found.client_order_id,
        "created_at": found.submitted_at,
        "updated_at": found.updated_at,
        "submitted_at": found.submitted_at,
        "filled_at": found.filled_at,
        "expired_at": found.expired_at,
        "expires_at": found.expires_at,
        "canceled_at": found.canceled_at,
        "failed_at": found.failed_at,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": listed.id,
        "symbol": found.symbol,
        "asset_class": "us_equity",
        "notional": None,
        "qty": plain(found.qty),
        "filled_qty": plain(found.filled_qty),
        "filled_avg_price": _text(found.filled_avg_price),
        "order_class": "",
        "order_type": found.type,
        "type": found.type,
        "side": found.side,
        "position_intent": "buy_to_open" if found.side == "buy" else "sell_to_close",
        "time_in_force": found.time_in_force,
        "limit_price": _text(found.limit_price),
        "stop_price": None,
        "status": found.status,
        "extended_hours": found.extended_hours,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def account(held: Account, market: Market, now: datetime) -> dict[str, Any]:
    """Return the account: a cash account, so buying power is cash less what open buys reserve."""
    cash, reserved = held.cash(), held.reserved()
    shares = {position.symbol: position.qty for position in held.positions()}
    worth = _worth(shares, market, now)
    power, value = str(max(cash - reserved, ZERO)), str(worth)
    before = _close_before(market.calendar(), now)
    last_equity = _equity_at(held, market, before.close) if before else STARTING_CASH
    return {
        "id": held.id,
        "admin_configurations": {},
        "user_configurations": None,
        "account_number": held.number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "buying_power": power,
        "regt_buying_power": power,
        "effective_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": "0",
        "cash": str(cash),
        "accrued_fees": "0",
        "portfolio_value": str(cash + worth),
        "equity": str(cash + worth),
        "last_equity": str(last_equity),
        "long_market_value": value,
        "short_market_value": "0",
        "position_market_value": value,
        "initial_margin": value,
        "maintenance_margin": value,
        "last_maintenance_margin": "0",
        "multiplier": "1",
        "shorting_enabled": False,
        **dict.fromkeys(_BLOCKS, False),
        "created_at": held.created_at,
        "balance_asof": (before.day if before else now.date()).isoformat(),
        "sma": "0",
        "crypto_tier": 0,
    }


def position(held: Position, for_orders: Decimal, market: Market, now: datetime) -> dict[str, Any]:
    """Return a position at the newest close. ``for_orders`` shares wait in open sells."""
    bar = market.newest(held.symbol, now)
    price = Decimal(str(bar.close)) if bar else held.cost / held.qty
    before = _close_before(market.calendar(), now)
    last_bar = market.newest(held.symbol, before.close) if before else None
    last_price = Decimal(str(last_bar.close)) if last_bar else price
    value = (price * held.qty).quantize(CENT)
    profit = value - held.cost
    today = (price - last_price) * held.qty
    listed = market.assets[held.symbol]
    return {
        "asset_id": listed.id,
        "symbol": held.symbol,
        "exchange": listed.exchange,
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": plain(held.qty),
        "qty_available": plain(held.qty - for_orders),
        "avg_entry_price": plain((held.cost / held.qty).quantize(RATIO)),
        "side": "long" if held.qty > 0 else "short",
        "market_value": plain(value),
        "cost_basis": plain(held.cost.quantize(RATIO)),
        "unrealized_pl": plain(profit.quantize(RATIO)),
        "unrealized_plpc": plain((profit / held.cost).quantize(RATIO)),
        "unrealized_intraday_pl": plain(today.quantize(RATIO)),
        "unrealized_intraday_plpc": plain((price / last_price - 1).quantize(RATIO)),
        "current_price": plain(price),
        "lastday_price": plain(last_price),
        "change_today": plain((price / last_price - 1).quantize(RATIO)),
    }


def market_clock(calendar: MarketCalendar, now: datetime) -> dict[str, Any]:
    """Return the market clock in New York time; after the calendar's end the next session is far away."""
    far = calendar.sessions[-1].close + AFTER_THE_END
    return {
        "timestamp": now.astimezone(NEW_YORK).isoformat(timespec="microseconds"),
        "is_open": calendar.is_open(now),
        "next_open": _new_york(calendar.next_open(now) or far),
        "next_close": _new_york(calendar.next_close(now) or far),
    }


def sessions(calendar: MarketCalendar, chosen: Iterable[Session]) -> list[dict[str, str]]:
    """Return sessions as GET /v2/calendar lists them, times in New York; a trade settles a session later."""
    days = [session.day for session in calendar.sessions]
    following = dict(zip(days, [*days[1:], days[-1] + timedelta(days=1)], strict=True))
    return [
        {
            "date": session.day.isoformat(),
            "open": session.open.astimezone(NEW_YORK).strftime("%H:%M"),
            "close": session.close.astimezone(NEW_YORK).strftime("%H:%M"),
            "session_open": "0400",
            "session_close": "2000",
            "settlement_date": following[session.day].isoformat(),
        }
        for session in chosen
    ]


def portfolio_history(held: Account, market: Market, now: datetime) -> dict[str, Any]:
    """Return the equity at each of the last closes, and what it is now."""
    created = datetime.fromisoformat(held.created_at)
    closes = [s.close for s in market.calendar().sessions if created <= s.close < now]
    moments = [*closes[-HISTORY_SESSIONS:], now]
    equity = [float(_equity_at(held, market, each)) for each in moments]
    base = float(STARTING_CASH)
    return {
        "timestamp": [int(each.timestamp()) for each in moments],
        "equity": equity,
        "profit_loss": [round(each - base, 2) for each in equity],
        "profit_loss_pct": [round(each / base - 1, 6) for each in equity],
        "base_value": base,
        "base_value_asof": created.date().isoformat(),
        "timeframe": "1D",
    }


def _equity_at(held: Account, market: Market, moment: datetime) -> Decimal:
    cash, shares = held.at(moment)
    return cash + _worth(shares, market, moment)


def _worth(shares: dict[str, Decimal], market: Market, moment: datetime) -> Decimal:
    """What shares are worth at the newest closes of a moment; without a bar, nothing."""
    total = ZERO
    for symbol, qty in shares.items():
        bar = market.newest(symbol, moment)
        if bar is not None:
            total += (Decimal(str(bar.close)) * qty).quantize(CENT)
    return total


def _close_before(calendar: MarketCalendar, now: datetime) -> Session | None:
    """The session before the running or latest one's day: what "last day" means today."""
    today = calendar.latest_session(now)
    if today is None:
        return None
    return calendar.latest_session(today.open - timedelta(seconds=1))


def _new_york(moment: datetime) -> str:
    return moment.astimezone(NEW_YORK).isoformat()


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def shifted(timestamp: str, seconds: float) -> str:
    """Return a clock's timestamp that many seconds off."""
    moment = datetime.fromisoformat(timestamp) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="microseconds")
