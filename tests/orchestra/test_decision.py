"""An answer, held against the card's means: a table of cases."""

import math

import pytest

from orchestra.base.errors import AlgorithmFailed
from orchestra.decision import Checked, Decision, Means, check, parse


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("buy", 5), Decision("buy", 5)),
        (("sell", 5.0), Decision("sell", 5)),  # cash // price is a float
        (("hold", 0), Decision("hold", 0)),
        (("hold", None), Decision("hold", 0)),
        (("buy", 5, "crossed above"), Decision("buy", 5, "crossed above")),
    ],
)
def test_answers_that_are_understood(answer: object, expected: Decision) -> None:
    assert parse(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "buy",
        ("buy",),
        ("short", 5),
        ("buy", 1.5),
        ("buy", -3),
        ("buy", 0),
        ("buy", math.nan),
        ("buy", "5"),
        ("buy", True),
        ("buy", 1e20),
        ("sell", 10**30),
        ("buy", math.inf),
        ("buy", 5, "why", "more"),
        ["buy", 5],
    ],
)
def test_answers_that_are_not(answer: object) -> None:
    with pytest.raises(AlgorithmFailed, match="Expected"):
        parse(answer)


@pytest.mark.parametrize(
    ("decision", "means", "expected"),
    [
        (Decision("hold", 0), Means(100, 0, 10), Checked(0)),
        (Decision("sell", 5), Means(0, 5, 10), Checked(5)),
        (Decision("sell", 6), Means(0, 5, 10), Checked(0, "refused: asked to sell 6, holds 5")),
        (Decision("buy", 10), Means(100, 0, 10), Checked(10)),
        (
            Decision("buy", 11),
            Means(100, 0, 10),
            Checked(0, "refused: 11 cost 110.00, cash is 100.00"),
        ),
        (Decision("buy", 1), Means(100, 0, None), Checked(0, "refused: no price yet")),
        # 53 x 186.36 = 9877.08 fits; float noise in the cash must not refuse it
        (Decision("buy", 53), Means(9877.08 - 1e-9, 0, 186.36), Checked(53)),
        # 58 x 172 = 9976; with 50 bps a share is 172.86, and 57 of them are 9853.02
        (
            Decision("buy", 58),
            Means(10000, 0, 172, cushion_bps=50),
            Checked(57, "asked 58, sent 57: cushion"),
        ),
        (
            Decision("buy", 1),
            Means(100, 0, 100, cushion_bps=50),
            Checked(0, "asked 1, sent 0: cushion"),
        ),
        (Decision("buy", 1), Means(100, 0, 10, unknown_minutes=3), Checked(1)),
        (
            Decision("buy", 1),
            Means(100, 0, 10, unknown_minutes=4),
            Checked(0, "refused: nothing is known of the last 4 minutes"),
        ),
    ],
)
def test_a_card_trades_within_its_own_means(
    decision: Decision, means: Means, expected: Checked
) -> None:
    assert check(decision, means) == expected
