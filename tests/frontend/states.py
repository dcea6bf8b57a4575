"""The page in each of its states: walks through it that stop wherever there is something to look at.

A walk is a generator: it yields the name of each state once the page is in it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from tests.frontend.conftest import Wall
from tests.frontend.wire import (
    CASH,
    CLOSED_MARKET,
    LISTED,
    Answer,
    FakeApi,
    bars,
    card,
    decision,
    error,
    minute,
    spark,
    transaction,
    tried,
)

LONG_NAME = "momentum_breakout_with_volume"
FAULT = f"ZeroDivisionError: division by zero in line 31 of {LONG_NAME}.py"
OWNERS = [("NVDA", 581.25), ("AAPL", -204.5), ("TSLA", 0.0), ("SPY", 48.72), ("KO", -7.05)]

Walk = Iterator[str]


def day(seed: int, end: float, points: int = 62) -> list[list[Any]]:
    """A line of a session that ends at a profit or loss of ``end`` dollars."""
    values = []
    for step in range(points):
        wave = math.sin(step / 7 + seed) + math.sin(step / 2.3 + 3 * seed) / 3
        values.append(10_000 + end * step / (points - 1) + 60 * wave * (1 - step / points))
    return [[minute(5 * step), value] for step, value in enumerate(values)]


def usual(**market: Any) -> FakeApi:
    """A good day on a paper account: five cards."""
    api = FakeApi()
    api.cards = [
        card(
            number,
            pnl,
            ticker=ticker,
            spark=day(number, pnl) if pnl else spark([10_000.0] * 78),
            marks=[[minute(40 * number), "buy"], [minute(180 + 20 * number), "sell"]],
            current_shares=125 if pnl else 0,
            trade_count=3 if pnl else 0,
            today_pnl=round(pnl / 3, 2),
        )
        for number, (ticker, pnl) in enumerate(OWNERS, 1)
    ]
    api.market |= market
    return api


def closed(**market: Any) -> FakeApi:
    api = usual()
    api.market_open, api.market = False, {**CLOSED_MARKET, **market}
    return api


def crowded() -> FakeApi:
    """Long names, large figures, every state, the longest bar."""
    api = FakeApi()
    line = spark([10000 + (number * 37) % 91 for number in range(78)])
    reason = {
        "bar": "2024-01-02T15:41:00Z",
        "action": "buy",
        "shares": 57,
        "reason": "asked 58, " * 9,
    }
    named: dict[str, Any] = {"algorithm_type": LONG_NAME, "spark": line, "last_decision": reason}
    api.cards = [
        card(1, 12345.67, ticker="BRK.B", **named),
        card(2, -99999.0, ticker="GOOGL", current_value=112345.67, initial_capital=1e6, spark=line),
        card(3, 0.0, ticker="F", state="paused", last_decision=None, spark=[]),
        card(
            4, -12.34, algorithm_type=LONG_NAME, state="frozen", price_stale=True, trade_count=1234
        ),
        card(5, 1.0, status="stopped", state="stopped"),
        card(6, 2.0),
    ]
    api.market.update(mode="simulated", speed=60)
    api.parts = {"orchestrator": {"status": "down", "message": "no heartbeat for 3 min; " * 3}}
    api.transactions = [
        transaction(number, "sell" if number % 2 else "buy", 3 * number, 1210)
        for number in range(40, 0, -1)
    ]
    api.decisions = [
        decision(number, "buy", 1210, "crossed above " * 9) for number in range(50, 0, -1)
    ]
    api.bars = bars(200)
    api.equity = [[minute(number), 10_000 + 90 * math.sin(number / 20)] for number in range(200)]
    api.replies["POST algorithms"] = error(
        409, "not_enough", "12,000 is more than is available " * 2
    )
    return api


def the_wall(wall: Wall) -> Walk:
    """Cards on a usual day, and in each state a card or the whole wall may be in."""
    yield "usual"
    wall.api.market.update(mode="simulated", speed=60)
    show(wall, usual(mode="simulated", speed=60))
    yield "simulated"
    show(wall, usual(mode="live"))
    yield "live"
    show(wall, crowded())
    yield "crowded"
    for name, count in (("one_card", 1), ("two_cards", 2)):
        few = usual()
        few.cards = few.cards[:count]
        show(wall, few)
        yield name
    for name, numbers in (("twelve_cards", range(-6, 6)), ("sixty_cards", range(-30, 30))):
        many = usual()
        many.cards = [card(number, number * 100.0) for number in numbers]
        show(wall, many)
        yield name


def the_quiet_wall(wall: Wall) -> Walk:
    """Nothing there yet, nothing there any more, nobody answers."""
    nothing = FakeApi()
    nothing.cards = []
    show(wall, nothing)
    yield "no_cards"
    first = FakeApi()
    untouched: dict[str, Any] = {
        "current_shares": 0, "trade_count": 0, "today_pnl": 0.0, "spark": [], "last_decision": None,
        "current_price": 0.0, "last_bar_at": None, "cash": 10_000.0, "invested": 0.0,
    }  # fmt: skip
    first.cards = [card(1, **untouched), card(2, **{**untouched, "ticker": "KO"})]
    show(wall, first)
    yield "first_minute"
    show(wall, closed())
    yield "closed"
    empty = closed()
    empty.cards = []
    show(wall, empty)
    yield "closed_no_cards"
    show(wall, usual())
    wall.api.offline = True
    wall.poll()
    yield "offline"
    wall.page.goto("about:blank")
    wall.page.goto(wall.address)
    wall.find("[data-banner=offline]").wait_for()
    yield "offline_from_the_start"


def the_pin(wall: Wall) -> Walk:
    wall.act("add")
    yield "pin"
    wall.press("999999999")
    wall.act("submit")
    wall.find("text=tries left").wait_for()
    yield "pin_wrong"
    body = {"error": "Too many wrong tries", "code": "locked_out"}
    wall.api.replies["POST validate-pin"] = Answer(body, 429, {"Retry-After": "3600"})
    wall.press("1111")
    wall.act("submit")
    wall.find("text=Locked").wait_for()
    yield "pin_locked"


def adding(wall: Wall) -> Walk:
    parameters = {
        name: {"default": 20, "min": 2, "max": 200000, "title": f"{name} average in minutes"}
        for name in ("short", "long", "factor")
    }
    known = [
        {**LISTED["algorithms"][0], "parameters": parameters},
        {**LISTED["algorithms"][0], "name": LONG_NAME, "description": "Buys when " * 12},
        {**LISTED["algorithms"][0], "name": "broken", "error": FAULT},
        *({**LISTED["algorithms"][0], "name": f"idea_{number}"} for number in range(3)),
    ]
    wall.api.replies["GET available-algorithms"] = Answer({"algorithms": known})
    wall.api.replies["GET account/cash"] = Answer(
        {**CASH, "available": 1_025_000.5, "rule": "strict"}
    )
    wall.act("add")
    wall.enter_pin()
    wall.find("[data-option]").first.wait_for()
    yield "add_algorithm"
    wall.find("[data-option=sma_crossover]").click()
    wall.press("NV")
    wall.find("[data-suggestion]").first.wait_for()
    yield "add_ticker"
    wall.press("DANVDANVDA")
    wall.api.replies["GET assets"] = Answer({"items": [], "complete": True})
    wall.press("Z")
    wall.find("text=nothing like").wait_for()
    yield "add_unknown_ticker"
    wall.find("[data-field=parameters]").click()
    wall.find("[data-parameter=long]").click()
    wall.press("12345")
    yield "add_parameters"
    wall.find("[data-usual]").click()
    wall.find("[data-field=capital]").click()
    wall.press("999999999")
    note = "290 minutes of history are missing and count as without a trade: it has no answer"
    wall.api.replies["GET backtests/1"] = Answer(tried(-1234.5, trades=1234, notes=[note]))
    wall.find("[data-preview] >> text=buy & hold").wait_for()
    yield "add_capital"
    wall.act("submit")
    wall.find("text=more than is available").wait_for()
    yield "add_refused"


def the_drawer(wall: Wall) -> Walk:
    wall.card(1).click()
    wall.find("[data-chart] canvas").first.wait_for()
    yield "drawer_chart"
    wall.find("[data-tab=equity]").click()
    wall.find("[data-chart] canvas").first.wait_for()
    yield "drawer_worth"
    for tab in ("transactions", "decisions"):
        wall.find(f"[data-tab={tab}]").click()
        wall.find("[data-drawer] li[data-type]").first.wait_for()
        yield f"drawer_{tab}"
    wall.act("capital")
    wall.find("[data-capital] >> text=available").wait_for()
    wall.press("99999")
    yield "capital"


def the_drawer_in_trouble(wall: Wall) -> Walk:
    wall.api.cards[3]["state_reason"] = FAULT
    wall.api.bars = []
    wall.poll()
    wall.page.route("**/lightweight-charts.js", lambda route: route.abort())
    wall.card(5).click()
    wall.find("text=chart unavailable").wait_for()
    yield "drawer_stopped"
    wall.page.unroute("**/lightweight-charts.js")
    wall.act("cancel")
    wall.card(4).click()
    wall.find("text=no bars yet").wait_for()
    yield "drawer_frozen"
    wall.act("cancel")
    wall.card(3).click()
    wall.find("text=no bars yet").wait_for()
    wall.act("stop")
    wall.find("text=Hold the button").wait_for()
    yield "drawer_paused"
    wall.api.offline = True
    wall.poll()
    wall.find("text=old figures").wait_for()
    yield "drawer_old"


def the_menu(wall: Wall) -> Walk:
    show(wall, usual())
    wall.act("menu")
    wall.find("[data-menu]").wait_for()
    yield "menu"
    wall.find("[data-menu] [data-action=report]").click()
    wall.find("text=Tue 2 Jan").wait_for()
    yield "report"
    wall.act("cancel")
    wall.act("menu")
    show(wall, crowded())
    wall.find("text=FROZEN").first.wait_for()
    yield "menu_with_problems"
    wall.act("about")
    yield "about"
    wall.act("cancel")
    wall.act("menu")
    wall.act("pin")
    wall.enter_pin()
    wall.find("text=New PIN").wait_for()
    wall.press("12")
    wall.act("submit")
    wall.find("text=4 to 12 digits").first.wait_for()
    yield "new_pin"


def stopping_all(wall: Wall) -> Walk:
    show(wall, crowded())
    wall.act("menu")
    wall.act("stop-all")
    wall.act("stop-sell")
    wall.find("text=Hold the button").wait_for()
    yield "stop_all"
    wall.api.replies["POST stop-all"] = Answer({"algorithms": wall.api.cards})
    wall.api.cards = [{**each, "status": "stopped", "state": "stopping"} for each in wall.api.cards]
    wall.hold("stop-sell")
    wall.enter_pin()
    wall.api.cards = wall.api.cards[:2]
    wall.find("text=2 cards and 250 shares to go").wait_for()
    yield "stop_all_progress"
    wall.api.cards = []
    wall.find("text=Flat").wait_for()
    yield "stop_all_done"


def show(wall: Wall, api: FakeApi) -> None:
    """Let the page see another server's state."""
    for name in ("cards", "market", "market_open", "parts", "totals"):
        setattr(wall.api, name, getattr(api, name))
    wall.poll()


WALKS: list[tuple[Callable[[Wall], Walk], Callable[[], FakeApi]]] = [
    (the_wall, usual),
    (the_quiet_wall, usual),
    (the_pin, crowded),
    (adding, crowded),
    (the_drawer, crowded),
    (the_drawer_in_trouble, crowded),
    (the_menu, crowded),
    (stopping_all, crowded),
]
