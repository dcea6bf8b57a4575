"""A card's many transactions, newest first, handed out at a cost that does not grow with their number."""

from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import Any

Transaction = dict[str, Any]


class NewestFirst(Sequence[Transaction]):
    """What a list of the transactions up to now would say, over one that has them oldest first.

    What only a list of its own can do, such as being sorted, is done to a copy; ``wanted`` is told then.
    """

    def __init__(self, oldest_first: list[Transaction], wanted: Callable[[], None]) -> None:
        self._items, self._count, self._wanted = oldest_first, len(oldest_first), wanted

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._items[n] for n in self._places()[place]]
        try:
            return self._items[self._places()[index(place)]]
        except IndexError:
            raise IndexError("list index out of range") from None

    def __iter__(self) -> Iterator[Transaction]:
        return map(self._items.__getitem__, self._places())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | NewestFirst) and list(self) == list(other)

    def __add__(self, other: list[Transaction]) -> list[Transaction]:
        return list(self) + other

    def __radd__(self, other: list[Transaction]) -> list[Transaction]:
        return other + list(self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(list(self), name)
        self._wanted()
        return found

    def __setitem__(self, place: Any, value: Any) -> None:
        self._wanted()

    def __delitem__(self, place: Any) -> None:
        self._wanted()

    def _places(self) -> range:
        return range(self._count - 1, -1, -1)
