"""Sums kept in memory against SQLite's own GROUP BY: any history, replaced files, open transactions."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as some

from orchestra.base import sqlite
from system_databse import card_calculations, labels, system_db_manager
from system_databse.running_sums import RunningSums
from tests.exchange_fixture import change

GROUPED = """
SELECT algorithm_id, SUM(CASE type WHEN 'buy' THEN shares ELSE -shares END),
       SUM(CASE type WHEN 'buy' THEN shares * price ELSE -shares * price END),
       SUM(id NOT IN (SELECT transaction_id FROM labels WHERE transaction_id IS NOT NULL)),
       SUM(shares * price)
FROM transactions GROUP BY algorithm_id
"""
ADD = (
    "INSERT INTO transactions (algorithm_id, type, shares, price, timestamp) VALUES (?, ?, ?, ?, ?)"
)
Trade = tuple[int, str, int, float]
CORRECTED = 13  # shares of a transaction that is a correction
CARDS = 4


def grouped() -> dict[int, tuple[int, float, int, float]]:
    path = system_db_manager.ledger().execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path)) as own:
        return {row[0]: row[1:] for row in own.execute(GROUPED)}


def add(trades: list[Trade]) -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        for card, side, shares, price in trades:
            if shares == CORRECTED:
                labels.correct(connection, card, side, shares, price, labels.ACCEPTED, "")
            else:
                connection.execute(ADD, (card, side, shares, price, "2024-06-04T14:30:00Z"))


def assert_right(sums: RunningSums) -> None:
    found, wanted = sums.all(system_db_manager.ledger()), grouped()
    assert found.keys() == wanted.keys()
    for card, (shares, invested, trades, turnover) in wanted.items():
        assert (found[card][0], found[card][2]) == (shares, trades)
        # SQLite adds floats one by one: as exact as its largest sum on the way
        assert found[card][1] == pytest.approx(invested, rel=0, abs=1e-6 + 1e-12 * turnover)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return new_ledger(tmp_path / "system.db")


def new_ledger(path: Path) -> Path:
    sqlite.close_kept()
    change(SYSTEM_DB=path)
    for number in range(CARDS):
        system_db_manager.create_algorithm("AAPL", f"card_{number}", 10_000)
    return path


trades = some.lists(
    some.tuples(
        some.integers(1, CARDS),
        some.sampled_from(("buy", "sell")),
        some.one_of(some.just(CORRECTED), some.integers(1, 10_000)),
        some.floats(0.0001, 1e6, allow_nan=False),
    ),
    max_size=12,
)


@rules(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=some.lists(trades, max_size=6))
def test_any_history_gives_what_a_group_by_gives(batches: list[list[Trade]], ledger: Path) -> None:
    sums = RunningSums()
    assert_right(sums)
    for batch in batches:
        add(batch)
        assert_right(sums)
    for card, (shares, _, trades, _) in grouped().items():
        assert card_calculations.calculate_position(card) == shares
        assert card_calculations.calculate_trade_count(card) == trades


def test_a_file_that_was_replaced_empties_the_memory(ledger: Path, tmp_path: Path) -> None:
    sums = RunningSums()
    add([(1, "buy", 10, 100.0), (2, "buy", 3, 7.0)])
    assert_right(sums)
    other = new_ledger(tmp_path / "other.db")
    add([(3, "buy", 1, 1.5)] * 5)
    assert_right(sums)
    sqlite.close_kept()  # the last connections to both: they leave nothing beside the files
    other.replace(ledger)
    change(SYSTEM_DB=ledger)
    system_db_manager.follow_replacement()
    assert_right(sums)


def test_a_ledger_that_was_put_back_within_its_file_empties_it_too(
    ledger: Path, tmp_path: Path
) -> None:
    sums = RunningSums()
    add([(1, "buy", 10, 100.0)])
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        system_db_manager.ledger().backup(backup)
    add([(2, "buy", 5, 10.0), (2, "sell", 5, 11.0)])
    assert_right(sums)
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        backup.backup(system_db_manager.ledger())
    assert_right(sums)
    add([(3, "buy", 5, 10.0), (3, "buy", 7, 11.0), (1, "sell", 10, 99.0)])  # under the same ids
    assert_right(sums)


def test_only_what_is_new_is_read(ledger: Path) -> None:
    sums, asked = RunningSums(), list[str]()
    add([(1, "buy", 10, 100.0)] * 1_000)
    sums.all(system_db_manager.ledger())
    add([(2, "buy", 1, 7.0)])
    system_db_manager.ledger().set_trace_callback(asked.append)
    assert sums.all(system_db_manager.ledger())[2] == (1, 7.0, 1)
    system_db_manager.ledger().set_trace_callback(None)
    assert not [sql for sql in asked if "GROUP BY" in sql]
    assert [sql for sql in asked if "id >= 1000" in sql]


def test_what_is_taken_back_was_never_there(ledger: Path) -> None:
    sums = RunningSums()
    add([(1, "buy", 10, 100.0)])
    assert_right(sums)
    connection = system_db_manager.writable_ledger()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(ADD, (1, "sell", 10, 99.0, "2024-06-04T14:30:00Z"))
    assert sums.all(connection)[1][0] == 0  # it sees its own
    connection.rollback()
    assert_right(sums)
    assert sums.all(connection)[1][0] == 10


def test_threads_share_one_memory(ledger: Path) -> None:
    sums, failures = RunningSums(), []

    def look() -> None:
        try:
            for _ in range(50):
                for shares, _, number in sums.all(system_db_manager.ledger()).values():
                    assert shares == number  # each trade buys one share
        except AssertionError as error:
            failures.append(error)
        finally:
            sqlite.close_kept()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        add([(1, "buy", 1, 10.0), (2, "buy", 1, 10.0)])
    for thread in threads:
        thread.join()
    assert failures == []
    assert_right(sums)


def test_an_empty_ledger_has_no_sums(ledger: Path) -> None:
    assert RunningSums().all(system_db_manager.ledger()) == {}
