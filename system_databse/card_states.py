"""What a card is besides running or stopped: paused, frozen, or stopping (its shares are being sold)."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orchestra.base import clock, sqlite
from system_databse import labels, system_db_manager


@dataclass(frozen=True)
class CardState:
    """A card's state and the sentence that says why.

    ``until`` is when it ends by itself, ``file`` the algorithm file whose change ends it, if they do.
    """

    state: str
    reason: str
    since: str
    until: str | None = None
    file: str | None = None


def all_states() -> dict[int, CardState]:
    """Return the state of every card that has one."""
    rows = system_db_manager.ledger().execute("SELECT * FROM card_state")
    return {
        row["algorithm_id"]: CardState(
            row["state"], row["reason"], row["since"], row["until"], row["file"]
        )
        for row in rows
    }


def set_state(
    algo_id: int,
    state: str,
    reason: str,
    *,
    until: datetime | None = None,
    file: str | None = None,
    calls_off_sale: bool = False,
) -> None:
    """Give a card the state paused or frozen; one whose shares are being sold keeps that state.

    It may have been stopped after the caller looked: its sale must not be forgotten. Only with
    ``calls_off_sale`` it is: then the reason says so.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        if calls_off_sale:
            connection.execute(
                "DELETE FROM card_state WHERE algorithm_id = ? AND state = 'stopping'", (algo_id,)
            )
        _set(connection, algo_id, state, reason, clock.stamp(until) if until else None, file)


def clear_expired() -> None:
    """Take away the states whose time is over."""
    now = clock.stamp()
    if any(state.until is not None and state.until <= now for state in all_states().values()):
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            connection.execute("DELETE FROM card_state WHERE until <= ?", (now,))


def resume(algo_id: int) -> bool:
    """Let a paused card go on; True if it was paused.

    That a person took a brake's pause away is noted: it leaves the card alone for the day.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        paused = connection.execute(
            "SELECT file FROM card_state WHERE algorithm_id = ? AND state = 'paused'", (algo_id,)
        ).fetchone()
        if paused is None:
            return False
        connection.execute("DELETE FROM card_state WHERE algorithm_id = ?", (algo_id,))
        if paused["file"] is None:  # else its algorithm had failed, or was gone
            labels.add(connection, algo_id, labels.RESUMED, "resumed by hand")
        return True


def clear_state(algo_id: int, state: str | None = None) -> None:
    """Take a card's state away, or only this one: it is just running or stopped again."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "DELETE FROM card_state WHERE algorithm_id = ? AND state = COALESCE(?, state)",
            (algo_id, state),
        )


def stop_and_sell(algo_id: int) -> bool:
    """Stop a card and ask for its shares to be sold; True if it was still running."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        return _stop_and_sell(connection, algo_id)


def stop_all(cards: Iterable[int], *, sell: bool) -> list[int]:
    """Stop these cards, all or none, and with ``sell`` ask for their shares to be sold.

    Returns those for which there was something to do.
    """
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        if not sell:
            return [card for card in cards if system_db_manager.mark_stopped(connection, card)]
        states = all_states()
        due = [card for card in cards if card not in states or states[card].state != "stopping"]
        for algo_id in due:
            _stop_and_sell(connection, algo_id)
        return due


def explain_stopping(algo_id: int, reason: str) -> None:
    """Say on a card whose shares are to be sold why they are not sold yet."""
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE card_state SET reason = ? WHERE algorithm_id = ? AND state = 'stopping'",
            (reason, algo_id),
        )


def _stop_and_sell(connection: sqlite3.Connection, algo_id: int) -> bool:
    was_running = system_db_manager.mark_stopped(connection, algo_id)
    _set(connection, algo_id, "stopping", "Its shares are sold: at once, or when the market opens.")
    return was_running


def _set(
    connection: sqlite3.Connection,
    algo_id: int,
    state: str,
    reason: str,
    until: str | None = None,
    file: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO card_state (algorithm_id, state, reason, since, until, file)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(algorithm_id) DO UPDATE SET state = excluded.state,"
        " reason = excluded.reason, since = excluded.since, until = excluded.until,"
        " file = excluded.file WHERE card_state.state <> 'stopping'",
        (algo_id, state, reason, clock.stamp(), until, file),
    )
