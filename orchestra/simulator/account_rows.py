"""The rows of the exchange's account: its tables, an order, a position, and how they are written."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
OPEN_STATUSES = ("pending_new", "accepted", "new", "partially_filled")

SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    id TEXT PRIMARY KEY, account_number TEXT NOT NULL, created_at TEXT NOT NULL, cash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL UNIQUE,
    symbol TEXT NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL, time_in_force TEXT NOT NULL,
    qty TEXT NOT NULL, limit_price TEXT, extended_hours INTEGER NOT NULL, status TEXT NOT NULL,
    filled_qty TEXT NOT NULL DEFAULT '0', filled_avg_price TEXT, reserved TEXT NOT NULL,
    submitted_at TEXT NOT NULL, updated_at TEXT NOT NULL, expires_at TEXT,
    filled_at TEXT, expired_at TEXT, canceled_at TEXT, failed_at TEXT);
CREATE INDEX IF NOT EXISTS open_orders ON orders (symbol)
    WHERE status IN ('pending_new', 'accepted', 'new', 'partially_filled');
CREATE INDEX IF NOT EXISTS orders_by_time ON orders (submitted_at);
CREATE TABLE IF NOT EXISTS fills (
    id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    client_order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    qty TEXT NOT NULL, price TEXT NOT NULL, amount TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS fills_by_time ON fills (at);
CREATE TABLE IF NOT EXISTS positions (
    symbol TEXT PRIMARY KEY, qty TEXT NOT NULL, cost TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS splits (
    symbol TEXT NOT NULL, day TEXT NOT NULL, ratio TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (symbol, day));
"""


@dataclass(frozen=True)
class Order:
    """One order. Times are texts as ``moment`` writes them; None where it has not happened."""

    seq: int
    id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None
    extended_hours: bool
    status: str
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    reserved: Decimal
    submitted_at: str
    updated_at: str
    expires_at: str | None
    filled_at: str | None
    expired_at: str | None
    canceled_at: str | None
    failed_at: str | None

    @property
    def open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def left(self) -> Decimal:
        return self.qty - self.filled_qty


@dataclass(frozen=True)
class Position:
    """Shares held, and what they cost in all."""

    symbol: str
    qty: Decimal
    cost: Decimal


def moment(time: datetime) -> str:
    """A moment with microseconds, always of one length, so that texts sort like times."""
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}Z"


def plain(number: Decimal) -> str:
    """A number as Alpaca writes it: no exponent, no zeros at the end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text


def order_of(row: Any) -> Order:
    """An order, read from its row."""
    columns = dict(row)
    for name in ("qty", "filled_qty", "reserved", "limit_price", "filled_avg_price"):
        columns[name] = None if columns[name] is None else Decimal(columns[name])
    columns["extended_hours"] = bool(columns["extended_hours"])
    return Order(**columns)
