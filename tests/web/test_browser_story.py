"""Someone in front of the wall: real Chromium, real gunicorn, real orchestrator, simulated exchange."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.exchange_fixture import OPEN_MARKET, STANDING_STILL
from tests.one_share import ONE_SHARE
from tests.processes import running_terminal
from tests.wall import PATIENCE_MS, Wall, in_front_of


def test_a_card_is_added_seen_opened_and_stopped(tmp_path: Path) -> None:
    before_the_open = {"MARKET_CLOCK_START": "2024-06-04T13:00:00Z", "MARKET_CLOCK_SPEED": 1}
    with running_terminal(tmp_path, **before_the_open) as terminal:

        def story(wall: Wall) -> None:
            expect(wall.find("[data-strip]")).to_be_visible()
            assert wall.find("[data-card]").count() == 0
            wall.add_card("sma_crossover", "AAPL", "5000")
            card = wall.find('[data-card="1"]')
            expect(card).to_be_visible()
            expect(card).to_contain_text("AAPL")
            expect(card).to_have_attribute("data-outcome", "even")
            assert [each["initial_capital"] for each in terminal.cards()] == [5000.0]
            card.tap()
            wall.hold("[data-drawer] [data-action=stop]")  # the PIN was entered a moment ago
            expect(card).to_have_count(0, timeout=PATIENCE_MS)
            expect(wall.find("[data-drawer]")).to_have_count(0)
            stopped = terminal.cards("all")
            assert [(each["ticker"], each["status"]) for each in stopped] == [("AAPL", "stopped")]

        in_front_of(terminal.api_url, story)


def test_a_wrong_pin_lets_nobody_in(tmp_path: Path) -> None:
    with running_terminal(tmp_path, ("api",), MARKET_CLOCK_SPEED=STANDING_STILL) as terminal:

        def story(wall: Wall) -> None:
            wall.tap("[data-action=add]")
            wall.enter_pin("2021")
            expect(wall.find("[data-pinpad] [data-message]")).to_contain_text("4 tries left")
            expect(wall.find("[data-add]")).to_have_count(0)
            wall.enter_pin("2020")
            expect(wall.find("[data-add]")).to_be_visible()

        in_front_of(terminal.api_url, story)


def test_a_card_buys_and_is_stopped_with_its_share_sold(tmp_path: Path) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "one_share.py").write_text(ONE_SHARE)
    settings = {"ALGORITHMS_DIR": folder, "MARKET_CLOCK_START": OPEN_MARKET}
    with running_terminal(tmp_path, **settings) as terminal:

        def story(wall: Wall) -> None:
            wall.add_card("one_share", "SPY", "2000")
            card = wall.find('[data-card="1"]')
            expect(card).to_contain_text(re.compile(r"1 sh\b"), timeout=PATIENCE_MS)
            assert [p["qty"] for p in terminal.exchange("GET", "/v2/positions")] == ["1"]
            card.tap()
            wall.hold("[data-drawer] [data-action=stop-sell]")
            expect(card).to_have_count(0, timeout=PATIENCE_MS)
            assert terminal.exchange("GET", "/v2/positions") == []
            assert terminal.card(1)["current_shares"] == 0

        in_front_of(terminal.api_url, story)
