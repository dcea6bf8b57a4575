"""Many transactions of a backtest: what an algorithm sees is what a list would say."""

from collections.abc import Callable
from operator import add, eq
from typing import Any

import pytest

from system_databse.newest_first import NewestFirst
from system_databse.past_ledger import MOST_LISTED, PastLedger

LOOKS: list[Callable[[Any], object]] = [
    len,
    list,
    bool,
    sorted,
    lambda found: [*found],
    lambda found: found[0],
    lambda found: found[-1],
    lambda found: found[:2],
    lambda found: found[::-2],
    lambda found: found[-2:],
    lambda found: add(found, [9]),
    lambda found: add([9], found),
    lambda found: list(reversed(found)),
    lambda found: (3 in found, 8 in found, found.index(2), found.count(1)),
    lambda found: eq([4, 3, 2, 1], found),
    lambda found: found == [4, 3, 2, 1] and found != [1, 2, 3, 4],
]


@pytest.mark.parametrize("look", LOOKS)
def test_it_looks_like_the_list(look: Callable[[Any], object]) -> None:
    asked: list[None] = []
    items: Any = [1, 2, 3, 4]
    found = NewestFirst(items, lambda: asked.append(None))
    items.append(5)  # later than it was handed out
    assert look(found) == look([4, 3, 2, 1])
    assert asked == []


def test_there_is_nothing_beyond_its_ends() -> None:
    items: Any = [1, 2]
    for found in (NewestFirst(items, list), NewestFirst([], list)):
        for place in (len(found), -len(found) - 1):
            with pytest.raises(IndexError):
                found[place]


def filled(count: int) -> PastLedger:
    ledger = PastLedger("AAPL", "guest", 1_000.0)
    for n in range(count):
        ledger.add("sell" if n % 2 else "buy", 1, 10 + n % 7, f"stamp {n:05}")
    return ledger


@pytest.mark.parametrize("count", [0, 1, MOST_LISTED, MOST_LISTED + 1, MOST_LISTED + 40])
def test_few_or_many_are_the_same(count: int) -> None:
    ledger = filled(count)
    told = [each["timestamp"] for each in ledger.transactions(1)]
    assert told == [f"stamp {n:05}" for n in reversed(range(count))]
    assert ledger.sums(1)[2] == len(ledger.transactions(1)) == count
    assert ledger.unchanged()


@pytest.mark.parametrize(
    "write",
    [
        lambda found: found.reverse(),
        lambda found: found.sort(key=lambda each: each["price"]),
        lambda found: found.append({}),
        lambda found: found.__delitem__(0),
        lambda found: found.__setitem__(0, {}),
        lambda found: found[0].update(price=1.0),
        lambda found: found[-1].update(note="seen"),
    ],
)
@pytest.mark.parametrize("count", [3, MOST_LISTED + 3])
def test_what_is_written_into_them_is_noticed(count: int, write: Callable[[Any], object]) -> None:
    ledger = filled(count)
    write(ledger.transactions(1))
    assert not ledger.unchanged()
