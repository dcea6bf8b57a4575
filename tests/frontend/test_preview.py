"""Under a card that is being made: what its algorithm would have made of the newest sessions."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.test_add import fill_in, open_dialog, tunable
from tests.frontend.wire import Answer, Call, FakeApi, error, tried

NOW = "2024-01-02T15:42:05+00:00"
RUNNING = {"id": 1, "status": "running", "result": None, "error": None}


@pytest.fixture
def dialog(open_wall: OpenWall) -> Wall:
    """The add dialog, the page's own time standing still."""
    wall = open_wall(tunable(), frozen_at=NOW)
    open_dialog(wall)
    return wall


def said(wall: Wall) -> str:
    return " ".join(wall.find("[data-preview]").inner_text().split())


def wait(wall: Wall) -> None:
    """Until the draft is settled, was sent, and was looked at: each answer comes after a time that passed."""
    for _ in range(3):
        wall.pass_seconds(0.6)


def test_a_whole_card_is_tried_once_its_maker_pauses(dialog: Wall) -> None:
    dialog.find("[data-field=ticker]").click()
    dialog.press("KO")
    dialog.pass_seconds(5)
    assert said(dialog) == ""
    fill_in(dialog, "", "10000")
    dialog.pass_seconds(0.4)
    assert dialog.api.asked("POST", "backtests") == []
    wait(dialog)
    assert said(dialog) == (
        "last 20 sessions \u25b2 +3.10% 14 trades, worst \u22121.8% buy & hold +2.1%"
    )
    [sent] = dialog.api.asked("POST", "backtests")
    assert sent.body == {
        "ticker": "KO",
        "algorithm_type": "sma_crossover",
        "initial_capital": 10_000,
        "parameters": {"short": 20, "factor": 1.5},
    }
    line = dialog.find("[data-preview] .spark-line")
    assert (line.get_attribute("d") or "").startswith("M0 ")
    assert dialog.find("[data-preview] [data-outcome=profit]").count() == 1


def test_another_draft_takes_its_place_and_an_incomplete_one_clears_it(dialog: Wall) -> None:
    fill_in(dialog, "KO", "100")
    wait(dialog)
    assert "+3.10%" in said(dialog)
    dialog.api.replies["GET backtests/1"] = Answer(tried(-122.5))
    dialog.press("0")
    assert said(dialog) == ""
    wait(dialog)
    assert "\u25bc \u22121.23%" in said(dialog)
    assert dialog.find("[data-preview] [data-outcome=loss]").count() == 1
    for _ in range(4):
        dialog.find("[data-key=back]").click()
    dialog.pass_seconds(3)
    assert said(dialog) == ""
    sums = [
        call.body["initial_capital"] for call in dialog.api.asked("POST", "backtests") if call.body
    ]
    assert sums == [100, 1000]


def test_a_closed_dialog_tries_nothing_any_more(dialog: Wall) -> None:
    """A backtest that nobody waits for would only be in the minute's way."""
    fill_in(dialog, "KO", "100")
    dialog.act("cancel")
    wait(dialog)
    assert dialog.api.asked("POST", "backtests") == []


def test_a_closed_dialog_looks_at_nothing_any_more(dialog: Wall) -> None:
    dialog.api.replies["GET backtests/1"] = Answer(RUNNING)
    fill_in(dialog, "KO", "100")
    wait(dialog)
    dialog.act("cancel")
    dialog.settle()
    before = len(dialog.api.asked("GET", "backtests/1"))
    assert before > 0
    wait(dialog)
    assert len(dialog.api.asked("GET", "backtests/1")) == before


def test_what_comes_too_late_is_not_shown(dialog: Wall) -> None:
    """The answer to a draft that was changed meanwhile."""
    dialog.api.replies["GET backtests/1"] = Answer(RUNNING)
    fill_in(dialog, "KO", "10")
    dialog.pass_seconds(1)
    assert said(dialog) == "trying it on past sessions \u2026"
    dialog.press("0")
    dialog.api.replies["GET backtests/1"] = Answer(tried(50_000.0))
    dialog.api.replies["POST backtests"] = Answer({**RUNNING, "id": 2}, 202)
    dialog.api.replies["GET backtests/2"] = Answer(tried())
    wait(dialog)
    wait(dialog)
    assert "+3.10%" in said(dialog)


def test_while_another_one_runs_it_waits_its_turn(dialog: Wall) -> None:
    busy = error(429, "busy", "Another backtest is running: one at a time.")
    busy.headers["Retry-After"] = "1"
    answers = [busy, busy, Answer(RUNNING, 202)]
    dialog.api.replies["POST backtests"] = lambda call: answers.pop(0)
    fill_in(dialog, "KO", "10")
    dialog.pass_seconds(1)
    assert said(dialog) == "trying it on past sessions \u2026"
    for _ in range(4):
        dialog.pass_seconds(1)
    assert "+3.10%" in said(dialog)
    assert answers == []


def test_what_takes_long_says_why_and_ends(dialog: Wall) -> None:
    dialog.api.replies["GET backtests/1"] = Answer(RUNNING)
    fill_in(dialog, "KO", "10")
    for _ in range(6):
        dialog.pass_seconds(1)
    assert said(dialog) == "fetching its history \u2026"
    for _ in range(25):
        dialog.pass_seconds(1)
    assert said(dialog) == "It took too long."


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (
            {"status": "failed", "error": "There are no bars of KO from 2023-12-04 to 2024-01-02."},
            "There are no bars of KO from 2023-12-04 to 2024-01-02.",
        ),
        (
            {
                "status": "stopped",
                "error": "Stopped: the trading minute was late, and comes first.",
            },
            "Stopped: the trading minute was late, and comes first.",
        ),
    ],
)
def test_without_a_result_there_is_a_sentence(
    dialog: Wall, reply: dict[str, Any], sentence: str
) -> None:
    dialog.api.replies["GET backtests/1"] = Answer({**RUNNING, **reply})
    fill_in(dialog, "KO", "10")
    wait(dialog)
    assert said(dialog) == sentence


def test_a_refusal_and_no_answer_are_said_and_the_card_can_still_be_added(
    open_wall: OpenWall,
) -> None:
    def refuse(call: Call) -> Answer:
        return error(422, "broken_algorithm", "sma_crossover cannot run: line 3.")

    api = FakeApi()
    api.replies["POST backtests"] = refuse
    wall = open_wall(api)
    open_dialog(wall)
    fill_in(wall)
    expect(wall.find("[data-preview]")).to_have_text("sma_crossover cannot run: line 3.")
    wall.act("submit")
    wall.card(99).wait_for()


def test_a_note_stands_under_the_line(dialog: Wall) -> None:
    note = "290 minutes of history are missing and count as without a trade: no answer"
    dialog.api.replies["GET backtests/1"] = Answer(tried(notes=[note]))
    fill_in(dialog, "KO", "10")
    wait(dialog)
    assert dialog.find("[data-preview] .said").text_content() == note
    assert "+3.10%" in said(dialog)
