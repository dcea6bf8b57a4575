"""Decisions are kept by minute: older ledgers are brought there, and each card finds its own again."""

import pytest

from orchestra.base import clock
from system_databse import create_system_db, decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import set_clock


def decided(card: int, minute: str) -> JournalledDecision:
    return JournalledDecision(card, minute, None, "hold", 0, f"of {card}", "bar", 1.0)


def added(at: str) -> int:
    set_clock(at)
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 100)


def test_an_older_ledger_keeps_its_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(create_system_db, "MIGRATIONS", create_system_db.MIGRATIONS[:2])
        create_system_db.create_database()
        card = added("2024-06-04T14:00:00Z")
        system_db_manager.ledger().executemany(
            "INSERT INTO decisions VALUES (?, ?, NULL, 'hold', 0, '', 'bar', 1.0)",
            [(card, "2024-06-04T14:01:00Z"), (card, "2024-06-04T14:02:00Z")],
        )
    create_system_db.create_database()
    found, following = decision_journal.page(card, None, 10)
    assert [row["minute"] for row in found] == ["2024-06-04T14:02:00Z", "2024-06-04T14:01:00Z"]
    assert following is None


def test_each_card_finds_its_own_page_by_page_and_its_newest() -> None:
    old = added("2024-06-04T14:00:00Z")
    decision_journal.record([decided(old, f"2024-06-04T14:0{n}:00Z") for n in range(1, 5)])
    set_clock("2024-06-04T14:04:30Z")
    system_db_manager.stop_algorithm(old)
    young = added("2024-06-04T14:05:20Z")
    silent = added("2024-06-04T14:05:20Z")
    # In the very minute it was added too, and in the next one
    decision_journal.record([decided(young, f"2024-06-04T14:0{n}:00Z") for n in (5, 6)])
    first, cursor = decision_journal.page(old, None, 3)
    rest, end = decision_journal.page(old, cursor, 3)
    assert [row["minute"][14:16] for row in first + rest] == ["04", "03", "02", "01"]
    assert end is None
    assert [row["minute"][14:16] for row in decision_journal.page(young, None, 9)[0]] == [
        "06",
        "05",
    ]
    newest = decision_journal.last_decisions([old, young, silent])
    assert {card: row["reason"] for card, row in newest.items()} == {
        old: f"of {old}",
        young: f"of {young}",
    }


def test_a_minute_of_many_cards_is_written_close_together() -> None:
    """Twenty cards' decisions of one minute, after a day of them, change few bytes of the file."""
    cards = [added("2024-06-04T13:00:00Z") for _ in range(20)]
    start = clock.parse("2024-06-04T13:30:00Z")
    for n in range(390):
        minute = clock.stamp(start.replace(hour=13 + (30 + n) // 60, minute=(30 + n) % 60))
        decision_journal.record([decided(card, minute) for card in cards])
    ledger = system_db_manager.ledger()
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    decision_journal.record([decided(card, "2024-06-05T13:30:00Z") for card in cards])
    pages = ledger.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    assert pages * ledger.execute("PRAGMA page_size").fetchone()[0] < len(cards) * 2048
