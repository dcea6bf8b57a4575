"""FIFO lots and gains, against figures worked out by hand."""

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestra.lots import Lot, Sale, fifo

MONDAY, TUESDAY, FRIDAY = "2024-06-03T14:00:00Z", "2024-06-04T14:00:00Z", "2024-06-07T14:00:00Z"


def row(number: int, side: str, shares: int, price: float, at: str = MONDAY) -> dict[str, Any]:
    return {"id": number, "type": side, "shares": shares, "price": price, "timestamp": at}


def test_the_oldest_shares_are_sold_first() -> None:
    sales, held = fifo(
        [
            row(1, "buy", 100, 150.50, MONDAY),
            row(2, "buy", 50, 145.25, TUESDAY),
            row(3, "sell", 120, 155.75, FRIDAY),
        ],
        {},
    )
    assert sales == [
        Sale(FRIDAY, Fraction(100), 155.75, MONDAY, 150.50, ""),
        Sale(FRIDAY, Fraction(20), 155.75, TUESDAY, 145.25, ""),
    ]
    assert [sale.gain for sale in sales] == [525.0, 210.0]
    assert held == [Lot(TUESDAY, Fraction(30), 145.25)]


def test_a_split_is_no_sale_and_keeps_what_the_shares_cost() -> None:
    rows = [
        row(1, "buy", 4, 1200.0, MONDAY),
        row(2, "buy", 3, 1210.0, TUESDAY),
        row(3, "sell", 7, 1208.8, FRIDAY),
        row(4, "buy", 70, 120.88, FRIDAY),
        row(5, "sell", 50, 130.0, FRIDAY),
    ]
    sales, held = fifo(rows, {3: "split", 4: "split"})
    assert [(sale.bought_at, sale.shares, sale.gain) for sale in sales] == [
        (MONDAY, 40, 400.0),
        (TUESDAY, 10, 90.0),
    ]
    assert held == [Lot(TUESDAY, Fraction(20), 121.0)]


def test_a_three_for_two_split_leaves_half_shares_in_single_lots() -> None:
    rows = [row(1, "buy", 1, 30.0), row(2, "buy", 1, 60.0)]
    rows += [row(3, "sell", 2, 45.0), row(4, "buy", 3, 30.0)]
    _, held = fifo(rows, {3: "split", 4: "split"})
    assert held == [Lot(MONDAY, Fraction(3, 2), 20.0), Lot(MONDAY, Fraction(3, 2), 40.0)]


def test_cash_in_lieu_of_half_a_share_is_a_sale_of_it() -> None:
    """Seven at 1,200 become ten and a half at 800; ten are kept."""
    rows = [row(1, "buy", 7, 900.0, MONDAY)]
    rows += [row(2, "sell", 7, 1200.0, FRIDAY), row(3, "buy", 10, 800.0, FRIDAY)]
    sales, held = fifo(rows, {2: "split", 3: "split"})
    assert sales == [Sale(FRIDAY, Fraction(1, 2), 800.0, MONDAY, 600.0, "split")]
    assert [sale.gain for sale in sales] == [100.0]
    assert held == [Lot(MONDAY, Fraction(10), 600.0)]


def test_the_same_two_rows_without_a_label_are_a_sale_and_a_purchase() -> None:
    rows = [row(1, "buy", 7, 1200.0), row(2, "sell", 7, 1300.0, TUESDAY)]
    rows.append(row(3, "buy", 70, 130.0, FRIDAY))
    sales, held = fifo(rows, {})
    assert [sale.gain for sale in sales] == [700.0]
    assert held == [Lot(FRIDAY, Fraction(70), 130.0)]


def test_shares_taken_as_sold_by_hand_say_so() -> None:
    rows = [row(1, "buy", 5, 10.0), row(2, "sell", 5, 12.0, FRIDAY)]
    sales, _ = fifo(rows, {2: "sold by hand"})
    assert sales == [Sale(FRIDAY, Fraction(5), 12.0, MONDAY, 10.0, "sold by hand")]


def test_what_was_never_bought_here_has_no_gain() -> None:
    sales, held = fifo([row(1, "buy", 2, 10.0), row(2, "sell", 5, 12.0, FRIDAY)], {})
    assert [(sale.shares, sale.gain) for sale in sales] == [(2, 4.0), (3, None)]
    assert held == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(100, 99_999))
    )
)
def test_gains_and_what_is_held_add_up_to_the_cash(
    moves: list[tuple[str, int, int]],
) -> None:
    """Money is conserved: gains = proceeds - cost of all - cost of what is still held."""
    rows, holds = [], 0
    for number, (side, shares, cents) in enumerate(moves):
        wanted = min(shares, holds) if side == "sell" else shares
        if wanted:
            holds += wanted if side == "buy" else -wanted
            rows.append(row(number, side, wanted, cents / 100))
    sales, held = fifo(rows, {})
    sign = {"buy": -1, "sell": 1}
    cash = sum(sign[each["type"]] * each["shares"] * each["price"] for each in rows)
    still = sum(float(lot.shares) * lot.price for lot in held)
    assert abs(sum(sale.gain or 0.0 for sale in sales) - (cash + still)) < 0.001
    assert sum(lot.shares for lot in held) == holds
