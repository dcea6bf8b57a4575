"""The page in each of its states, for tests that look at it: crowded with long names and large figures."""

from tests.frontend.conftest import Wall
from tests.frontend.wire import CASH, LISTED, Answer, FakeApi, bars, card, decision, error, spark


def crowded() -> FakeApi:
    """Long names, large figures, every state, the longest bar."""
    api = FakeApi()
    line = spark([10000 + (minute * 37) % 91 for minute in range(78)])
    long_name = "momentum_breakout_with_volume"
    reason = {
        "bar": "2024-01-02T15:41:00Z",
        "action": "buy",
        "shares": 57,
        "reason": "asked 58, " * 9,
    }
    api.cards = [
        card(
            1, 12345.67, ticker="BRK.B", algorithm_type=long_name, spark=line, last_decision=reason
        ),
        card(2, -99999.0, ticker="GOOGL", current_value=112345.67, initial_capital=1e6, spark=line),
        card(3, 0.0, ticker="F", state="paused", last_decision=None, spark=[]),
        card(
            4, -12.34, algorithm_type=long_name, state="frozen", price_stale=True, trade_count=1234
        ),
        card(5, 1.0, status="stopped", state="stopped"),
        card(6, 2.0),
    ]
    api.market.update(mode="simulated", speed=60)
    api.parts = {"orchestrator": {"status": "down", "message": "no heartbeat for 3 min; " * 3}}
    api.replies["GET algorithms/1/transactions"] = Answer(
        {
            "items": [
                {
                    "type": "sell",
                    "shares": 1210,
                    "price": 1150.25,
                    "timestamp": "2024-01-02T15:40:02Z",
                }
            ]
            * 30
        }
    )
    api.replies["POST algorithms"] = error(
        409, "not_enough", "12,000 is more than is available " * 2
    )
    return api


def with_pin_pad(wall: Wall) -> None:
    wall.act("add")
    wall.press("99999999")
    wall.act("submit")
    wall.find("text=tries left").wait_for()


def with_letters(wall: Wall) -> None:
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-option]").wait_for()
    wall.press("BRKBRKBRKB")


def with_refusal(wall: Wall) -> None:
    with_letters(wall)
    wall.find("[data-field=capital]").click()
    wall.press("999999999")
    wall.act("submit")
    wall.find("text=more than is available").wait_for()


def with_parameters(wall: Wall) -> None:
    parameters = {
        name: {"default": 20, "min": 2, "max": 200000, "title": f"{name} average in minutes"}
        for name in ("short", "long", "factor")
    }
    algorithm = {**LISTED["algorithms"][0], "parameters": parameters}
    wall.api.replies["GET available-algorithms"] = Answer({"algorithms": [algorithm]})
    wall.api.replies["GET account/cash"] = Answer({**CASH, "rule": "strict"})
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-parameter=long]").click()
    wall.press("123456789")


def with_chart(wall: Wall) -> None:
    wall.api.bars = bars(200)
    wall.card(1).click()
    wall.find("[data-chart] canvas").first.wait_for()


def with_trades(wall: Wall) -> None:
    with_chart(wall)
    wall.find("[data-tab=transactions]").click()
    wall.find("[data-drawer] li[data-type]").first.wait_for()


def with_decisions(wall: Wall) -> None:
    wall.api.decisions = [decision(n, "buy", 1210, "crossed above " * 9) for n in range(50, 0, -1)]
    with_chart(wall)
    wall.find("[data-tab=decisions]").click()
    wall.find("[data-drawer] li[data-type]").first.wait_for()


def with_trouble(wall: Wall) -> None:
    reason = "ZeroDivisionError: division by zero in line 31 of momentum_breakout_with_volume.py"
    wall.api.cards[3]["state_reason"] = reason
    wall.poll()
    wall.card(4).click()
    wall.find("[data-action=accept]").wait_for()
    wall.find("[data-tab]").first.wait_for()


def with_capital(wall: Wall) -> None:
    wall.card(1).click()
    wall.act("capital")
    wall.find("[data-capital] >> text=available").wait_for()
    wall.press("99999")


def with_menu(wall: Wall) -> None:
    wall.act("menu")
    wall.find("[data-menu]").wait_for()


def with_about(wall: Wall) -> None:
    with_menu(wall)
    wall.act("about")


def with_stop_all(wall: Wall) -> None:
    with_menu(wall)
    wall.act("stop-all")
    wall.act("stop-sell")
    wall.find("text=Hold the button").wait_for()


def with_cards(wall: Wall) -> None:
    """The page as it opens."""


STATES = [
    with_cards,
    with_pin_pad,
    with_letters,
    with_refusal,
    with_parameters,
    with_chart,
    with_trades,
    with_decisions,
    with_trouble,
    with_capital,
    with_menu,
    with_about,
    with_stop_all,
]
