"""Three accounts of the same trades held against each other: exchange, journal, ledger.

The exchange's own SQLite file is the independent one. Profit is recomputed from its fills alone, in
decimals; nothing of what is sold to the owner takes part in it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestra.base import sqlite

STARTING_CASH = Decimal(100_000)
OPEN_STATES = ("intended", "submitted")
FILL_ROUNDING = 0.005  # dollars: the exchange rounds what a fill moves to the cent
PRICE_ROUNDING = 1e-6  # dollars a share: an order's average price has six decimals


@dataclass
class Filled:
    """What the exchange filled of one order."""

    ticker: str
    side: str
    shares: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    fills: int = 0


@dataclass
class Comparison:
    """How many of each there are, and every difference as a sentence."""

    filled_orders: int = 0
    fills: int = 0
    journalled: int = 0
    transactions: int = 0
    corrections: int = 0
    unfilled: dict[str, int] = field(default_factory=dict)  # journal rows by state
    open: list[str] = field(default_factory=list)  # ended nowhere yet: the terminal was stopped
    differences: list[str] = field(default_factory=list)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite.connect(path, read_only=True)


def compare(exchange_db: Path, system_db: Path) -> Comparison:
    """Hold each filled order of the exchange against journal and ledger, and the other way round."""
    filled = _filled(exchange_db)
    ledger = connect(system_db)
    try:
        ledger.execute("BEGIN")  # one view of it, for it may be in use
        journal = [dict(row) for row in ledger.execute("SELECT * FROM orders ORDER BY id")]
        recorded = {row["id"]: dict(row) for row in ledger.execute("SELECT * FROM transactions")}
        labelled = {
            row["transaction_id"]
            for row in ledger.execute("SELECT transaction_id FROM labels")
            if row["transaction_id"] is not None
        }
    finally:
        ledger.close()
    done = {row["client_order_id"]: row for row in journal if row["transaction_id"] is not None}
    traded = recorded.keys() - labelled
    found = Comparison(
        filled_orders=len(filled),
        fills=sum(each.fills for each in filled.values()),
        journalled=len(done),
        transactions=len(traded),
        corrections=len(labelled),
    )
    for row in journal:
        if row["transaction_id"] is None:
            found.unfilled[row["state"]] = found.unfilled.get(row["state"], 0) + 1
    found.open = [row["client_order_id"] for row in journal if row["state"] in OPEN_STATES]
    say = found.differences.append
    for name in sorted(filled.keys() - done.keys() - set(found.open)):
        say(f"{name} was filled ({filled[name].shares}) and is in no transaction")
    for name in sorted(done.keys() - filled.keys()):
        say(f"{name} has a transaction and was never filled")
    for name in sorted(filled.keys() & done.keys()):
        fault = _mismatch(filled[name], done[name], recorded[done[name]["transaction_id"]])
        if fault:
            say(f"{name}: {fault}")
    backed = {row["transaction_id"] for row in done.values()}
    for number in sorted(traded - backed):
        say(f"transaction {number} belongs to no order")
    return found


def drift(exchange_db: Path, system_db: Path) -> tuple[dict[str, Decimal], list[str]]:
    """Shares of the ledger less those of the exchange, by ticker, and the tickers in the balance.

    The latter have an order whose end is not recorded; they are left out of the former.
    """
    exchange, ledger = connect(exchange_db), connect(system_db)
    try:
        held: dict[str, Decimal] = defaultdict(Decimal)
        for row in ledger.execute(
            "SELECT a.ticker, SUM(CASE t.type WHEN 'buy' THEN t.shares ELSE -t.shares END)"
            " FROM transactions t JOIN algorithm_instances a ON a.id = t.algorithm_id"
            " GROUP BY a.ticker"
        ):
            held[row[0]] += Decimal(row[1])
        unsettled = {
            row[0]
            for row in ledger.execute(
                f"SELECT DISTINCT ticker FROM orders WHERE state IN {OPEN_STATES}"
            )
        }
        for row in exchange.execute("SELECT symbol, qty FROM positions"):
            held[row[0]] -= Decimal(row[1])
    finally:
        exchange.close()
        ledger.close()
    return (
        {ticker: n for ticker, n in sorted(held.items()) if n and ticker not in unsettled},
        sorted(unsettled),
    )


def profits(exchange_db: Path, marks: Mapping[str, Decimal]) -> dict[int, tuple[Decimal, int]]:
    """Each card's profit from its fills at these prices, and how many fills it had."""
    cash: dict[int, Decimal] = defaultdict(Decimal)
    shares: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    count: dict[int, int] = defaultdict(int)
    for row in _history(exchange_db):
        if row["kind"] == "split":
            for held in shares.values():
                held[row["symbol"]] *= Decimal(row["ratio"])
            continue
        card = int(row["client_order_id"].split("-")[2])
        sign = 1 if row["side"] == "buy" else -1
        shares[card][row["symbol"]] += sign * Decimal(row["qty"])
        cash[card] -= sign * Decimal(row["amount"])
        count[card] += 1
    return {
        card: (
            cash[card] + sum((n * marks[t] for t, n in shares[card].items() if n), Decimal(0)),
            count[card],
        )
        for card in count
    }


def account_profit(exchange_db: Path, marks: Mapping[str, Decimal]) -> Decimal:
    """What the whole account has gained: cash and positions less what it began with."""
    exchange = connect(exchange_db)
    try:
        cash = Decimal(exchange.execute("SELECT cash FROM account").fetchone()[0])
        held = exchange.execute("SELECT symbol, qty FROM positions").fetchall()
    finally:
        exchange.close()
    worth = sum((Decimal(row["qty"]) * marks[row["symbol"]] for row in held), Decimal(0))
    return cash + worth - STARTING_CASH


def tolerance(fills: int, shares: float = 0.0) -> float:
    """By how many dollars a profit may differ from rounding alone."""
    return 0.01 + FILL_ROUNDING * fills + PRICE_ROUNDING * shares


def _filled(exchange_db: Path) -> dict[str, Filled]:
    found: dict[str, Filled] = {}
    for row in _history(exchange_db):
        if row["kind"] == "fill":
            each = found.setdefault(row["client_order_id"], Filled(row["symbol"], row["side"]))
            each.shares += Decimal(row["qty"])
            each.amount += Decimal(row["amount"])
            each.fills += 1
    return found


def _history(exchange_db: Path) -> list[dict[str, Any]]:
    """Fills and splits in the order in which they happened."""
    exchange = connect(exchange_db)
    try:
        rows = [{"kind": "fill", **dict(row)} for row in exchange.execute("SELECT * FROM fills")]
        rows += [{"kind": "split", **dict(row)} for row in exchange.execute("SELECT * FROM splits")]
    finally:
        exchange.close()
    return sorted(rows, key=lambda row: row["at"])


def _mismatch(filled: Filled, order: dict[str, Any], transaction: dict[str, Any]) -> str:
    if (filled.ticker, filled.side) != (order["ticker"], order["side"]):
        return f"{filled.side} {filled.ticker} at the exchange, {order['side']} {order['ticker']}"
    if transaction["algorithm_id"] != order["algorithm_id"] or transaction["type"] != order["side"]:
        return f"its transaction {transaction['id']} is another card's or of the other side"
    if transaction["shares"] != filled.shares:
        return f"{filled.shares} shares filled, {transaction['shares']} in the ledger"
    off = abs(transaction["shares"] * transaction["price"] - float(filled.amount))
    if off > FILL_ROUNDING * filled.fills + PRICE_ROUNDING * transaction["shares"] + 1e-9:
        return f"{filled.amount} dollars at the exchange, {off:.4f} off in the ledger"
    return ""
