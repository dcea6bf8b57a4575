"""The exchange's one account, in its own SQLite file: cash, positions, orders, fills."""

import random
import sqlite3
import string
import threading
import uuid
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from orchestra.base import sqlite
from orchestra.simulator.account_rows import (
    OPEN_STATUSES,
    SCHEMA,
    ZERO,
    Order,
    Position,
    moment,
    order_of,
    plain,
)
from orchestra.simulator.market import Split

STARTING_CASH = Decimal(100_000)
CENT = Decimal("0.01")


class Account:
    """Reads and writes the account. ``lock`` makes several steps one for every thread."""

    def __init__(self, path: Path, now: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        # One connection under one lock: a server thread lives as long as its client's connection
        self._db = sqlite.connect(path, synchronous="NORMAL")
        self._db.executescript(SCHEMA)
        self._past = ("", STARTING_CASH, dict[str, Decimal]())
        if self._db.execute("SELECT 1 FROM account").fetchone() is None:
            with sqlite.transaction(self._db) as db:
                db.execute(
                    "INSERT INTO account VALUES (?, ?, ?, ?)",
                    (str(uuid.uuid4()), _new_number(), moment(now), str(STARTING_CASH)),
                )
        row = self._db.execute("SELECT id, account_number, created_at FROM account").fetchone()
        self.id, self.number, self.created_at = tuple(row)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()

    def cash(self) -> Decimal:
        """Dollars, in whole cents."""
        return Decimal(self._rows("SELECT cash FROM account")[0]["cash"])

    def reserved(self) -> Decimal:
        """Dollars that open buys may still need."""
        rows = self._rows(f"SELECT reserved FROM orders WHERE status IN {OPEN_STATUSES}")
        return sum((Decimal(row["reserved"]) for row in rows), ZERO)

    def positions(self) -> list[Position]:
        """All positions, by symbol."""
        return [
            Position(row["symbol"], Decimal(row["qty"]), Decimal(row["cost"]))
            for row in self._rows("SELECT * FROM positions ORDER BY symbol")
        ]

    def position(self, symbol: str) -> Position | None:
        """The position in ``symbol``; None without shares."""
        return next((each for each in self.positions() if each.symbol == symbol), None)

    def order(self, id: str) -> Order | None:
        """The order with the exchange's id."""
        return self._one("SELECT * FROM orders WHERE id = ?", id)

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """The order with the client's id; an id stays used for good."""
        return self._one("SELECT * FROM orders WHERE client_order_id = ?", client_order_id)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders that are not terminal, oldest first."""
        rows = self._rows(  # ordered by itself SQLite would read every order there ever was
            "SELECT * FROM orders INDEXED BY open_orders"
            f" WHERE status IN {OPEN_STATUSES} ORDER BY seq"
        )
        return [order for order in map(order_of, rows) if symbol in (None, order.symbol)]

    def orders(
        self,
        statuses: Iterable[str] | None,
        after: str,
        until: str,
        newest_first: bool,
        side: str = "",
        symbols: Iterable[str] = (),
        limit: int = -1,
    ) -> list[Order]:
        """At most ``limit`` orders submitted between two moments, both excluded, of these kinds."""
        where, values = "submitted_at > ? AND submitted_at < ?", [after, until]
        for column, wanted in (
            ("status", statuses),
            ("side", side and [side]),
            ("symbol", symbols),
        ):
            if chosen := list(wanted or ()):
                where += f" AND {column} IN ({', '.join('?' * len(chosen))})"
                values += chosen
        way = "DESC" if newest_first else "ASC"
        rows = self._rows(
            f"SELECT * FROM orders WHERE {where} ORDER BY submitted_at {way}, seq {way} LIMIT ?",
            *values,
            limit,
        )
        return [order_of(row) for row in rows]

    def add_order(self, **columns: Any) -> Order:
        """Enter a new order and return it."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        with self.lock, sqlite.transaction(self._db) as db:
            db.execute(f"INSERT INTO orders ({names}) VALUES ({marks})", list(columns.values()))
        return self.existing(columns["id"])

    def change_order(self, id: str, now: datetime, **columns: Any) -> Order:
        """Change an order, and its ``updated_at``."""
        with self.lock, sqlite.transaction(self._db) as db:
            self._change(db, id, now, columns)
        return self.existing(id)

    def fill(self, order: Order, qty: Decimal, price: Decimal, now: datetime) -> Order:
        """Execute ``qty`` shares of an order: fill, cash, position and order change as one."""
        amount = (qty * price).quantize(CENT, ROUND_HALF_UP)
        bought = order.filled_qty * (order.filled_avg_price or ZERO)
        filled = order.filled_qty + qty
        done = filled == order.qty
        columns = {
            "filled_qty": plain(filled),
            "filled_avg_price": plain(((bought + qty * price) / filled).quantize(Decimal("1e-6"))),
            "status": "filled" if done else "partially_filled",
            "filled_at": moment(now) if done else None,
            "reserved": plain((order.reserved * (order.left - qty) / order.left).quantize(CENT)),
        }
        values = (order.id, order.client_order_id, order.symbol, order.side)
        with self.lock, sqlite.transaction(self._db) as db:
            db.execute(
                "INSERT INTO fills (order_id, client_order_id, symbol, side, qty, price, amount, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, plain(qty), plain(price), str(amount), moment(now)),
            )
            self._change(db, order.id, now, columns)
            self._move(db, order.symbol, qty if order.side == "buy" else -qty, amount)
        return self.existing(order.id)

    def apply_split(self, split: Split, now: datetime) -> None:
        """Multiply a position once by a split's ratio; the cost stays."""
        with self.lock, sqlite.transaction(self._db) as db:
            key = (split.symbol, split.day.isoformat())
            if db.execute("SELECT 1 FROM splits WHERE symbol = ? AND day = ?", key).fetchone():
                return
            db.execute(
                "INSERT INTO splits VALUES (?, ?, ?, ?)", (*key, str(split.ratio), moment(now))
            )
            held = self.position(split.symbol)
            if held is not None:
                shares = (held.qty * split.ratio).quantize(Decimal("1e-9"))
                db.execute(
                    "UPDATE positions SET qty = ? WHERE symbol = ?", (plain(shares), split.symbol)
                )

    def at(self, until: datetime) -> tuple[Decimal, dict[str, Decimal]]:
        """Cash and shares by symbol as they were at a moment; from the last one asked for onwards."""
        wanted = moment(until)
        with self.lock:
            known, cash, shares = self._past  # of what was before ``known``
            if wanted < known:
                known, cash, shares = "", STARTING_CASH, {}
            rows = self._db.execute(
                "SELECT at, symbol, side, qty, amount FROM fills WHERE at >= ?1 AND at <= ?2 UNION ALL"
                " SELECT at, symbol, 'split', ratio, '0' FROM splits WHERE at >= ?1 AND at <= ?2"
                " ORDER BY at",
                (known, wanted),
            ).fetchall()
            before = [row for row in rows if row["at"] < wanted]
            self._past = (wanted, *_after(cash, shares, before))
            cash, shares = _after(*self._past[1:], rows[len(before) :])
        return cash, {symbol: qty for symbol, qty in shares.items() if qty}

    def existing(self, id: str) -> Order:
        """The order with the exchange's id, which is known to exist."""
        order = self.order(id)
        if order is None:
            raise LookupError(f"There is no order {id}")
        return order

    def _move(self, db: Any, symbol: str, qty: Decimal, amount: Decimal) -> None:
        """Take ``qty`` shares (negative: sold) into the position and their price out of the cash."""
        held = self.position(symbol) or Position(symbol, ZERO, ZERO)
        cost = held.cost + amount if qty > 0 else held.cost * (held.qty + qty) / held.qty
        if held.qty + qty == 0:
            db.execute("DELETE FROM positions WHERE symbol = ?", (symbol,))
        else:
            db.execute(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                (symbol, plain(held.qty + qty), plain(cost)),
            )
        cash = self.cash() - (amount if qty > 0 else -amount)
        db.execute("UPDATE account SET cash = ?", (str(cash),))

    def _change(self, db: Any, id: str, now: datetime, columns: dict[str, Any]) -> None:
        columns = {**columns, "updated_at": moment(now)}
        sets = ", ".join(f"{name} = ?" for name in columns)
        db.execute(f"UPDATE orders SET {sets} WHERE id = ?", [*columns.values(), id])

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> Order | None:
        rows = self._rows(sql, *values)
        return order_of(rows[0]) if rows else None


def _new_number() -> str:
    letters = string.ascii_uppercase + string.digits
    return "PA" + "".join(random.SystemRandom().choices(letters, k=10))


def _after(
    cash: Decimal, shares: dict[str, Decimal], rows: list[sqlite3.Row]
) -> tuple[Decimal, dict[str, Decimal]]:
    """Cash and shares once these fills and splits have happened."""
    shares = dict(shares)
    for row in rows:
        held, qty = shares.get(row["symbol"], ZERO), Decimal(row["qty"])
        if row["side"] == "split":
            shares[row["symbol"]] = held * qty
            continue
        sign = 1 if row["side"] == "buy" else -1
        shares[row["symbol"]] = held + sign * qty
        cash -= sign * Decimal(row["amount"])
    return cash, shares
