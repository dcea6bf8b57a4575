"""The exchange's account costs the same after years of orders, and knows its past."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestra.simulator.account import Account
from orchestra.simulator.account_rows import moment
from orchestra.simulator.market import Split

NOON = datetime(2024, 6, 4, 16, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = ("pending_new", "accepted", "new", "partially_filled")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    opened = Account(tmp_path / "exchange.db", NOON)
    yield opened
    opened.close()


def trade(account: Account, number: int, shares: int, at: datetime) -> None:
    """One order for shares at ten dollars, filled at once; below zero they are sold."""
    order = account.add_order(
        id=str(number),
        client_order_id=str(number),
        symbol="F",
        side="buy" if shares > 0 else "sell",
        type="market",
        time_in_force="day",
        qty=str(abs(shares)),
        extended_hours=0,
        status="new",
        reserved="0",
        submitted_at=moment(at),
        updated_at=moment(at),
    )
    account.fill(order, Decimal(abs(shares)), Decimal(10), at)


def steps(account: Account, call: Callable[[], object]) -> int:
    """How many instructions of SQLite's machine a call takes."""
    count = [0]
    account._db.set_progress_handler(lambda: count.__setitem__(0, count[0] + 1), 1)
    call()
    account._db.set_progress_handler(None, 0)
    return count[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda account: account.open_orders(),
        lambda account: account.reserved(),
        lambda account: account.orders(None, moment(NOON - HOUR), "9", newest_first=False, limit=5),
        lambda account: account.orders(OPEN, moment(NOON - HOUR), "9", newest_first=True),
        lambda account: account.at(NOON + HOUR),
    ],
    ids=["open orders", "reserved", "newest orders", "newest open orders", "the past"],
)
def test_a_call_costs_no_more_after_a_thousand_orders(
    account: Account, call: Callable[[Account], object]
) -> None:
    def past(first: int, count: int) -> None:
        for number in range(first, first + count):
            trade(account, number, 1 - 2 * (number % 2), NOON - timedelta(days=1))
        call(account)

    past(0, 10)
    trade(account, 10_000, 1, NOON)
    few = steps(account, lambda: call(account))
    past(10, 1000)
    assert steps(account, lambda: call(account)) <= 1.5 * few + 20


def test_the_past_is_the_same_in_whatever_order_it_is_asked_for(account: Account) -> None:
    trade(account, 1, 6, NOON)
    account.apply_split(Split("F", date(2024, 6, 4), Decimal(2)), NOON + HOUR)
    trade(account, 2, -4, NOON + 2 * HOUR)
    expected = {
        NOON - HOUR: (Decimal(100_000), {}),
        NOON: (Decimal(99_940), {"F": Decimal(6)}),
        NOON + HOUR: (Decimal(99_940), {"F": Decimal(12)}),
        NOON + 3 * HOUR: (Decimal(99_980), {"F": Decimal(8)}),
    }
    for moments in (list(expected), list(expected)[::-1], list(expected) * 2):
        assert [account.at(each) for each in moments] == [expected[each] for each in moments]
    trade(account, 3, -8, NOON + 4 * HOUR)
    assert account.at(NOON + 4 * HOUR) == (Decimal(100_060), {})


def test_a_second_fill_of_the_same_moment_is_not_forgotten(account: Account) -> None:
    trade(account, 1, 6, NOON)
    assert account.at(NOON) == (Decimal(99_940), {"F": Decimal(6)})
    trade(account, 2, 1, NOON)
    for when in (NOON, NOON + HOUR):
        assert account.at(when) == (Decimal(99_930), {"F": Decimal(7)})
