"""The order journal: an order is written down before it is sent, and closed with its transaction.

    intended -> submitted -> filled | partly_filled | refused | expired | cancelled | lost

Closing writes the journal row and the ``transactions`` row in one SQLite transaction, with the shares
that were really filled: no crash can leave one without the other.
"""

import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput, NotFound, OrderRefused
from system_databse import card_calculations, heartbeats, labels, system_db_manager

ID_FORM = re.compile(r"(?P<card>\d{1,12})-(?P<minute>\d{8}T\d{4}Z)-(buy|sell|exit)")
NOISE = 1e-6  # dollars; sums of cents in floats are off by less
UNFILLED_STATES = ("refused", "expired", "cancelled", "lost")
EXIT = "-exit"  # the end of the client_order_id of a stop's sale


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

    @property
    def is_open(self) -> bool:
        """Whether its end is not recorded yet."""
        return self.state in ("intended", "submitted")

    @property
    def is_exit(self) -> bool:
        """Whether it sells what a stopped card holds."""
        return self.client_order_id.endswith(EXIT)


def client_order_id(algo_id: int, minute: datetime, kind: str) -> str:
    """Derive the id of a card's one order of a minute; ``kind`` is buy, sell or exit."""
    return f"{own_prefix()}{algo_id}-{minute:%Y%m%dT%H%MZ}-{kind}"


def own_prefix() -> str:
    """Return what the client_order_id of every order of this ledger begins with."""
    return f"apac-{system_db_manager.get_config('ledger')}-"


def read_client_order_id(identity: str) -> tuple[int, datetime] | None:
    """Return card and minute of one of this ledger's ids; None for any other id."""
    found = ID_FORM.fullmatch(identity.removeprefix(own_prefix()))
    if found is None:
        return None
    minute = datetime.strptime(found["minute"], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    return int(found["card"]), minute


def intend(
    algo_id: int,
    ticker: str,
    side: str,
    shares: int,
    minute: datetime,
    *,
    exit: bool = False,
    price: float | None = None,
) -> JournalledOrder | None:
    """Write down that an order will be sent; None when this card already has it for this minute.

    What was decided a moment ago is held against the card as it is now: raises OrderRefused when it
    was stopped meanwhile, holds fewer shares, or has less cash than the shares cost at ``price``.
    """
    identity = client_order_id(algo_id, minute, "exit" if exit else side)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        known = "SELECT 1 FROM orders WHERE client_order_id = ?"
        if connection.execute(known, (identity,)).fetchone() is not None:
            return None
        _hold_against_card(connection, algo_id, side, shares, exit, price)
        connection.execute(
            "INSERT INTO orders"
            " (client_order_id, algorithm_id, minute, ticker, side, shares, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (identity, algo_id, clock.stamp(minute), ticker, side, shares, clock.stamp()),
        )
    return find(identity)


def _hold_against_card(
    connection: sqlite3.Connection,
    algo_id: int,
    side: str,
    shares: int,
    exit: bool,
    price: float | None,
) -> None:
    card = connection.execute(
        "SELECT status, initial_capital FROM algorithm_instances WHERE id = ?", (algo_id,)
    ).fetchone()
    if card is None:
        raise NotFound(f"There is no card with id {algo_id!r}.")
    if card["status"] != "running" and not exit:
        raise OrderRefused("the card was stopped meanwhile")
    sums = card_calculations.card_sums(algo_id)
    if side == "sell" and shares > sums.shares:
        raise OrderRefused(f"the card holds {sums.shares} shares by now, not {shares}")
    cash = card["initial_capital"] - sums.invested
    if side == "buy" and price is not None and shares * price > cash + NOISE:
        raise OrderRefused(f"the card's cash is {cash:.2f} by now, {shares * price:.2f} are needed")


def adopt(
    identity: str, algo_id: int, ticker: str, side: str, shares: int, minute: datetime
) -> None:
    """Enter an order that the broker has and the journal lacks; it is settled like any open one."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "INSERT INTO orders (client_order_id, algorithm_id, minute, ticker, side, shares, state,"
            " reason, created_at) VALUES (?, ?, ?, ?, ?, ?, 'submitted', 'found at the broker', ?)"
            " ON CONFLICT DO NOTHING",
            (identity, algo_id, clock.stamp(minute), ticker, side, shares, clock.stamp(minute)),
        )


def reopen(identity: str) -> None:
    """Open an order again that was closed as unfilled, for the broker says otherwise.

    Its decision, which says how it was closed, awaits its outcome once more.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE decisions SET awaits = 1 WHERE (algorithm_id, minute) IN"
            " (SELECT algorithm_id, minute FROM orders"
            " WHERE client_order_id = ? AND transaction_id IS NULL AND client_order_id NOT LIKE ?)",
            (identity, f"%{EXIT}"),
        )
        connection.execute(
            "UPDATE orders SET state = 'submitted', closed_at = NULL"
            " WHERE client_order_id = ? AND transaction_id IS NULL",
            (identity,),
        )


def newest_time() -> str | None:
    """Return the stamp at which the journal's newest order was written down."""
    row = system_db_manager.ledger().execute("SELECT MAX(created_at) FROM orders").fetchone()
    return None if row[0] is None else str(row[0])


def orders_since(stamp: str) -> list[tuple[int, str]]:
    """Return (card, created_at) of each order written down at or after a stamp."""
    rows = system_db_manager.ledger().execute(
        "SELECT algorithm_id, created_at FROM orders WHERE created_at >= ?", (stamp,)
    )
    return [(row["algorithm_id"], row["created_at"]) for row in rows]


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


def add_late_fill(identity: str, shares: int, price: float) -> None:
    """Record what was filled of a partly filled order after the broker had said that it was over.

    ``shares`` and ``price`` are the order's figures by now, all of it. What was recorded stays as it is, the
    rest is a labelled transaction that brings shares and dollars to them; entered once however often told.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        order = connection.execute(
            "SELECT * FROM orders WHERE client_order_id = ?", (identity,)
        ).fetchone()
        algo_id, note = order["algorithm_id"], f"{identity} had ended"
        recorded = connection.execute(
            "SELECT SUM(shares) AS shares, SUM(shares * price) AS dollars FROM transactions WHERE id = ?"
            " OR id IN (SELECT transaction_id FROM labels WHERE algorithm_id = ? AND kind = ? AND note = ?)",
            (order["transaction_id"], algo_id, labels.LATE_FILL, note),
        ).fetchone()
        late = shares - recorded["shares"]
        if late <= 0:
            return
        rest = (shares * price - recorded["dollars"]) / late
        at = rest if rest > 0 else price  # what was filled before was corrected as well
        labels.correct(connection, algo_id, order["side"], late, at, labels.LATE_FILL, note)
        what = f"{late} {order['ticker']} more were filled of order {identity} after it had ended."
        heartbeats.insert_event(connection, "late-fill", what, algo_id)


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


def cards_with_open_orders() -> set[int]:
    """Return the cards with an order whose end is not recorded yet."""
    return {order.algorithm_id for order in open_orders()}


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


def fill_of(identity: str) -> tuple[int, float] | None:
    """Return the shares and the price of an order's transaction; None where nothing was filled."""
    row = (
        system_db_manager.ledger()
        .execute(
            "SELECT t.shares, t.price FROM orders o JOIN transactions t ON t.id = o.transaction_id"
            " WHERE o.client_order_id = ?",
            (identity,),
        )
        .fetchone()
    )
    return None if row is None else (row["shares"], row["price"])


def _order(row: Any) -> JournalledOrder:
    return JournalledOrder(**{name: row[name] for name in JournalledOrder.__dataclass_fields__})
