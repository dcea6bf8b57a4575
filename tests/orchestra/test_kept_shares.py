"""Shares that a stopped card keeps are worth what the market says, for as long as it holds them."""

from pathlib import Path

from database import db_manager, verdicts
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, floor_minute
from tests.processes import running_terminal


def newest() -> str:
    bar = db_manager.newest_bar("NVDA", clock.now())
    return "" if bar is None else str(bar["timestamp"])


def test_kept_shares_are_followed_until_they_are_sold(tmp_path: Path) -> None:
    with running_terminal(tmp_path) as terminal:
        number = terminal.add_card("NVDA", "buy_and_hold")["id"]
        terminal.wait_for(lambda: terminal.card(number)["current_shares"], what="the first shares")
        terminal.stop_card(number)
        stopped = clock.stamp(floor_minute(clock.now() + 2 * MINUTE))
        terminal.wait_for(lambda: newest() > stopped, what="a bar of after the stop")
        assert terminal.subscribed() == ["NVDA"]
        terminal.misbehave("mute")  # from now on it has to be fetched
        muted = clock.stamp(floor_minute(clock.now() + 2 * MINUTE))
        terminal.wait_for(lambda: newest() > muted, what="a bar that was not streamed")
        assert verdicts.verdicts("NVDA", newest(), newest())[0].way == "fetched"
        [card] = terminal.cards("stopped")
        assert card["current_shares"] and not card["price_stale"]
        terminal.stop_card(number, liquidate=True)
        terminal.wait_for(lambda: terminal.subscribed() == [], what="the end of the subscription")
        assert terminal.card(number)["current_shares"] == 0
