"""Writes the ledger for a tax adviser or a spreadsheet: every transaction, and FIFO lots with gains."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.lots import Lot, Sale, fifo
from system_databse import labels, system_db_manager

Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """The ledger's rows; ``label`` is empty for what an order filled, else a correction's kind."""

    transactions: list[Row]
    sales: list[Row]
    held: list[Row]

    @property
    def gain(self) -> float:
        """Dollars gained by all sales together, corrections included."""
        return round(sum(row["gain"] or 0.0 for row in self.sales), 2)


def collect() -> Export:
    """Return every card's transactions, sales matched first in first out, and lots still held."""
    found = Export([], [], [])
    for card in system_db_manager.get_all_algorithms():
        rows = list(reversed(system_db_manager.get_transactions(card["id"])))
        kinds = labels.kinds_of([row["id"] for row in rows])
        sales, held = fifo(rows, kinds)
        whose = {
            "card": card["id"],
            "display_name": card["display_name"],
            "ticker": card["ticker"],
        }
        found.transactions.extend(_transaction(whose, row, kinds) for row in rows)
        found.sales.extend(_sale(whose, sale) for sale in sales)
        found.held.extend(_lot(whose, lot) for lot in held)
    return found


def write(folder: Path, export: Export) -> list[Path]:
    """Write transactions.csv, sales.csv, lots.csv and ledger.json into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"transactions": export.transactions, "sales": export.sales, "lots": export.held}
    paths = [_write_csv(folder / f"{name}.csv", HEADERS[name], tables[name]) for name in tables]
    ledger = folder / "ledger.json"
    ledger.write_text(json.dumps({**tables, "gain": export.gain}, indent=1) + "\n")
    return [*paths, ledger]


_WHOSE = ["card", "display_name", "ticker"]
HEADERS = {
    "transactions": [*_WHOSE, "id", "type", "shares", "price", "timestamp", "label"],
    "sales": [
        *_WHOSE,
        "sold_at",
        "shares",
        "sell_price",
        "bought_at",
        "buy_price",
        "gain",
        "label",
    ],
    "lots": [*_WHOSE, "bought_at", "shares", "price"],
}


def _transaction(whose: Row, row: Row, kinds: dict[int, str]) -> Row:
    names = ("id", "type", "shares", "price", "timestamp")
    return {**whose, **{name: row[name] for name in names}, "label": kinds.get(row["id"], "")}


def _sale(whose: Row, sale: Sale) -> Row:
    return {
        **whose,
        "sold_at": sale.sold_at,
        "shares": float(sale.shares),
        "sell_price": sale.sell_price,
        "bought_at": sale.bought_at,
        "buy_price": sale.buy_price,
        "gain": sale.gain,
        "label": sale.kind,
    }


def _lot(whose: Row, lot: Lot) -> Row:
    return {
        **whose,
        "bought_at": lot.bought_at,
        "shares": float(lot.shares),
        "price": round(lot.price, 6),
    }


def _write_csv(path: Path, header: list[str], rows: Iterable[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    return path
