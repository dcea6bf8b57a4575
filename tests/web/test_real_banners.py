"""Each banner by its real cause, and gone again once that is mended: real processes, real Chromium."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from system_databse import heartbeats
from tests.exchange_fixture import OPEN_MARKET
from tests.one_share import ONE_SHARE
from tests.processes import Terminal, running_terminal
from tests.small_disk import resize, small_disk
from tests.wall import PATIENCE_MS, Wall, in_front_of

BROKEN = ONE_SHARE.replace('("buy", 1)', '("buy", 1 / 0)')
SELL_BY_HAND = {"side": "sell", "qty": "1", "type": "market", "time_in_force": "day"}
LONGER_THAN_ITS_SILENCE = (heartbeats.SILENT_AFTER_SECONDS + 30) * 1000


@dataclass
class Owner:
    """Reads the wall and mends what it says."""

    terminal: Terminal
    wall: Wall

    @contextmanager
    def reads(self, kind: str, words: str = "", within: float = PATIENCE_MS) -> Iterator[None]:
        """Read a banner, mend its cause in the block, and see the banner go."""
        shown = self.wall.find(f"[data-banner={kind}]")
        expect(shown).to_contain_text(words, timeout=within)
        yield
        expect(shown).to_have_count(0, timeout=PATIENCE_MS)

    def reads_nothing(self) -> None:
        expect(self.wall.find("[data-banner]")).to_have_count(0, timeout=PATIENCE_MS)

    def adds_a_card_that_buys(self, ticker: str) -> int:
        card = int(self.terminal.add_card(ticker, "one_share", 2_000)["id"])
        self.awaits_a_share_of(card)
        return card

    def awaits_a_share_of(self, card: int) -> None:
        self.terminal.wait_for(
            lambda: self.terminal.card(card)["current_shares"] == 1, what="a share is held"
        )


def test_each_banner_comes_and_goes_with_its_cause(tmp_path: Path) -> None:
    algorithm = tmp_path / "algorithms" / "one_share.py"
    algorithm.parent.mkdir()
    algorithm.write_text(ONE_SHARE)
    settings = {"ALGORITHMS_DIR": algorithm.parent, "MARKET_CLOCK_START": OPEN_MARKET}
    with running_terminal(tmp_path, ("exchange", "api"), **settings) as terminal:

        def story(wall: Wall) -> None:
            owner = Owner(terminal, wall)
            with owner.reads("trader-stopped", "The trader has not been started."):
                terminal.misbehave("clock_skew", seconds=-3600)
                terminal.start("orchestrator")
            with owner.reads("clock", "CLOCK NOT SET"):
                terminal.exchange("DELETE", "/_faults")
            owner.reads_nothing()
            spy = owner.adds_a_card_that_buys("SPY")
            pauses_a_card_that_fails(owner, algorithm)
            loses_every_price(owner)
            sells_behind_its_back(owner, spy)
            terminal.kill("exchange")
            with owner.reads("broker", "BROKER"):
                terminal.start("exchange")
            terminal.kill("api")
            with owner.reads("offline", "last data"):
                terminal.start("api")
            owner.reads_nothing()

        in_front_of(terminal.api_url, story)


def pauses_a_card_that_fails(owner: Owner, algorithm: Path) -> None:
    algorithm.write_text(BROKEN)
    card = owner.terminal.add_card("AAPL", "one_share", 2_000)["id"]
    with owner.reads("card-paused", "not trading: AAPL · Failed 3 times in a row."):
        algorithm.write_text(ONE_SHARE)
    owner.awaits_a_share_of(card)


def loses_every_price(owner: Owner) -> None:
    owner.terminal.misbehave("mute")
    owner.terminal.misbehave("500", path="/v2/stocks")
    with owner.reads("data", "Prices are old: AAPL, SPY."):
        owner.terminal.exchange("DELETE", "/_faults")


def sells_behind_its_back(owner: Owner, card: int) -> None:
    owner.terminal.exchange("POST", "/v2/orders", {"symbol": "SPY", **SELL_BY_HAND})
    with owner.reads("card-frozen", "The broker holds 0 SPY, the ledger 1."):
        owner.wall.tap(f"[data-card='{card}']")
        owner.wall.tap("[data-action=accept]")
        owner.wall.enter_pin("2020")
        owner.wall.tap("[data-drawer] [data-action=cancel]")


def test_a_disk_that_fills_up_is_told_of_until_there_is_room(tmp_path: Path) -> None:
    """The page's server looks at it without the trader, whose sign of life is given here."""
    settings = {"MARKET_CLOCK_START": OPEN_MARKET, "MARKET_CLOCK_SPEED": 60}
    with (
        small_disk(tmp_path / "disk", megabytes=200) as folder,
        running_terminal(tmp_path, ("api",), LOG_DIR=folder, **settings) as terminal,
    ):
        heartbeats.beat({"orchestrator": ("ok", "")})

        def story(wall: Wall) -> None:
            owner = Owner(terminal, wall)
            owner.reads_nothing()
            resize(folder, megabytes=50)
            with owner.reads("disk", "The disk is nearly full: "):
                resize(folder, megabytes=200)

        in_front_of(terminal.api_url, story)


def test_the_pin_that_everybody_knows_is_nagged_about_until_it_is_changed(tmp_path: Path) -> None:
    """On a paper account, where it matters; its broker is far away, so the sign of life is given here."""
    with running_terminal(
        tmp_path, ("api",), ALPACA_API_KEY="any", ALPACA_SECRET="pair"
    ) as terminal:
        heartbeats.beat({"orchestrator": ("ok", "")})

        def story(wall: Wall) -> None:
            expect(wall.find("[data-mode]")).to_contain_text("PAPER")
            with Owner(terminal, wall).reads("pin", "The PIN is still 2020."):
                wall.tap("[data-action=menu]")
                wall.tap("[data-action=pin]")
                for pin, asked in (
                    ("2020", "Change the PIN"),
                    ("4815", "New PIN"),
                    ("4815", "The new PIN again"),
                ):
                    expect(wall.find("[data-pinpad] h2")).to_have_text(asked)
                    wall.enter_pin(pin)
                wall.tap("[data-note] [data-action=submit]")

        in_front_of(terminal.api_url, story)


@pytest.mark.long
def test_a_trader_that_hangs_has_stopped_until_it_goes_on(tmp_path: Path) -> None:
    with running_terminal(tmp_path, MARKET_CLOCK_START=OPEN_MARKET) as terminal:

        def story(wall: Wall) -> None:
            owner = Owner(terminal, wall)
            owner.reads_nothing()
            terminal.orchestrator.send_signal(signal.SIGSTOP)
            with owner.reads("trader-stopped", "no sign of life for 12", LONGER_THAN_ITS_SILENCE):
                terminal.orchestrator.send_signal(signal.SIGCONT)

        in_front_of(terminal.api_url, story)
