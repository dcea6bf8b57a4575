"""The page in a headed kiosk window: headless Chromium draws no scrollbars and hides what they break."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.frontend.conftest import QUIET_CHROMIUM
from tests.frontend.wire import FakeApi, card

KIOSK = ["--kiosk", "--ozone-platform=x11", "--window-position=0,0", "--window-size=800,480"]


@pytest.fixture
def display() -> Iterator[str]:
    """A screen of 800x480 that nobody sees."""
    if shutil.which("Xvfb") is None:
        pytest.skip("NO XVFB: THE HEADED KIOSK IS UNTESTED (apt-get install xvfb)")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()  # written once it is ready
    yield f":{number}"
    server.terminate()
    server.wait(timeout=30)


def test_fills_the_screen_without_scrollbars(
    browser: Browser, address: str, display: str, tmp_path: Path
) -> None:
    api = FakeApi()
    api.cards = [card(number, number * 100.0) for number in range(1, 7)]
    window = browser.browser_type.launch_persistent_context(
        tmp_path,
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
        headless=False,
        no_viewport=True,
        args=[*QUIET_CHROMIUM, *KIOSK],
        env={**os.environ, "DISPLAY": display},
    )
    try:
        window.route("**/api/**", api.handle)
        page = window.pages[0]
        page.goto(address)
        expect(page.locator("[data-card]")).to_have_count(6)
        # Without a window manager Chromium keeps a pixel off a full screen
        expect(page.locator("[data-page]")).to_have_css("width", re.compile(r"(799|800)px"))
        expect(page.locator("[data-page]")).to_have_css("height", re.compile(r"(479|480)px"))
        bars = "[innerWidth - document.documentElement.clientWidth, innerHeight - document.documentElement.clientHeight]"  # noqa: E501
        assert page.evaluate(bars) == [0, 0]
        strip = page.locator("[data-strip]")
        assert strip.evaluate("(node) => node.offsetHeight - node.clientHeight") == 0
        page.locator('[data-card="1"]').click()
        page.locator("[data-drawer]").wait_for()
        assert page.evaluate(bars) == [0, 0]
    finally:
        window.close()
