"""What the crash matrix found, as the table at the end of a test run."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

PROPERTY = "crash matrix"
HEADINGS = (
    "crash point or fault",
    "outcome",
    "sides",
    "runs",
    "broker orders",
    "transactions",
    "second orders",
    "lost shares",
)


@dataclass(frozen=True)
class Found:
    """One order's end: what the broker and the ledger have, and what they should not have."""

    point: str
    outcome: str
    side: str
    broker_orders: int
    transactions: int
    second_orders: int
    lost_shares: int


def table(found: Iterable[Found]) -> list[str]:
    """Return the table's lines: one for each point and outcome, and the sums."""
    rows: dict[tuple[str, str], list[Found]] = {}
    for each in found:
        rows.setdefault((each.point, each.outcome), []).append(each)
    lines = [HEADINGS, *(_row(point, outcome, ends) for (point, outcome), ends in rows.items())]
    lines.append(_row("all", "", [each for ends in rows.values() for each in ends]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _row(point: str, outcome: str, ends: list[Found]) -> tuple[str, ...]:
    sides = " ".join(side for side in ("buy", "sell", "exit") if side in {e.side for e in ends})
    sums = [sum(column) for column in zip(*(astuple(end)[3:] for end in ends), strict=True)]
    return (point, outcome, sides, str(len(ends)), *map(str, sums))
