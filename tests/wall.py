"""Someone in front of the real page: Chromium at 800x480, touched by finger."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, sync_playwright

from orchestra.base import sqlite
from tests.frontend.conftest import QUIET_CHROMIUM
from tests.frontend.wire import FakeApi

PATIENCE_MS = 30_000


class Wall:
    """The page, touched by finger: every element is found by its data- hook."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def tap(self, selector: str) -> None:
        self.find(selector).tap()

    def hold(self, selector: str) -> None:
        """Keep a finger on a button until the page takes it for meant."""
        box = self.find(selector).bounding_box()
        assert box is not None
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        fingers = self.page.context.new_cdp_session(self.page)
        fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
        self.find("[data-holding]").wait_for()
        self.find("[data-holding]").wait_for(state="detached")
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        fingers.detach()

    def type(self, dialog: str, text: str) -> None:
        for letter in text:
            self.tap(f'[{dialog}] [data-key="{letter}"]')

    def pass_seconds(self, seconds: float) -> None:
        """Let the page's own time run; an answer arrives before this returns."""
        self.page.clock.run_for(int(seconds * 1000))
        self.page.evaluate("() => fetch('style.css').then((answer) => answer.text())")

    def enter_pin(self, pin: str) -> None:
        self.type("data-pinpad", pin)
        self.tap("[data-pinpad] [data-action=submit]")

    def add_card(self, algorithm: str, ticker: str, capital: str) -> None:
        self.tap("[data-action=add]")
        self.enter_pin("2020")
        self.find("[data-add]").wait_for()
        # The only algorithm there is gets chosen by itself, which leads on to the next field
        self.find("[data-add] >> text=reading the folder").wait_for(state="detached")
        self.tap("[data-add] [data-field=algorithm]")
        self.tap(f"[data-add] [data-option={algorithm}]")
        self.tap("[data-add] [data-field=ticker]")
        self.type("data-add", ticker)
        self.tap("[data-add] [data-field=capital]")
        self.type("data-add", capital)
        self.tap("[data-add] [data-action=submit]")


def in_front_of(
    address: str,
    story: Callable[[Wall], None],
    api: FakeApi | None = None,
    frozen_at: str | None = None,
) -> None:
    """Open the page and play a story on it; fails when the page complained on its console.

    With ``api`` its answers take the place of the server's; with ``frozen_at`` the page's own time stands
    still but for ``pass_seconds``. It plays in a thread: other tests' browsers keep a loop in this one.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("NO CHROMIUM: the page is untested (apt-get install chromium)")
        pytest.skip("NO CHROMIUM: THE PAGE IS UNTESTED (apt-get install chromium)")

    def play() -> list[str]:
        complaints: list[str] = []

        def note(line: Any) -> None:
            refused = "Failed to load resource" in line.text  # Chromium's own word on a 401 or 503
            if line.type in ("error", "warning") and not refused:
                complaints.append(line.text)

        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=QUIET_CHROMIUM)
                size = ViewportSize(width=800, height=480)
                context = browser.new_context(viewport=size, has_touch=True)
                context.set_default_timeout(PATIENCE_MS)
                page = context.new_page()
                page.on("pageerror", lambda fault: complaints.append(str(fault)))
                page.on("console", note)
                if api is not None:
                    context.route("**/api/**", api.handle)
                if frozen_at is not None:
                    # It runs until it is paused, which can only be at a later time
                    page.clock.install(
                        time=datetime.fromisoformat(frozen_at) - timedelta(minutes=5)
                    )
                    page.clock.pause_at(frozen_at)
                page.goto(address)
                page.locator("[data-mode]:not([data-mode=unknown])").wait_for()
                story(Wall(page))
                browser.close()
        finally:
            sqlite.close_kept()
        return complaints

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(play).result() == []
