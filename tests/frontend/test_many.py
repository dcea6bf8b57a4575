"""Three hundred cards: the wall is as usable as with three."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.wire import FakeApi, card

CARDS = 300
LAID_OUT = """(cards) => cards
    .filter((card) => card.querySelector(".ticker").checkVisibility({ contentVisibilityAuto: true }))
    .map((card) => Number(card.dataset.card))"""
WATCH = """(strip) => { window.touched = [];
    const cardOf = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest("[data-card]");
    new MutationObserver((records) => {
        for (const { target } of records) window.touched.push(Number(cardOf(target)?.dataset.card ?? 0));
    }).observe(strip, { subtree: true, childList: true, attributes: true, characterData: true }); }"""


@pytest.fixture
def crowd(open_wall: OpenWall) -> Iterator[Wall]:
    api = FakeApi()
    api.cards = [card(number, number - 150.0) for number in range(1, CARDS + 1)]
    wall = open_wall(api)
    expect(wall.find("[data-card]")).to_have_count(CARDS)
    yield wall


def laid_out(wall: Wall) -> list[int]:
    """The cards whose contents the browser lays out and paints."""
    found: list[int] = wall.find("[data-card]").evaluate_all(LAID_OUT)
    return found


def test_only_what_is_near_the_window_is_laid_out_and_drawn(crowd: Wall) -> None:
    shown = laid_out(crowd)
    assert shown[:3] == [1, 2, 3]
    assert len(shown) < 20
    drawn = crowd.find("[data-card] .spark-line[d^=M]").count()
    assert 3 <= drawn < 20


def test_the_strip_reaches_its_last_card_and_stays_there(crowd: Wall) -> None:
    crowd.find("[data-strip]").evaluate("(strip) => strip.scrollTo({ left: strip.scrollWidth })")
    last = crowd.card(CARDS)
    expect(last.locator("[data-pnl]")).to_be_in_viewport(ratio=1)
    expect(last.locator(".spark-line[d^=M]")).to_have_count(1)
    assert 1 not in laid_out(crowd)
    crowd.api.cards[CARDS - 1] |= {"pnl": -7.5}
    crowd.poll()
    expect(last.locator("[data-pnl]")).to_have_text("−7.50")
    expect(last.locator("[data-pnl]")).to_be_in_viewport(ratio=1)
    last.click()
    expect(crowd.find("[data-drawer]")).to_be_visible()


def test_one_card_that_differs_is_the_only_one_touched(crowd: Wall) -> None:
    crowd.find("[data-strip]").evaluate(WATCH)
    crowd.api.cards[1] |= {"pnl": 4321.0}
    crowd.poll()
    expect(crowd.card(2).locator("[data-pnl]")).to_have_text("+4321")
    assert set(crowd.page.evaluate("window.touched")) == {2}
