"""Each algorithm of the shelf decides by hand-made bars; the expected answers are literal."""

import pytest

from algorithms import breakout_channel, buy_and_hold, lot_by_lot, rsi_reversion, sma_crossover
from tests.algorithms.conftest import NOW, card, insert

ROADMAP = (("buy", 100, 150.50), ("buy", 50, 145.25), ("sell", 25, 155.75))


def test_sma_crossover_follows_its_parameters() -> None:
    insert([10.0, 10.0, 10.0, 10.0, 13.0])
    asked = sma_crossover.Algorithm("AAPL", 10_000)
    asked.short, asked.long = 2, 4
    assert asked.run(NOW, card()) == ("buy", 769, "crossed above")  # 10000 // 13
    asked.long = 2
    assert asked.run(NOW, card()) == (
        "hold",
        0,
        "the short average is not shorter than the long one",
    )


def test_sma_crossover_sees_an_exact_tie() -> None:
    # Until the last bar both averages are 100.58; as floats the short one is 1.4e-14 above already
    insert([100.31, 100.85, 100.37, 100.79, 100.90])
    asked = sma_crossover.Algorithm("AAPL", 10_000)
    asked.short, asked.long = 2, 4
    assert asked.run(NOW, card()) == ("buy", 99, "crossed above")


@pytest.mark.parametrize(
    ("closes", "held", "expected"),
    [
        ([100.0, 99.0, 98.0, 98.5], 0, ("buy", 101, "RSI 20.0")),  # 0.5 up of 2.5; 10000 // 98.5
        ([100.0, 99.0, 98.0, 98.5], 5, ("hold", 0, "RSI 20.0")),
        ([100.0, 101.0, 102.0, 101.5], 5, ("sell", 5, "RSI 80.0")),
        ([100.0, 101.0, 102.0, 101.5], 0, ("hold", 0, "RSI 80.0")),
        ([100.0, 100.3, 99.6, 99.6], 0, ("hold", 0, "RSI 30.0")),  # 30 is not below 30
        ([100.0] * 4, 0, ("hold", 0, "the price stands still")),
        ([100.0] * 3, 0, ("hold", 0, "3 of 4 bars")),
    ],
)
def test_rsi_reversion(closes: list[float], held: int, expected: tuple[str, int, str]) -> None:
    insert(closes)
    asked = rsi_reversion.Algorithm("AAPL", 10_000)
    asked.period = 3
    assert asked.run(NOW, card(*[("buy", held, 1.0)] if held else [])) == expected


@pytest.mark.parametrize(
    ("closes", "held", "expected"),
    [
        ([50.0, 51.0, 50.0, 51.51], 0, ("buy", 194, "51.51 rose above 51.50")),
        ([50.0, 51.0, 50.0, 51.5], 0, ("hold", 0, "51.50, waits for 51.50")),
        ([50.0, 51.0, 50.0, 51.51], 5, ("hold", 0, "51.51 above 49.50")),
        ([50.0, 40.0, 51.0, 50.0, 49.49], 5, ("sell", 5, "49.49 fell below 49.50")),
        ([50.0, 51.0, 50.0, 49.5], 5, ("hold", 0, "49.50 above 49.50")),
        ([50.0, 51.0, 50.0], 0, ("hold", 0, "3 of 4 bars")),
    ],
)
def test_breakout_channel(closes: list[float], held: int, expected: tuple[str, int, str]) -> None:
    insert(closes, spread=0.5)
    asked = breakout_channel.Algorithm("AAPL", 10_000)
    asked.entry, asked.exit = 3, 2
    assert asked.run(NOW, card(*[("buy", held, 1.0)] if held else [])) == expected


def test_buy_and_hold_buys_once() -> None:
    insert([0.1])
    asked = buy_and_hold.Algorithm("AAPL", 10_000)
    assert asked.run(NOW, card()) == ("buy", 100_000, "the one purchase, at 0.10")
    assert asked.run(NOW, card(("buy", 1, 0.1))) == ("hold", 0, "bought, and keeps")
    asked.invest = 33
    assert asked.run(NOW, card())[1] == 33_000


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        (160.00, ("sell", 125, "gained: the 150.50 lot and the 145.25 lot")),
        (159.99, ("sell", 125, "gained: the 150.50 lot and the 145.25 lot")),
        (159.97, ("sell", 25, "gained: the 145.25 lot")),  # 150.50 and 6.3 % are 159.9815
        (154.41, ("sell", 25, "gained: the 145.25 lot")),  # 145.25 and 6.3 % are 154.40075
        (154.40, ("hold", 0, "2 open lots")),
        (143.80, ("hold", 0, "2 open lots")),  # 1 % under 145.25 is 143.7975
        (143.79, ("buy", 10, "next lot")),  # for the 1,581.25 that are left
        (137.99, ("buy", 11, "next lot")),
    ],
)
def test_lot_by_lot_on_the_roadmaps_history(close: float, expected: tuple[str, int, str]) -> None:
    """100 at 150.50 and 50 at 145.25, of which 25 are sold: two lots, each with its own exit."""
    insert([close])
    asked = lot_by_lot.Algorithm("AAPL", 20_000)
    asked.lots, asked.gain = 10, 6.3
    assert asked.run(NOW, card(*ROADMAP)) == expected


def test_lot_by_lot_once_the_cheap_lot_is_gone() -> None:
    insert([159.99])
    asked = lot_by_lot.Algorithm("AAPL", 20_000)
    asked.gain = 6.3
    history = (*ROADMAP, ("sell", 25, 155.00))
    assert asked.run(NOW, card(*history)) == ("sell", 100, "gained: the 150.50 lot")
    assert asked.run(NOW, card(*history, ("sell", 100, 160.00)))[:2] == ("buy", 25)  # flat again


def test_lot_by_lot_buys_no_more_than_its_lots_and_its_cash() -> None:
    insert([50.0])
    asked = lot_by_lot.Algorithm("AAPL", 10_000)
    asked.lots = 2
    assert asked.run(NOW, card()) == ("buy", 100, "next lot")
    assert asked.run(NOW, card(("buy", 50, 60.0), ("buy", 10, 55.0))) == ("hold", 0, "2 open lots")
    assert asked.run(NOW, card(("buy", 1, 9_960.0))) == ("hold", 0, "no cash")
