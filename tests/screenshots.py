"""Takes docs/*.png: a few hours of a simulated session, seen in Chromium at the wall's size."""

import shutil

from playwright.sync_api import Page, sync_playwright

from orchestra.base import clock
from orchestra.base.settings import ROOT
from tests.bench.place import own_place
from tests.processes import Terminal, running_terminal

CARDS = (("SPY", 15_000), ("NVDA", 10_000), ("AAPL", 10_000), ("TSLA", 8_000))
SEEN_AT = "2024-06-04T17:42:00Z"
WALL = {"width": 800, "height": 480}


def main() -> None:
    with own_place() as folder, running_terminal(folder, MARKET_CLOCK_SPEED=180) as terminal:
        for ticker, capital in CARDS:
            terminal.add_card(ticker, capital=capital)
        terminal.wait_for(lambda: clock.stamp() >= SEEN_AT, 300, "the session is well on")
        take(terminal)


def take(terminal: Terminal) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--disable-quic", "--disable-background-networking", "--disable-sync"],
        )
        page = browser.new_page(viewport=WALL, has_touch=True)
        page.goto(terminal.api_url)
        page.locator("[data-card]").first.wait_for()
        shoot(page, "wall")
        page.locator("[data-card]").first.tap()
        page.locator("[data-chart] canvas").first.wait_for()
        page.wait_for_timeout(500)
        shoot(page, "drawer")
        page.locator("[data-drawer] [data-action=cancel]").tap()
        page.locator("[data-action=add]").tap()
        page.locator("[data-pinpad]").wait_for()
        press(page, "2020")
        page.locator("[data-pinpad] [data-action=submit]").tap()
        page.locator("[data-option=sma_crossover]").tap()
        page.locator("[data-add] [data-field=capital]").tap()
        page.locator("[data-step='5000']").tap()
        page.locator("[data-cash]").get_by_text("available").wait_for()
        page.locator("[data-add] [data-field=ticker]").tap()
        press(page, "T")
        page.locator("[data-suggestion=TSLA]").wait_for()
        page.locator("[data-preview] strong:not(:empty)").wait_for()
        shoot(page, "add")
        browser.close()


def press(page: Page, keys: str) -> None:
    for key in keys:
        page.locator(f"[data-key='{key}']").tap()


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=ROOT / "docs" / f"{name}.png")


if __name__ == "__main__":
    main()
