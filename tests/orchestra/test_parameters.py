"""Declared parameters: what an author may write, and what a card may choose."""

from typing import Any

import pytest

from orchestra import parameters
from orchestra.base.errors import BadInput
from orchestra.parameters import Parameter

SMA: dict[str, Any] = {
    "short": {"default": 20, "min": 2, "max": 200, "title": "Short average, minutes"},
    "take_profit": {"default": 2.0, "min": 0, "max": 50},
}


def test_a_declaration_is_read() -> None:
    assert parameters.declared(SMA) == {
        "short": Parameter("short", "Short average, minutes", 20, 2, 200),
        "take_profit": Parameter("take_profit", "take profit", 2.0, 0.0, 50.0),
    }
    assert [each.whole for each in parameters.declared(SMA).values()] == [True, False]
    assert parameters.declared(None) == {} == parameters.declared({})


@pytest.mark.parametrize(
    ("literal", "sentence"),
    [
        ([1], "Expected parameters as a dict of names, found [1]."),
        ({"x y": {}}, "A parameter needs a Python name, found 'x y'."),
        ({"class": {}}, "A parameter needs a Python name, found 'class'."),
        ({5: {}}, "A parameter needs a Python name, found 5."),
        ({"run": {}}, "A parameter cannot be named run: that name has another meaning."),
        ({"_x": {}}, "A parameter cannot be named _x: that name has another meaning."),
        ({"n": 5}, "Parameter n: expected a dict of default, min, max and title."),
        (
            {"n": {"default": 5, "min": 1}},
            "Parameter n: max is missing; it takes the numbers default, min, max.",
        ),
        (
            {"n": {"default": 5, "min": 1, "max": 9, "step": 1}},
            "Parameter n: 'step' means nothing; it takes default, min, max and title.",
        ),
        (
            {"n": {"default": "5", "min": 1, "max": 9}},
            "Parameter n: expected default as a number, found '5'.",
        ),
        (
            {"n": {"default": True, "min": 0, "max": 1}},
            "Parameter n: expected default as a number, found True.",
        ),
        (
            {"n": {"default": 5, "min": 1.5, "max": 9}},
            "Parameter n: its default 5 is a whole number, so min and max must be too;"
            " write 5.0 for any number.",
        ),
        (
            {"n": {"default": 5, "min": 6, "max": 9}},
            "Parameter n: its default 5 does not lie between min 6 and max 9.",
        ),
        (
            {"n": {"default": 5.0, "min": 0.0, "max": 1e999}},
            "Parameter n: max is too large or no number: inf.",
        ),
        (
            {"n": {"default": 5, "min": 0, "max": 10**5000}},
            "Parameter n: max is too large or no number: a very large number.",
        ),
        (
            {"n": {"default": 5, "min": 0, "max": 9, "title": ""}},
            "Parameter n: expected its title in words, found ''.",
        ),
    ],
)
def test_a_wrong_declaration_is_explained(literal: object, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        parameters.declared(literal)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (None, {"short": 20, "take_profit": 2.0}),
        ({}, {"short": 20, "take_profit": 2.0}),
        ({"short": 2}, {"short": 2, "take_profit": 2.0}),
        ({"short": 200.0, "take_profit": 3}, {"short": 200, "take_profit": 3.0}),
    ],
)
def test_what_is_not_chosen_is_the_default(values: object, found: dict[str, float]) -> None:
    chosen = parameters.chosen(parameters.declared(SMA), values)
    assert chosen == found
    assert [type(value) for value in chosen.values()] == [int, float]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "Expected parameters as names with numbers, found []."),
        ({"long": 5}, "This algorithm has no parameter 'long': it takes short, take_profit."),
        (
            {"short": "20"},
            "Short average, minutes (short): expected a whole number, found '20'.",
        ),
        ({"short": True}, "Short average, minutes (short): expected a whole number, found True."),
        ({"short": None}, "Short average, minutes (short): expected a whole number, found None."),
        ({"short": 20.5}, "Short average, minutes (short): expected a whole number, found 20.5."),
        (
            {"short": 201},
            "Short average, minutes (short): expected a whole number from 2 to 200, found 201.",
        ),
        (
            {"short": 10**5000},
            "Short average, minutes (short): expected a whole number from 2 to 200,"
            " found a very large number.",
        ),
        (
            {"take_profit": float("nan")},
            "take profit (take_profit): expected a number from 0.0 to 50.0, found nan.",
        ),
        (
            {"take_profit": -1e-9},
            "take profit (take_profit): expected a number from 0.0 to 50.0, found -1e-09.",
        ),
    ],
)
def test_a_wrong_choice_is_explained(values: object, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        parameters.chosen(parameters.declared(SMA), values)
    assert str(refused.value) == sentence


def test_an_algorithm_without_parameters_takes_none() -> None:
    with pytest.raises(BadInput, match="no parameter 'n': it takes none"):
        parameters.chosen({}, {"n": 1})
