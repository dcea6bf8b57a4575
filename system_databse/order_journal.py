"""The order journal: an order is written down before it is sent, and closed with its transaction.

    intended -> submitted -> filled | partly_filled | refused | expired | cancelled | lost

Closing writes the journal row and the ``transactions`` row in one SQLite transaction, with the shares
that were really filled: no crash can leave one without the other.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput
from system_databse import system_db_manager

OPEN_STATES = ("intended", "submitted")
UNFILLED_STATES = ("refused", "expired", "cancelled", "lost")


@dataclass(frozen=True)
class JournalledOrder:
    """One row of the journal. ``minute`` is the stamp of the cycle that decided it."""

    client_order_id: str
    algorithm_id: int
    minute: str
    ticker: str
    side: str
    shares: int
    state: str
    reason: str
    created_at: str


def client_order_id(algo_id: int, minute: datetime, kind: str) -> str:
    """Derive the id of a card's one order of a minute; ``kind`` is buy, sell or exit."""
    ledger = system_db_manager.get_config("ledger")
    return f"apac-{ledger}-{algo_id}-{minute:%Y%m%dT%H%MZ}-{kind}"


def intend(
    algo_id: int, ticker: str, side: str, shares: int, minute: datetime, *, exit: bool = False
) -> JournalledOrder | None:
    """Write down that an order will be sent; None when this card already has it for this minute."""
    identity = client_order_id(algo_id, minute, "exit" if exit else side)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        known = "SELECT 1 FROM orders WHERE client_order_id = ?"
        if connection.execute(known, (identity,)).fetchone() is not None:
            return None
        connection.execute(
            "INSERT INTO orders"
            " (client_order_id, algorithm_id, minute, ticker, side, shares, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (identity, algo_id, clock.stamp(minute), ticker, side, shares, clock.stamp()),
        )
    return find(identity)


def mark_submitted(identity: str) -> None:
    """Note that the broker has the order."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE orders SET state = 'submitted' WHERE client_order_id = ? AND state = 'intended'",
            (identity,),
        )


def close_filled(identity: str, shares: int, price: float, filled_at: datetime) -> int | None:
    """Close an order with what was filled and record the transaction; returns its id.

    Closing an order twice changes nothing and returns None, so recovery may always try.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        row = connection.execute(
            "SELECT * FROM orders WHERE client_order_id = ?", (identity,)
        ).fetchone()
        if row is None:
            raise BadInput(f"The journal has no order {identity}.")
        if row["transaction_id"] is not None:
            return None
        transaction_id = system_db_manager.insert_transaction(
            connection, row["algorithm_id"], row["side"], shares, price, clock.stamp(filled_at)
        )
        connection.execute(
            "UPDATE orders SET state = ?, closed_at = ?, transaction_id = ?"
            " WHERE client_order_id = ?",
            (
                "filled" if shares == row["shares"] else "partly_filled",
                clock.stamp(),
                transaction_id,
                identity,
            ),
        )
    return transaction_id


def close_unfilled(identity: str, state: str, reason: str) -> None:
    """Close an order of which nothing was filled: refused, expired, cancelled or lost."""
    if state not in UNFILLED_STATES:
        raise BadInput(f"Expected one of {UNFILLED_STATES}, was {state!r}.")
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE orders SET state = ?, reason = ?, closed_at = ?"
            " WHERE client_order_id = ? AND state IN ('intended', 'submitted')",
            (state, reason, clock.stamp(), identity),
        )


def open_orders() -> list[JournalledOrder]:
    """Return the orders whose end is not recorded yet, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT * FROM orders WHERE state IN ('intended', 'submitted') ORDER BY id"
    )
    return [_order(row) for row in rows]


def find(identity: str) -> JournalledOrder | None:
    """Return one order of the journal."""
    row = (
        system_db_manager.ledger()
        .execute("SELECT * FROM orders WHERE client_order_id = ?", (identity,))
        .fetchone()
    )
    return None if row is None else _order(row)


def _order(row: Any) -> JournalledOrder:
    return JournalledOrder(**{name: row[name] for name in JournalledOrder.__dataclass_fields__})
