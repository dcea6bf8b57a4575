"""The polled answer is built once for each change, and never lags behind one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from database import db_manager
from orchestra.base import clock
from orchestra.web.wall import Wall
from system_databse import (
    card_states,
    decision_journal,
    heartbeats,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import change, set_clock
from tests.web.conftest import Api

ASKED = JournalledDecision(1, "2024-06-04T14:29:00Z", None, "hold", 0, "no cross", "bar", 1.5)
CHANGES: dict[str, Callable[[], object]] = {
    "a card": lambda: system_db_manager.create_algorithm("NVDA", "sma_crossover", 5_000),
    "a buy": lambda: system_db_manager.record_buy(1, 3, 100.25),
    "a sell": lambda: system_db_manager.record_sell(1, 2, 101.0),
    "a bar": lambda: db_manager.insert_minute_data(
        "AAPL", "2024-06-04T14:25:00Z", 100.0, 101.0, 99.0, 100.5, 10
    ),
    "a decision": lambda: decision_journal.record([ASKED]),
    "a pause": lambda: card_states.set_state(1, "paused", "three failures"),
    "a sign of life": lambda: heartbeats.beat({"orchestrator": ("ok", "Cycle done.")}),
    "a minute": lambda: set_clock("2024-06-04T14:31:00Z"),
    "an hour": lambda: set_clock("2024-06-04T15:31:00Z"),
    "the close": lambda: set_clock("2024-06-04T20:00:01Z"),
    "a setting": lambda: change(ALPACA_FEED="sip"),
    "a stop": lambda: system_db_manager.stop_algorithm(2),
}


def without_ages(answer: str) -> Any:
    """An answer less what goes on by itself: ages, and the room on this machine's disk."""
    found = json.loads(answer)
    del found["health"]["parts"]["disk"]
    for part in found["health"]["parts"].values():
        part["age"] = None
    return found


def both(api: Api, wall: Wall, status: str | None) -> tuple[Any, Any]:
    """What a wall that has answered before says, and one that was asked for the first time."""
    with api.app.test_request_context():
        return without_ages(wall.answer(status)), without_ages(Wall().answer(status))


@pytest.mark.parametrize("status", [None, "running", "stopped", "all"])
def test_it_follows_every_change_at_once(api: Api, status: str | None) -> None:
    system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    wall = Wall()
    told = set()
    for what, happen in CHANGES.items():
        kept, fresh = both(api, wall, status)
        assert kept == fresh, f"before {what}"
        happen()
        kept, fresh = both(api, wall, status)
        assert kept == fresh, what
        told.add(json.dumps(kept, sort_keys=True))
    assert len(told) >= 5


def test_without_a_change_the_databases_are_left_alone(api: Api) -> None:
    card = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    system_db_manager.record_buy(card, 3, 100.25)
    asked: list[str] = []
    with api.app.test_request_context():
        wall = Wall()
        wall.answer(None)  # makes stocks.db, where there was none
        first = wall.answer(None)
        system_db_manager.ledger().set_trace_callback(asked.append)
        for _ in range(50):
            wall.answer(None)
        unchanged = [sql for sql in asked if "heartbeats" not in sql and "system_config" not in sql]
        assert unchanged == []
        asked.clear()
        system_db_manager.record_buy(card, 1, 100.0)
        asked.clear()
        assert wall.answer(None) != first
        assert any("transactions" in sql for sql in asked)
        system_db_manager.ledger().set_trace_callback(None)


def test_time_goes_on_without_a_change(api: Api) -> None:
    change(MARKET_CLOCK_SPEED=50)
    wall = Wall()
    with api.app.test_request_context():
        before = json.loads(wall.answer(None))["market"]["now"]
        clock.pause(0.05)
        assert json.loads(wall.answer(None))["market"]["now"] > before
