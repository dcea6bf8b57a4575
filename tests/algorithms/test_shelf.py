"""What holds for every algorithm of the shelf."""

import importlib
from typing import Any

import pytest

from orchestra import catalog, decision, parameters
from orchestra.base.settings import ROOT
from tests.algorithms.conftest import NOW, card, insert

SHELF = ("breakout_channel", "buy_and_hold", "lot_by_lot", "rsi_reversion", "sma_crossover")
CLOSES = [100 + (n * 7 % 13) / 4 for n in range(60)]


def algorithm(name: str) -> Any:
    return importlib.import_module(f"algorithms.{name}").Algorithm


def test_the_catalog_lists_the_shelf_with_titles_and_sentences() -> None:
    found = catalog.catalog()
    assert tuple(entry.name for entry in found) == SHELF
    for entry in found:
        assert entry.error is None
        assert entry.title[0].isupper() and entry.description.endswith(".")
        assert len(entry.title) <= 24 and len(entry.description) <= 90


@pytest.mark.parametrize("name", SHELF)
def test_a_file_is_short_and_has_the_owners_constructor(name: str) -> None:
    assert len((ROOT / "algorithms" / f"{name}.py").read_text().splitlines()) < 60
    declared = parameters.declared(algorithm(name).parameters)
    defaults = {each.name: each.default for each in declared.values()}
    assert vars(algorithm(name)("AAPL", 10_000)) == {
        "ticker": "AAPL",
        "initial_capital": 10_000,
        **defaults,
    }
    for each in declared.values():
        assert type(getattr(algorithm(name)("AAPL", 1), each.name)) is type(each.default)


@pytest.mark.parametrize("name", SHELF)
@pytest.mark.parametrize("bound", ["minimum", "maximum"])
@pytest.mark.parametrize("held", [0, 7])
def test_it_answers_at_the_bounds_of_its_parameters(name: str, bound: str, held: int) -> None:
    insert(CLOSES)
    asked = algorithm(name)("AAPL", 10_000)
    for each in parameters.declared(asked.parameters).values():
        setattr(asked, each.name, getattr(each, bound))
    trades = [("buy", held, 100.0)] if held else []
    assert decision.parse(asked.run(NOW, card(*trades))).reason


@pytest.mark.parametrize("name", SHELF)
def test_without_bars_it_holds_and_says_so(name: str) -> None:
    action, shares, reason = algorithm(name)("AAPL", 10_000).run(NOW, card())
    assert (action, shares) == ("hold", 0)
    assert reason == "no price yet" or reason.startswith("0 of ")


@pytest.mark.parametrize("name", SHELF)
def test_it_never_spends_more_than_its_card_has(name: str) -> None:
    insert([60.0] * 200 + [61.0])
    asked = algorithm(name)("AAPL", 100.0)
    poor = card(("buy", 1, 9_999.99), ("sell", 1, 9_959.99))  # 40 dollars lost of the card's 100
    assert asked.run(NOW, poor)[0] == "hold"
