"""The engine over random bars, against twenty lines that know nothing of it."""

from fractions import Fraction
from itertools import accumulate
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from database.bars import Row
from tests.backtest.conftest import DAY, in_memory, minutes, played, row, shelf

CAPITAL = 1_000


def reference(
    rows: list[Row], short: int, long: int, fill: str
) -> list[tuple[str, str, int, float]]:
    """(bar, side, shares, price) of each trade, cross by cross."""
    closes = [Fraction(str(row[4])) for row in rows]
    cash, held, trades = Fraction(CAPITAL), 0, []
    for t in range(long, len(rows)):

        def spread(at: int) -> Fraction:
            return sum(closes[at - short + 1 : at + 1]) / short - sum(
                closes[at - long + 1 : at + 1]
            ) / Fraction(long)

        price = closes[t]
        if fill == "open" and t + 1 < len(rows) and follows(rows[t][0], rows[t + 1][0]):
            price = Fraction(str(rows[t + 1][1]))
        if spread(t - 1) <= 0 < spread(t) and held == 0 and cash >= closes[t]:
            held = int(cash / closes[t])
            cash -= held * price
            trades.append((rows[t][0], "buy", held, float(price)))
        elif spread(t - 1) >= 0 > spread(t) and held:
            cash += held * price
            trades.append((rows[t][0], "sell", held, float(price)))
            held = 0
    return trades


def follows(stamp: str, later: str) -> bool:
    return (
        int(later[11:13]) * 60 + int(later[14:16]) == int(stamp[11:13]) * 60 + int(stamp[14:16]) + 1
    )


def walk(chance: Random, stamps: list[str]) -> list[Row]:
    closes = accumulate((chance.randint(-20, 20) for _ in stamps), initial=10_000)
    return [
        row(stamp, max(1, cents) / 100, max(1, cents + chance.randint(-5, 5)) / 100)
        for stamp, cents in zip(stamps, closes, strict=False)
    ]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    missing=st.sets(st.integers(0, 389), max_size=200),
    short=st.integers(2, 5),
    more=st.integers(1, 10),
    fill=st.sampled_from(["close", "open"]),
)
def test_it_trades_as_the_reference_does(
    seed: int, missing: set[int], short: int, more: int, fill: str
) -> None:
    stamps = [stamp for n, stamp in enumerate(minutes(DAY, 390)) if n not in missing]
    rows = walk(Random(seed), stamps)
    found = in_memory(rows, DAY)
    run, _ = played(shelf("sma_crossover"), found, fill, CAPITAL, short=short, long=short + more)
    trades = [(t.bar, t.type, t.shares, t.price) for t in run.trades]
    assert trades == reference(rows, short, short + more, fill)
    assert run.asked == 390
