"""When the page asks: the roadmap's 30 seconds and 60 minutes, and what bends them."""

from typing import Any

import pytest

from tests.frontend.conftest import Call, OpenWall
from tests.frontend.wire import CLOSED_MARKET, OPEN_MARKET, FakeApi, Json, card

FRIDAY_NIGHT = "2024-01-05T21:30:00Z"
TUESDAY = "2024-01-02T15:42:05Z"


def closed_api(**market: Any) -> FakeApi:
    api = FakeApi()
    api.market_open = False
    api.market = {**CLOSED_MARKET, **market}
    return api


def test_asks_every_30_seconds_while_the_market_is_open(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.pass_seconds(29)
    assert wall.api.polls == 1
    wall.pass_seconds(1)
    assert wall.api.polls == 2
    wall.pass_seconds(30)
    assert wall.api.polls == 3


def test_asks_every_60_minutes_while_the_market_is_closed(open_wall: OpenWall) -> None:
    wall = open_wall(closed_api(), frozen_at=FRIDAY_NIGHT)
    wall.jump_seconds(3599)
    assert wall.api.polls == 1
    wall.jump_seconds(1)
    assert wall.api.polls == 2


@pytest.mark.parametrize("health", ["degraded", "down"])
def test_what_is_wrong_by_night_is_looked_at_as_often_as_by_day(
    open_wall: OpenWall, health: str
) -> None:
    """Else a trouble of a minute, the clock after a power cut say, stands on the wall for an hour."""
    api = closed_api()
    api.health, api.parts = health, {"clock": {"status": "down", "message": "CLOCK NOT SET"}}
    wall = open_wall(api, frozen_at=FRIDAY_NIGHT)
    assert wall.find("[data-banner=clock]").count() == 1
    api.health, api.parts = "ok", {}
    wall.pass_seconds(30)
    assert wall.find("[data-banner]").count() == 0
    wall.jump_seconds(3599)
    assert api.polls == 2
    wall.jump_seconds(1)
    assert api.polls == 3


def test_a_clock_that_is_set_puts_no_poll_off(open_wall: OpenWall) -> None:
    """After a power cut a Pi may take day for night until it hears the time; timers do not notice."""
    api = closed_api(now="2024-01-08T08:00:00Z")
    wall = open_wall(api, frozen_at="2024-01-08T08:00:00Z")
    api.market_open = True
    api.market = {
        **OPEN_MARKET,
        "now": "2024-01-08T15:00:00Z",
        "next_close": "2024-01-08T21:00:00Z",
    }
    wall.page.clock.set_system_time("2024-01-08T15:00:00Z")
    wall.pass_seconds(2)
    assert wall.find("[data-market]").inner_text() == "OPEN to 16:00 ET"
    assert wall.find("[data-banner]").count() == 0
    assert api.polls == 2  # one was enough
    wall.pass_seconds(30)
    assert api.polls == 3


def test_never_sleeps_past_the_open(open_wall: OpenWall) -> None:
    api = closed_api(now="2024-01-08T14:28:30Z")
    wall = open_wall(api, frozen_at="2024-01-08T14:28:30Z")
    wall.pass_seconds(91)
    assert api.polls == 1
    api.market_open = True
    api.market = {
        **OPEN_MARKET,
        "now": "2024-01-08T14:30:02Z",
        "next_close": "2024-01-08T21:00:00Z",
    }
    wall.pass_seconds(1)
    assert api.polls == 2
    assert wall.find("[data-market]").inner_text() == "OPEN to 16:00 ET"
    wall.pass_seconds(30)
    assert api.polls == 3


SIMULATED: Json = {"mode": "simulated", "speed": 60}


@pytest.mark.parametrize(
    ("market_open", "market", "milliseconds"),
    [
        (True, {}, 30_000),
        (True, {"now": "2024-01-02T20:59:50Z"}, 12_000),
        (True, {"speed": 60}, 30_000),  # only a simulated market has a speed
        (True, {**SIMULATED, "speed": 10}, 3_000),
        (True, SIMULATED, 1_000),
        (True, {**SIMULATED, "speed": 0}, 30_000),
        (False, {"next_open": "2024-01-08T14:30:00Z"}, 3_600_000),
        (False, {"now": "2024-01-03T14:29:00Z"}, 62_000),
        (False, {"now": "2024-01-03T14:30:01Z"}, 2_000),
        (False, {**SIMULATED, "next_open": "2024-01-08T14:30:00Z"}, 60_000),
        (False, {**SIMULATED, "now": "2024-01-03T14:25:00Z"}, 5_033.3),
        (False, {**SIMULATED, "skip_closed": True}, 10_033.3),
        (False, {"next_open": None}, 3_600_000),
    ],
)
def test_delay(call: Call, market_open: bool, market: Json, milliseconds: float) -> None:
    answer = {"market_open": market_open, "market": {**OPEN_MARKET, **market}}
    delay = call("polling", "nextDelay", answer)
    assert delay == pytest.approx(milliseconds, abs=1)


def test_an_answer_without_market_times_is_polled_all_the_same(open_wall: OpenWall) -> None:
    api = FakeApi()
    api.market = {}
    wall = open_wall(api, frozen_at=TUESDAY)
    wall.pass_seconds(30)
    assert api.polls == 2


def test_retries_slower_and_slower_and_recovers(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.api.offline = True
    wall.pass_seconds(30)
    asked = 2
    for wait in (5, 10, 20, 40, 60, 60):
        wall.pass_seconds(wait - 1)
        assert wall.api.polls == asked
        wall.pass_seconds(1)
        asked += 1
        assert wall.api.polls == asked
    wall.api.offline = False
    wall.pass_seconds(60)
    wall.pass_seconds(30)
    assert wall.api.polls == asked + 2


def test_gives_an_answer_up_after_10_seconds(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.api.silent = True
    wall.pass_seconds(30)
    assert wall.find("[data-banner]").count() == 0
    wall.pass_seconds(10)
    assert wall.find("[data-banner=offline]").count() == 1
    wall.api.silent = False
    wall.pass_seconds(5)
    assert wall.find("[data-banner]").count() == 0


@pytest.mark.parametrize("event", ["window:online", "document:visibilitychange"])
def test_asks_at_once_on_waking_up(open_wall: OpenWall, event: str) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    target, name = event.split(":")
    wall.page.evaluate(f"{target}.dispatchEvent(new Event('{name}'))")
    wall.settle()
    assert wall.api.polls == 2
    wall.pass_seconds(30)
    assert wall.api.polls == 3  # one chain of timers, not two


def test_waking_up_gives_up_the_question_that_is_still_open(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY)
    wall.api.silent = True
    wall.pass_seconds(30)
    wall.api.silent = False
    wall.poll()
    assert wall.api.polls == 3
    wall.pass_seconds(20)  # the first one would have timed out by now
    assert wall.find("[data-banner]").count() == 0
    assert wall.api.polls == 3
    wall.pass_seconds(10)
    assert wall.api.polls == 4


def test_a_new_build_reloads_the_page_once_nobody_uses_it(open_wall: OpenWall) -> None:
    wall = open_wall()
    wall.page.evaluate("window.same = true")
    wall.act("add")
    wall.api.version = "1.1"
    wall.poll()
    assert wall.page.evaluate("window.same")
    with wall.page.expect_navigation():
        wall.act("cancel")
    wall.card(1).wait_for()
    assert not wall.page.evaluate("window.same === true")


def test_says_how_old_the_figures_are(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at=TUESDAY, timezone_id="America/Denver")
    assert wall.find("[data-updated]").inner_text() == "08:42:05 · 0 s ago · next 30 s"
    wall.pass_seconds(18)
    assert wall.find("[data-updated]").inner_text() == "08:42:05 · 18 s ago · next 12 s"


def test_figures_that_nobody_refreshed_count_as_offline(open_wall: OpenWall) -> None:
    """A page whose timers slept may not show old figures as live, not even for a moment."""
    wall = open_wall(frozen_at=TUESDAY)
    wall.api.silent = True
    wall.jump_seconds(600)
    assert wall.find("[data-banner=offline]").inner_text().endswith("10 min ago")
    wall.api.silent = False
    wall.poll()
    assert wall.find("[data-banner]").count() == 0


def test_an_answer_without_cards_is_no_empty_wall(open_wall: OpenWall) -> None:
    wall = open_wall()
    wall.api.cards = None  # type: ignore[assignment]
    wall.poll()
    assert wall.find("[data-banner=offline]").count() == 1
    assert wall.card(1).is_visible()
    wall.api.cards = [card(1, 5.0)]
    wall.poll()
    assert wall.find("[data-banner]").count() == 0
