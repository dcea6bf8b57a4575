"""The roadmap's "Phase 4 Testing", line by line: the real page in Chromium, on made-up answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.frontend.wire import CLOSED_MARKET, FakeApi, card
from tests.processes import running_terminal
from tests.wall import Wall, in_front_of

TUESDAY = "2024-01-02T15:42:05Z"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the real server serves the page; no answer of its API is used here."""
    with running_terminal(tmp_path, ("api",)) as terminal:
        yield terminal.api_url


def test_mock_api_responses_initially(address: str) -> None:
    """Mock API responses initially"""
    api = FakeApi()
    api.cards = [card(1, 581.25), card(2, -12.5), card(3, 0.0)]

    def story(wall: Wall) -> None:
        outcomes = {1: "profit", 2: "loss", 3: "even"}
        for number, outcome in outcomes.items():
            shown = wall.find(f'[data-card="{number}"]')
            expect(shown).to_have_attribute("data-outcome", outcome)

    in_front_of(address, story, api)


def test_pin_validation(address: str) -> None:
    """Test PIN validation"""
    api = FakeApi()

    def story(wall: Wall) -> None:
        wall.tap("[data-action=add]")
        wall.enter_pin("1111")
        expect(wall.find("[data-pinpad] [data-message]")).to_contain_text("Wrong PIN")
        expect(wall.find("[data-add]")).to_have_count(0)
        wall.enter_pin("2020")
        expect(wall.find("[data-add]")).to_be_visible()

    in_front_of(address, story, api)
    assert [call.body for call in api.asked("POST", "validate-pin")] == [
        {"pin": "1111"},
        {"pin": "2020"},
    ]


def test_verify_card_updates(address: str) -> None:
    """Verify card updates"""
    api = FakeApi()
    api.cards = [card(1, 581.25)]

    def story(wall: Wall) -> None:
        shown = wall.find('[data-card="1"]')
        expect(shown.locator("[data-pnl]")).to_have_attribute("data-pnl", "581.25")
        api.cards = [card(1, -40.0)]
        wall.pass_seconds(30)
        expect(shown.locator("[data-pnl]")).to_have_attribute("data-pnl", "-40")
        expect(shown).to_have_attribute("data-outcome", "loss")

    in_front_of(address, story, api, frozen_at=TUESDAY)


def test_market_status_flag_updates_polling_interval(address: str) -> None:
    """Test market status flag updates polling interval"""
    api = FakeApi()

    def story(wall: Wall) -> None:
        wall.pass_seconds(29)
        assert api.polls == 1
        api.market_open, api.market = False, CLOSED_MARKET
        wall.pass_seconds(1)  # 30 seconds: it hears that the market is closed
        assert api.polls == 2
        wall.pass_seconds(3590)
        assert api.polls == 2
        wall.pass_seconds(10)  # 60 minutes
        assert api.polls == 3

    in_front_of(address, story, api, frozen_at=TUESDAY)
