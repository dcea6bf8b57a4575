"""The short soak in CI, and the proof that the soak's own eyes see what they are there for."""

import sqlite3
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from orchestra.base import clock, settings, sqlite
from orchestra.simulator.account import Account
from orchestra.simulator.faults import KINDS, Faults
from orchestra.simulator.market import Split
from system_databse import (
    create_system_db,
    decision_journal,
    heartbeats,
    order_journal,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import set_clock
from tests.soak import books, form, memory, minutes
from tests.soak.form import MINUTE, Session
from tests.soak.report import report
from tests.soak.run import run
from tests.soak.storm import FACTS, VARIANTS, storm

NOON = datetime(2024, 6, 4, 16, 0, tzinfo=UTC)


def test_two_days_of_everything_going_wrong(tmp_path: Path) -> None:
    run(form.short(), tmp_path, threading.Event())
    told = report(tmp_path)
    assert told.failures == [], told.page
    assert "All of it held." in told.page and "to its end" in told.page


def test_every_fault_the_exchange_knows_has_its_place_in_the_storm() -> None:
    assert VARIANTS.keys() == KINDS.keys()
    rng, faults = Random(1), Faults()
    for name, variants in VARIANTS.items():
        assert variants or name in FACTS
        for variant in variants:
            faults.add({"name": name, **variant(rng)})  # raises on what the exchange would refuse


def test_thirty_days_have_it_all() -> None:
    long = form.full(30, 120, 1, 10)
    events, sessions = storm(long)
    assert (sessions[0].day, sessions[-1].day, len(sessions)) == (
        date(2024, 10, 31),
        date(2024, 11, 29),
        21,
    )
    opens = {session.open.hour for session in sessions}
    assert opens == {13, 14}  # the clocks change
    assert sessions[-1].minutes == 210  # a half day
    assert [s.minutes for s in sessions].count(330) == 1  # and a close that nobody had planned
    kills = [event.subject for event in events if event.kind == "kill"]
    assert {kills.count(target) for target in kills} == {10} and len(set(kills)) == 5
    assert {event.subject for event in events if event.kind == "fault"} == set(KINDS)
    assert events == storm(long)[0]  # a seed tells the whole story
    calm = long.calm_from()
    assert calm and all(e.at.date() < calm for e in events if e.kind not in ("fault", "disk"))


# --- the books ---


@pytest.fixture
def account() -> Account:
    set_clock("2024-06-04T16:00:00Z")
    create_system_db.create_database()
    return Account(settings.current().simulator_db, NOON)


def trade(account: Account, card: int, minute: datetime, side: str, shares: int) -> None:
    """One order of ten dollars a share that exchange, journal and ledger agree on."""
    order = order_journal.intend(card, "F", side, shares, minute)
    assert order is not None
    at_exchange = account.add_order(
        id=order.client_order_id,
        client_order_id=order.client_order_id,
        symbol="F",
        side=side,
        type="market",
        time_in_force="day",
        qty=str(shares),
        extended_hours=0,
        status="new",
        reserved="0",
        submitted_at="x",
        updated_at="x",
    )
    account.fill(at_exchange, Decimal(shares), Decimal(10), minute)
    order_journal.close_filled(order.client_order_id, shares, 10.0, minute)


def compare() -> books.Comparison:
    return books.compare(settings.current().simulator_db, settings.current().system_db_path)


def drift() -> dict[str, Decimal]:
    return books.drift(settings.current().simulator_db, settings.current().system_db_path)[0]


def change_ledger(sql: str) -> None:
    connection = sqlite3.connect(settings.current().system_db_path)
    with connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql)
    connection.close()


def test_books_that_agree_and_each_way_in_which_they_do_not(account: Account) -> None:
    card = system_db_manager.create_algorithm("F", "buy_and_hold", 10_000)
    trade(account, card, NOON, "buy", 7)
    trade(account, card, NOON + MINUTE, "sell", 3)
    found = compare()
    assert (found.filled_orders, found.journalled, found.transactions, found.fills) == (2, 2, 2, 2)
    assert (found.differences, drift()) == ([], {})
    change_ledger("UPDATE transactions SET price = 10.01 WHERE id = 1")
    assert "off in the ledger" in compare().differences[0]
    change_ledger("UPDATE transactions SET price = 10.0, shares = 8 WHERE id = 1")
    assert "7 shares filled, 8 in the ledger" in compare().differences[0]
    assert drift() == {"F": Decimal(1)}
    change_ledger("UPDATE transactions SET shares = 7 WHERE id = 1")
    change_ledger("INSERT INTO transactions VALUES (3, 1, 'buy', 1, 10.0, '2024-06-04T16:05:00Z')")
    assert compare().differences == ["transaction 3 belongs to no order"]
    change_ledger("DELETE FROM transactions WHERE id = 3")
    change_ledger("UPDATE orders SET transaction_id = NULL, state = 'lost' WHERE id = 2")
    assert len(compare().differences) == 2  # filled without one, and one without an order
    account.close()


def test_profit_from_fills_alone_through_a_split(account: Account) -> None:
    card = system_db_manager.create_algorithm("F", "buy_and_hold", 10_000)
    trade(account, card, NOON, "buy", 7)
    account.apply_split(Split("F", date(2024, 6, 5), Decimal(2)), NOON + timedelta(days=1))
    trade(account, card, NOON + timedelta(days=1, minutes=1), "sell", 4)
    marks = {"F": Decimal("5.5")}
    exchange_db = settings.current().simulator_db
    # 7 for 70 become 14; 4 bring 40; 10 are worth 55
    assert books.profits(exchange_db, marks) == {card: (Decimal("25.0"), 2)}
    assert books.account_profit(exchange_db, marks) == Decimal("25.0")
    account.close()


# --- the minutes ---


def test_each_minute_is_told_apart(tmp_path: Path) -> None:
    session = Session(date(2024, 6, 4), NOON, NOON + 6 * MINUTE)
    set_clock("2024-06-04T15:59:30Z")
    create_system_db.create_database()
    card = system_db_manager.create_algorithm("F", "buy_and_hold", 10_000)

    def put(minute: int, action: str, reason: str = "") -> None:
        stamp = clock.stamp(NOON + minute * MINUTE)
        row = JournalledDecision(card, stamp, None, action, 0, reason, "bar", 1.0)
        decision_journal.record([row])

    put(0, "hold")
    put(1, "skipped", "not asked: paused, because")
    put(2, "skipped", minutes.TOO_LONG)
    put(3, "skipped", minutes.TOO_LONG)
    heartbeats.record_event(
        "downtime", "1 from 2024-06-04T16:04:00Z to 2024-06-04T16:04:00Z passed."
    )
    kill = minutes.Window(NOON + 2 * MINUTE, NOON + 2 * MINUTE, "a kill")
    system_db = settings.current().system_db_path
    [day] = minutes.account(system_db, [session], NOON + timedelta(hours=1), [kill])
    assert (day.due, day.asked) == (6, 1)
    assert day.why_not == {
        "paused": 1,
        "the minute before took too long (a kill)": 1,
        "no orchestrator was running": 1,
        "NOT EXPLAINED": 2,
    }
    assert day.unexplained == [
        f"card {card} at 2024-06-04T16:03:00Z: {minutes.TOO_LONG}",
        f"card {card} at 2024-06-04T16:05:00Z: no record",
    ]
    sqlite.close_kept()


def test_growth_is_seen_in_what_lived_through_the_calm_days() -> None:
    def look(day: int, pss: int, descriptors: int, pid: int = 5) -> dict[str, object]:
        process = {"role": "exchange", "pid": pid, "pss_kb": pss, "descriptors": descriptors}
        return {"what": "sample", "day": f"2024-06-{day:02}", "processes": [process]}

    def day(number: int, pss: int, descriptors: int) -> list[dict[str, object]]:
        """Three looks: memory and descriptors have a moment's height in one of them."""
        heights = ((0, 2), (500, -4), (1, 0))
        return [look(number, pss + more, descriptors + some) for more, some in heights]

    rows = [row for n in (3, 4, 5, 6, 7) for row in day(n, 1000 + 10 * n, 9 + n // 6)]
    [life] = memory.lives(rows, "2024-06-04")
    assert (life.from_day, life.to_day) == ("2024-06-05", "2024-06-07")
    assert life.growth == pytest.approx(1071 / 1051 - 1)
    assert (life.descriptors_first, life.descriptors_last) == (9, 10)
    assert memory.lives([*rows, look(10, 1200, 9, pid=6)], "2024-06-04") == []
