"""What happens to money in certain minutes, told with the real processes."""

from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from system_databse import card_calculations, system_db_manager
from tests.conftest import Configure
from tests.processes import Terminal, running_terminal

BY_TURNS = """
class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        import card_calculations

        held = card_calculations.calculate_position(algo_id)
        wants = (int(current_time[14:16]) + algo_id) % 2 == 0
        if wants and not held:
            return ("buy", 5)
        return ("sell", held) if held and not wants else ("hold", 0)
"""
HOLDER = """
import card_calculations
from database import db_manager


class Algorithm:
    def __init__(self, ticker, initial_capital):
        self.ticker = ticker

    def run(self, current_time, algo_id):
        held = card_calculations.calculate_position(algo_id)
        if not card_calculations.calculate_trade_count(algo_id):
            return ("buy", 7)
        bars = db_manager.get_data_for_algorithm(
            self.ticker, "last_n_bars", n=60, before_timestamp=current_time
        )
        # After a split there are none until they are fetched anew
        if held and bars and bars[-1]["close"] < 0.5 * max(bar["close"] for bar in bars):
            return ("sell", held, "it fell by more than half")
        return ("hold", 0)
"""
IN_AND_OUT = """
import card_calculations


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        held = card_calculations.calculate_position(algo_id)
        return ("sell", held) if held else ("buy", 1)
"""
FRIDAY, CLOSE = "2024-06-07T19:27:00Z", "2024-06-07T20:00:00Z"
MONDAY = "2024-06-10T13:30:00Z"
SPEED = 40  # the weekend, of which ten minutes are not skipped, is 15 seconds


@pytest.fixture(autouse=True)
def algorithms(tmp_path: Path, configure: Configure) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    for name, code in {
        "by_turns": BY_TURNS,
        "holder": HOLDER,
        "in_and_out": IN_AND_OUT,
    }.items():
        (folder / f"{name}.py").write_text(code)
    configure(ALGORITHMS_DIR=folder)


def position(card: int) -> int:
    return card_calculations.calculate_position(card)


def listed(terminal: Terminal) -> dict[int, dict[str, Any]]:
    """The cards on the wall: running ones and those that still hold shares."""
    return {card["id"]: card for card in terminal.get("/api/algorithms")["algorithms"]}


def decisions(card: int, since: str) -> list[dict[str, Any]]:
    """The card's minutes on record, but for those that a busy machine had no time for."""
    rows = system_db_manager.ledger().execute(
        "SELECT * FROM decisions WHERE algorithm_id = ? AND minute >= ?"
        " AND reason NOT LIKE 'skipped: %' ORDER BY minute",
        (card, since),
    )
    return [dict(row) for row in rows]


def broker_positions(terminal: Terminal) -> dict[str, str]:
    return {held["symbol"]: held["qty"] for held in terminal.exchange("GET", "/v2/positions")}


def test_opposite_sides_in_one_minute_then_a_stop_with_sell(tmp_path: Path) -> None:
    with running_terminal(tmp_path, MARKET_CLOCK_START="2024-06-04T14:00:00Z") as terminal:
        cards = [terminal.add_card("AAPL", "by_turns", 10_000)["id"] for _ in range(2)]

        def opposed() -> list[list[dict[str, Any]]]:
            """The broker's orders by minute, of the minutes with both sides filled, in their order."""
            minutes: dict[str, list[dict[str, Any]]] = {}
            path = "/v2/orders?status=all&limit=500&direction=asc"
            for order in terminal.exchange("GET", path):
                minutes.setdefault(order["client_order_id"].split("-")[3], []).append(order)
            return [orders for orders in minutes.values() if len(orders) == 2]

        terminal.wait_for(lambda: len(opposed()) >= 4, what="opposite sides in four minutes")
        stopped, other = cards
        terminal.wait_for(lambda: position(stopped) == 5, what="the card to be stopped holds")
        shown = terminal.stop_card(stopped, liquidate=True)
        assert shown["status"] == "stopped"
        terminal.wait_for(lambda: stopped not in listed(terminal), what="it left the list")
        assert position(stopped) == 0
        assert set(listed(terminal)) == {other}
        terminal.stop("orchestrator")
        pairs = opposed()[:4]
        refused = "SELECT reason FROM orders WHERE state = 'refused'"
        assert system_db_manager.ledger().execute(refused).fetchall() == []
    for first, second in pairs:
        assert {first["side"], second["side"]} == {"buy", "sell"}
        assert {first["status"], second["status"]} == {"filled"}
        assert first["submitted_at"] <= first["filled_at"] <= second["submitted_at"]


def test_a_weekend_with_splits_a_stop_a_brake_and_the_end_of_it_all(tmp_path: Path) -> None:
    with running_terminal(
        tmp_path, MARKET_CLOCK_START=FRIDAY, MARKET_CLOCK_SPEED=SPEED, BRAKE_ORDERS_PER_HOUR=4
    ) as terminal:
        split, odd, sold = (
            terminal.add_card(ticker, "holder", 10_000)["id"] for ticker in ("NVDA", "AAPL", "MSFT")
        )
        braked = terminal.add_card("TSLA", "in_and_out", 10_000)["id"]
        terminal.wait_for(
            lambda: [position(card) for card in (split, odd, sold)] == [7, 7, 7], what="all hold 7"
        )
        terminal.wait_for(lambda: terminal.card(braked)["state"] == "paused", what="the brake acts")
        check_paused(terminal, braked)
        for ticker, ratio in (("NVDA", 10), ("AAPL", 1.5)):  # here, for the weekend is short
            terminal.misbehave("split", symbol=ticker, day=MONDAY[:10], ratio=ratio)
        terminal.wait_for(lambda: clock.stamp() > CLOSE, what="the close")
        before = terminal.card(split)
        stopped = terminal.stop_card(sold, liquidate=True)
        wall = listed(terminal)
        assert clock.stamp() < MONDAY, "the machine took longer than the weekend"
        assert stopped["state"] == "stopping"
        assert (wall[sold]["state"], wall[sold]["current_shares"]) == ("stopping", 7)

        terminal.wait_for(lambda: sold not in listed(terminal), what="it is sold at the open")
        (sale,) = [t for t in system_db_manager.get_transactions(sold) if t["type"] == "sell"]
        assert sale["shares"] == 7 and sale["timestamp"] >= MONDAY
        terminal.wait_for(lambda: len(decisions(split, MONDAY)) >= 4, what="Monday's first minutes")
        check_split(terminal, before)
        check_frozen(terminal, odd)
        check_asked_again(terminal, braked)
        check_all_sold(terminal, odd)


def check_paused(terminal: Terminal, card: int) -> None:
    shown = listed(terminal)[card]
    assert shown["state_reason"] == "Brake: 4 orders within an hour, 4 are allowed."
    assert shown["status"] == "running"
    asked = decisions(card, FRIDAY)
    terminal.wait_for(lambda: len(decisions(card, FRIDAY)) >= len(asked) + 2)
    assert clock.stamp() < CLOSE, "the machine took longer than Friday"
    assert "not asked: paused, Brake: 4 orders" in decisions(card, FRIDAY)[-1]["reason"]
    assert card_calculations.calculate_trade_count(card) == 4


def check_split(terminal: Terminal, before: dict[str, Any]) -> None:
    """Ten for one: ten times the shares, the same money at every price, and no signal from the step."""
    after = terminal.card(before["id"])
    assert (before["current_shares"], after["current_shares"]) == (7, 70)
    assert broker_positions(terminal)["NVDA"] == "70"
    assert after["cash"] == pytest.approx(before["cash"], abs=0.005)
    in_old_shares = 7 * 10 * after["current_price"] + before["cash"] - 10_000
    assert after["pnl"] == pytest.approx(in_old_shares, abs=0.005)
    assert after["current_price"] == pytest.approx(before["current_price"] / 10, rel=0.05)
    # The first minute of the session is decided on Friday's last bar, in Monday's shares
    assert {row["action"] for row in decisions(before["id"], MONDAY)} == {"hold"}
    assert (after["state"], after["state_reason"]) == ("running", "")


def check_frozen(terminal: Terminal, card: int) -> None:
    """Three for two of seven shares is nobody's whole number: it is explained, and nothing is done."""
    shown = listed(terminal)[card]
    assert (shown["state"], shown["current_shares"]) == ("frozen", 7)
    assert shown["state_reason"] == (
        "AAPL: 1.5:1 split of 2024-06-10: 7 shares become 10.5, the broker holds 10.5."
        " Accept the broker's figure when it is final."
    )
    assert {row["action"] for row in decisions(card, MONDAY)} == {"skipped"}


def check_asked_again(terminal: Terminal, card: int) -> None:
    """The brake's pause ends with its session."""
    terminal.wait_for(lambda: card_calculations.calculate_trade_count(card) > 4)
    assert decisions(card, MONDAY)[0]["action"] == "buy"


def check_all_sold(terminal: Terminal, odd: int) -> None:
    """Everything is stopped and sold; what a split left in doubt, when that is settled at the broker."""
    answer = terminal.call("POST", "/api/stop-all", {"liquidate": True}, terminal.token())
    assert answer.status_code == 200
    terminal.wait_for(
        lambda: (
            [(card["id"], card["state"]) for card in listed(terminal).values()] == [(odd, "frozen")]
        ),
        what="the others are sold",
    )
    called_off = "Its sale was called off: sell its shares again afterwards."
    assert listed(terminal)[odd]["state_reason"].endswith(called_off)
    assert broker_positions(terminal) == {"AAPL": "10.5"}
    half = {"symbol": "AAPL", "qty": "0.5", "side": "sell"}
    terminal.exchange("POST", "/v2/orders", {**half, "type": "market", "time_in_force": "day"})
    terminal.wait_for(lambda: broker_positions(terminal) == {"AAPL": "10"}, what="half is sold")
    answer = terminal.call("POST", "/api/positions/AAPL/accept", {}, terminal.token())
    assert answer.status_code == 200, answer.text
    assert position(odd) == 10
    terminal.stop_card(odd, liquidate=True)
    terminal.wait_for(lambda: listed(terminal) == {}, what="all is sold")
    assert {card["current_shares"] for card in terminal.cards("all")} == {0}
    assert broker_positions(terminal) == {}
