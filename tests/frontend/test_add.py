"""Adding a card by touch alone."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import CASH, Answer, FakeApi, error

TWO_ALGORITHMS: dict[str, Any] = {
    "algorithms": [
        {"name": "sma_crossover", "title": "SMA", "description": "Crosses.", "parameters": [], "error": None},
        {"name": "momentum", "title": "M", "description": "<i>Runs</i>", "parameters": [], "error": None},
        {"name": "broken", "title": "B", "description": "", "parameters": [], "error": "line 3: bad"},
    ]
}  # fmt: skip


def open_dialog(wall: Wall) -> None:
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-add]").wait_for()
    wall.settle()


def fill_in(wall: Wall, ticker: str = "BRK.B", capital: str = "2500") -> None:
    wall.find("[data-field=ticker]").click()
    wall.press(ticker)
    wall.find("[data-field=capital]").click()
    wall.press(capital)


def complaint(wall: Wall) -> str:
    return wall.find("[data-message]").text_content() or ""


def field(wall: Wall, name: str) -> str:
    return wall.find(f"[data-field={name}] output").text_content() or ""


def test_adds_a_card_and_shows_it_at_once(wall: Wall) -> None:
    open_dialog(wall)
    fill_in(wall)
    wall.act("submit")
    wall.card(99).wait_for()
    assert wall.find("[data-add]").count() == 0
    sent = wall.api.asked("POST", "algorithms")[0]
    assert sent.body == {
        "ticker": "BRK.B",
        "algorithm_type": "sma_crossover",
        "initial_capital": 2500,
    }
    assert sent.headers["authorization"] == "Bearer secret-token"
    assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "refusal",
    [
        error(409, "not_enough_cash", "2,500.00 is 1,000.00 more than is available"),
        error(422, "not_tradable", "BRK.B cannot be traded"),
        error(503, "broker_unreachable", "The broker does not answer"),
    ],
)
def test_a_refusal_says_why_and_keeps_what_was_typed(wall: Wall, refusal: Answer) -> None:
    wall.api.replies["POST algorithms"] = refusal
    open_dialog(wall)
    fill_in(wall)
    wall.act("submit")
    wall.find(f"text={refusal.body['error']}").wait_for()
    assert field(wall, "ticker") == "BRK.B"
    assert field(wall, "capital") == "$2,500"
    assert field(wall, "algorithm") == "sma_crossover"
    del wall.api.replies["POST algorithms"]
    wall.find("[data-key=back]").click()
    wall.act("submit")
    wall.card(99).wait_for()
    assert wall.api.asked("POST", "algorithms")[1].body == {
        "ticker": "BRK.B",
        "algorithm_type": "sma_crossover",
        "initial_capital": 250,
    }


def test_no_answer_may_still_have_added_it(wall: Wall) -> None:
    open_dialog(wall)
    fill_in(wall)
    wall.api.offline = True
    wall.act("submit")
    wall.find("text=see whether it was done before trying again").wait_for()
    assert field(wall, "ticker") == "BRK.B"


def test_what_is_missing_is_said_before_anything_is_sent(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.replies["GET available-algorithms"] = Answer(TWO_ALGORITHMS)
    wall = open_wall(api)
    open_dialog(wall)
    for expected, step in (
        ("Pick an algorithm", "[data-option=momentum]"),
        ("Type a ticker", "[data-key=F]"),
        ("Give it some capital", None),
    ):
        expect(wall.find("[data-add] .guide")).to_have_text(expected)
        wall.act("submit")
        assert complaint(wall) == expected
        if step:
            wall.find(step).click()
    assert api.asked("POST", "algorithms") == []


def test_algorithms_that_do_not_load_are_shown_and_cannot_be_picked(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.replies["GET available-algorithms"] = Answer(TWO_ALGORITHMS)
    wall = open_wall(api)
    open_dialog(wall)
    broken = wall.find("[data-option=broken]")
    assert broken.is_disabled()
    assert "line 3: bad" in broken.inner_text()
    assert "<i>Runs</i>" in wall.find("[data-option=momentum]").inner_text()
    assert (
        wall.find("[aria-checked=true]").count() == 0
    )  # two to choose from: none is chosen for you
    wall.find("[data-option=momentum]").click()
    assert field(wall, "algorithm") == "momentum"
    wall.find("[data-field=algorithm]").click()
    assert wall.find("[aria-checked=true]").get_attribute("data-option") == "momentum"


def test_quick_steps_stop_at_what_is_available(wall: Wall) -> None:
    open_dialog(wall)
    wall.find("[data-field=capital]").click()
    assert wall.find("[data-cash]").text_content() == "$25,000.50 available"
    wall.find("[data-step='5000']").click()
    wall.find("[data-step='10000']").click()
    assert field(wall, "capital") == "$15,000"
    wall.find("[data-step='10000']").click()
    wall.find("[data-step='10000']").click()
    assert field(wall, "capital") == "$25,000"
    wall.find("[data-clear]").click()
    assert field(wall, "capital") == ""
    wall.find("[data-step=max]").click()
    assert field(wall, "capital") == "$25,000"


def test_unknown_cash_is_said_not_made_up(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.replies["GET account/cash"] = error(503, "broker_unreachable", "The broker does not answer")
    wall = open_wall(api)
    open_dialog(wall)
    assert wall.find("[data-cash]").text_content() == "The broker does not answer"
    wall.find("[data-field=capital]").click()
    assert wall.find("[data-step=max]").is_disabled()
    wall.find("[data-step='5000']").click()
    assert field(wall, "capital") == "$5,000"


def test_keys_type_into_the_field_that_was_tapped(wall: Wall) -> None:
    open_dialog(wall)
    assert wall.find("[data-key=A]").count() == 1
    assert wall.find("[data-key='1']").count() == 0
    assert wall.find("[data-key=back]").count() == 1
    wall.find("[data-field=capital]").click()
    assert wall.find("[data-key=A]").count() == 0
    assert wall.find("[data-key='1']").count() == 1
    assert wall.find("[data-key=back]").count() == 1
    wall.press("007")
    assert field(wall, "capital") == "$7"


def test_by_keyboard_alone(wall: Wall) -> None:
    wall.find("[data-action=add]").focus()
    wall.page.keyboard.press("Enter")
    for key in ("2", "0", "2", "0", "Enter"):
        wall.page.keyboard.press(key)
    expect(wall.find("[data-field=algorithm] output")).to_have_text("sma_crossover")
    wall.page.keyboard.type("ko")
    wall.page.keyboard.press("Tab")
    wall.page.keyboard.type("900")
    wall.page.keyboard.press("Enter")
    wall.card(99).wait_for()
    assert wall.api.asked("POST", "algorithms")[0].body == {
        "ticker": "KO",
        "algorithm_type": "sma_crossover",
        "initial_capital": 900,
    }


def test_two_taps_send_one_card(wall: Wall) -> None:
    open_dialog(wall)
    fill_in(wall)
    wall.find("[data-add]").evaluate(
        "(node) => { for (let taps = 0; taps < 2; taps += 1)"
        " node.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true})); }"
    )
    wall.card(99).wait_for()
    assert len(wall.api.asked("POST", "algorithms")) == 1


def test_cash_answer_of_the_contract_is_enough(wall: Wall) -> None:
    wall.api.replies["GET account/cash"] = Answer({"available": CASH["available"]})
    open_dialog(wall)
    assert wall.find("[data-cash]").text_content() == "$25,000.50 available"


TUNABLE: dict[str, Any] = {
    "short": {"default": 20, "min": 2, "max": 200, "title": "Short average, minutes"},
    "factor": {"default": 1.5, "min": -1.0, "max": 2.0, "title": "<b>Factor"},
}


def tunable() -> FakeApi:
    api = FakeApi()
    listed = [{**TWO_ALGORITHMS["algorithms"][0], "parameters": TUNABLE}]
    api.replies["GET available-algorithms"] = Answer({"algorithms": listed})
    return api


def parameter(wall: Wall, name: str) -> str:
    return wall.find(f"[data-parameter={name}] output").text_content() or ""


def test_parameters_begin_with_their_defaults_and_are_sent(open_wall: OpenWall) -> None:
    wall = open_wall(tunable())
    open_dialog(wall)
    fill_in(wall)
    wall.find("[data-field=parameters]").click()
    assert (parameter(wall, "short"), parameter(wall, "factor")) == ("20", "1.5")
    assert "2 to 200" in wall.find("[data-parameter=short]").inner_text()
    assert "<b>Factor" in wall.find("[data-parameter=factor]").inner_text()
    wall.find("[data-parameter=short]").click()
    wall.press("7")
    wall.find("[data-parameter=factor]").click()
    wall.page.keyboard.type("-.5")
    wall.act("submit")
    wall.card(99).wait_for()
    sent = wall.api.asked("POST", "algorithms")[0]
    assert sent.body is not None
    assert sent.body["parameters"] == {"short": 7, "factor": -0.5}


def test_a_parameter_out_of_its_bounds_is_not_sent(open_wall: OpenWall) -> None:
    wall = open_wall(tunable())
    open_dialog(wall)
    fill_in(wall)
    wall.find("[data-field=parameters]").click()
    wall.press("201")
    wall.act("submit")
    assert complaint(wall) == "Short average, minutes: 2 to 200"
    wall.find("[data-usual]").click()
    assert parameter(wall, "short") == "20"
    for _ in range(2):
        wall.find('[data-key="back"]').click()
    wall.act("submit")
    assert complaint(wall) == "Short average, minutes: 2 to 200"
    assert wall.api.asked("POST", "algorithms") == []


def test_another_algorithm_has_its_own_parameters(open_wall: OpenWall) -> None:
    wall = open_wall()
    first, second, _ = TWO_ALGORITHMS["algorithms"]
    listed = [{**first, "parameters": TUNABLE}, {**second, "parameters": {}}]
    wall.api.replies["GET available-algorithms"] = Answer({"algorithms": listed})
    open_dialog(wall)
    wall.find("[data-option=sma_crossover]").click()
    assert field(wall, "parameters") == "short 20 · factor 1.5"
    wall.find("[data-field=algorithm]").click()
    wall.find("[data-option=momentum]").click()
    assert not wall.find("[data-field=parameters]").is_visible()


def test_both_rules_of_the_cash_are_shown(wall: Wall) -> None:
    wall.api.replies["GET account/cash"] = Answer({**CASH, "rule": "strict"})
    open_dialog(wall)
    said = wall.find("[data-cash]").text_content()
    assert said == "$25,000.50 available (strict rule)$30,000.00 by the net rule"


def test_a_suggestion_is_taken_with_one_tap(wall: Wall) -> None:
    open_dialog(wall)
    wall.press("NV")
    assert [call.path for call in wall.api.asked_about("assets")] == ["q=", "q=N", "q=NV"]
    wall.find("[data-suggestion=NVDA]").click()
    assert field(wall, "ticker") == "NVDA"
    expect(wall.find("[data-field=ticker]")).to_contain_text("NVIDIA Corporation")
    assert wall.find("[data-key='5']").is_visible()  # on to the capital
    wall.press("500")
    expect(wall.find("[data-add] .guide")).to_have_text("sma_crossover will trade NVDA with $500")
    wall.act("submit")
    wall.card(99).wait_for()
    assert wall.api.asked("POST", "algorithms")[0].body == {
        "ticker": "NVDA",
        "algorithm_type": "sma_crossover",
        "initial_capital": 500,
    }


@pytest.mark.parametrize(("complete", "says"), [(True, "nothing like QQ"), (False, "")])
def test_a_ticker_that_nobody_knows(wall: Wall, complete: bool, says: str) -> None:
    wall.api.replies["GET assets"] = Answer({"items": [], "complete": complete})
    open_dialog(wall)
    wall.press("QQ")
    wall.settle()
    assert (wall.find(".suggested").text_content() or "").endswith(says)
    assert wall.find("[data-suggestion]").count() == 0


def test_a_company_is_named_beside_its_own_ticker_alone(wall: Wall) -> None:
    wall.api.replies["GET assets"] = Answer(
        {"items": [{"symbol": "T", "name": "AT&T Inc."}], "complete": True}
    )
    open_dialog(wall)
    wall.press("T")
    expect(wall.find("[data-field=ticker]")).to_contain_text("AT&T Inc.")
    wall.api.unanswered = "assets"
    wall.press("M")
    assert field(wall, "ticker") == "TM"
    expect(wall.find("[data-field=ticker]")).not_to_contain_text("AT&T Inc.")


def test_suggestions_are_text_and_missing_ones_hold_nothing_up(wall: Wall) -> None:
    evil = {"symbol": "NV", "name": "<img src=x onerror=alert(1)>"}
    wall.api.replies["GET assets"] = Answer({"items": [evil], "complete": True})
    open_dialog(wall)
    expect(wall.find("[data-suggestion]")).to_contain_text("<img src=x")
    wall.api.replies["GET assets"] = error(500, "internal_error", "Oh dear")
    fill_in(wall, "NV", "50")
    assert wall.find("[data-add] img").count() == 0
    wall.act("submit")
    wall.card(99).wait_for()


def test_a_broker_that_does_not_answer_keeps_nobody_from_choosing(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.unanswered = "account/cash"
    api.replies["GET available-algorithms"] = Answer(TWO_ALGORITHMS)
    wall = open_wall(api)
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-option=sma_crossover]").wait_for()
    assert wall.find("[data-cash]").text_content() == "asking the broker for the cash …"
