"""A stop-and-sell sends no sale of shares that the broker does not hold: it could make the account short."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock
from orchestra.base.market_calendar import floor_minute
from orchestra.cycle import Cycle
from orchestra.execution import Execution, Intent
from orchestra.runner import AlgorithmRunner
from orchestra.simulator import Exchange
from orchestra.splits import Splits
from orchestra.websocket_manager import WebSocketManager
from system_databse import card_calculations, card_states, labels, system_db_manager
from tests.exchange_fixture import running_exchange, set_clock
from tests.ledger_rows import labelled
from tests.orchestra.test_splits import NoStream


@dataclass
class Rig:
    """A card that holds ten NVDA, its terminal, and the exchange."""

    exchange: Exchange
    wrapper: AlpacaWrapper
    execution: Execution
    cycle: Cycle
    card: int

    def minute(self, number: int) -> None:
        """Run one minute's cycle; none of them is one that audits anyway."""
        set_clock(f"2024-06-04T14:3{number}:05Z")
        self.cycle.run(floor_minute(clock.now()))

    def why(self) -> str:
        return card_states.all_states()[self.card].reason

    def sales(self) -> list[tuple[str, int]]:
        rows = system_db_manager.ledger().execute(
            "SELECT state, shares FROM orders WHERE side = 'sell' ORDER BY id"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with running_exchange() as exchange, AlgorithmRunner(workers=1) as runner:
        wrapper = AlpacaWrapper()
        execution = Execution(wrapper)
        stream = WebSocketManager(NoStream())
        cycle = Cycle(execution, Audit(wrapper), Splits(wrapper), runner, stream)
        card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
        bought = Intent(card, "NVDA", "buy", 10, floor_minute(clock.now()))
        for future in execution.carry_out([bought]):
            future.result(timeout=30)
        assert card_calculations.calculate_position(card) == 10
        yield Rig(exchange, wrapper, execution, cycle, card)
        execution.close()


@pytest.mark.parametrize("left", [0, 6])
def test_what_was_sold_by_hand_is_not_sold_again(rig: Rig, left: int) -> None:
    """The card is frozen for it, and its owner stops it and has it sold all the same."""
    rig.wrapper.place_market_sell("NVDA", 10 - left)
    for _ in range(2):
        rig.cycle.audit()
    assert card_states.all_states()[rig.card].state == "frozen"
    card_states.stop_and_sell(rig.card)
    rig.minute(1)
    assert rig.why().startswith("Its sale waits: the broker holds less NVDA than the ledger")
    rig.minute(2)
    assert card_calculations.calculate_position(rig.card) == left
    assert [card for card, _ in labelled(labels.SOLD_BY_HAND)] == [rig.card]
    rig.minute(3)
    assert rig.sales() == ([("filled", left)] if left else [])
    assert card_calculations.calculate_position(rig.card) == 0
    assert rig.wrapper.get_positions() == {}
    assert card_states.all_states() == {}


def test_a_sale_waits_while_the_brokers_positions_cannot_be_read(rig: Rig) -> None:
    rig.cycle.audit()
    card_states.stop_and_sell(rig.card)
    rig.exchange.faults.add({"name": "500", "path": "/v2/positions", "times": 2})
    rig.minute(1)
    assert rig.why() == "Its sale waits: what the broker holds of NVDA could not be read."
    assert rig.sales() == []
    rig.minute(2)
    assert rig.sales() == [("filled", 10)]
    assert card_states.all_states() == {}


def test_what_many_sales_wait_for_is_one_answer(rig: Rig) -> None:
    """One after the other they took the minute away from all sales, where the broker was slow."""
    other = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    bought = Intent(other, "AAPL", "buy", 5, floor_minute(clock.now()))
    for future in rig.execution.carry_out([bought]):
        future.result(timeout=30)
    rig.cycle.audit()
    card_states.stop_all([rig.card, other], sell=True)
    rig.exchange.faults.add({"name": "500", "path": "/v2/positions/"})
    rig.minute(1)
    assert sorted(rig.sales()) == [("filled", 5), ("filled", 10)]
    assert card_states.all_states() == {}


def test_an_answer_of_no_use_for_all_holds_up_no_sale(rig: Rig) -> None:
    """The owner's own position may be one that makes no sense here."""
    rig.cycle.audit()
    card_states.stop_and_sell(rig.card)
    rig.exchange.faults.add({"name": "garble", "how": "html", "path": "/v2/positions", "times": 1})
    rig.minute(1)
    assert rig.sales() == [("filled", 10)]
