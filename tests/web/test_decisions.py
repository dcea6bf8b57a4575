"""A card's decisions page by page, and the parameters it was given."""

from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from orchestra.simulator import Exchange
from system_databse import card_parameters, decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import set_clock
from tests.web.conftest import Api, assert_error

FIRST = clock.parse("2024-06-04T13:30:00Z")


def added(ticker: str) -> int:
    """A card that was added at the open."""
    set_clock(clock.stamp(FIRST))
    return system_db_manager.create_algorithm(ticker, "sma_crossover", 1000)


def decided(card: int, count: int) -> None:
    decision_journal.record(
        [
            JournalledDecision(card, clock.stamp(FIRST + n * MINUTE), None, "hold", 0, "", "bar", 1)
            for n in range(count)
        ]
    )


def test_decisions_come_newest_first_page_by_page(api: Api) -> None:
    card, other = added("NVDA"), added("AAPL")
    decided(card, 120)
    decided(other, 3)
    path = f"/api/algorithms/{card}/decisions"
    page = api.read(f"{path}?limit=100")
    assert page["items"][0] == {
        "minute": "2024-06-04T15:29:00Z",
        "bar": None,
        "bar_age": None,
        "action": "hold",
        "shares": 0,
        "reason": "",
        "verdict": "bar",
        "milliseconds": 1.0,
    }
    assert (len(page["items"]), page["next"]) == (100, "2024-06-04T13:50:00Z")
    rest = api.read(f"{path}?limit=100&cursor={page['next']}")
    assert [row["minute"] for row in rest["items"]] == [
        f"2024-06-04T13:{minute}:00Z" for minute in range(49, 29, -1)
    ]
    assert rest["next"] is None
    assert len(api.read(path)["items"]) == 50


@pytest.mark.parametrize(
    ("minute", "bar", "age"),
    [
        ("2024-06-04T14:30:00Z", "2024-06-04T14:29:00Z", 0),
        ("2024-06-04T14:30:00Z", "2024-06-04T14:25:00Z", 4),
        ("2024-06-04T13:30:00Z", "2024-06-03T19:59:00Z", 0),  # the last one of the day before
        ("2024-06-03T13:32:00Z", "2024-05-31T19:59:00Z", 2),  # over a weekend
    ],
)
def test_a_bars_age_is_counted_in_open_minutes(api: Api, minute: str, bar: str, age: int) -> None:
    set_clock("2024-05-31T13:30:00Z")
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 1000)
    decision_journal.record([JournalledDecision(card, minute, bar, "hold", 0, "", "bar", 1)])
    [found] = api.read(f"/api/algorithms/{card}/decisions")["items"]
    assert (found["bar"], found["bar_age"]) == (bar, age)


def test_what_is_no_page_of_decisions_is_refused(api: Api) -> None:
    assert_error(api.get("/api/algorithms/9/decisions"), 404, "not_found")
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 1000)
    for query in ("cursor=1", "cursor=' OR 1=1", "limit=0", "limit=x"):
        assert_error(api.get(f"/api/algorithms/{card}/decisions?{query}"), 400, "bad_input")


def test_old_decisions_are_pruned(api: Api) -> None:
    card = added("NVDA")
    decided(card, 10)
    assert decision_journal.prune(FIRST + 4 * MINUTE) == 4
    assert len(api.read(f"/api/algorithms/{card}/decisions")["items"]) == 6


TUNABLE = """
class Algorithm:
    parameters = {
        "days": {"default": 5, "min": 1, "max": 9, "title": "Days"},
        "factor": {"default": 1.5, "min": 1.0, "max": 2.0, "title": "Factor"},
    }
    def run(self, current_time, algo_id): ...
"""


@pytest.fixture
def tunable(tmp_path: Path, configure: Any, exchange: Exchange, api: Api) -> Api:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "tunable.py").write_text(TUNABLE)
    configure(ALGORITHMS_DIR=folder)
    return api


def test_parameters_are_stored_with_the_card(tunable: Api) -> None:
    chosen = tunable.added(algorithm_type="tunable", parameters={"days": 7})
    plain = tunable.added(algorithm_type="tunable")
    assert card_parameters.all_parameters() == {
        chosen["id"]: {"days": 7, "factor": 1.5},
        plain["id"]: {"days": 5, "factor": 1.5},
    }


def test_parameters_out_of_bounds_are_refused(tunable: Api) -> None:
    for wrong in ({"days": 10}, {"days": 1.5}, {"hours": 1}, {"factor": "2"}, [1]):
        response = tunable.add(algorithm_type="tunable", parameters=wrong)
        assert_error(response, 400, "bad_input")
    assert tunable.cards() == []
