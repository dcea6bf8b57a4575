"""Real Chromium on the real files of frontend/; only the server's answers are made up."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    ViewportSize,
    sync_playwright,
)

from orchestra.web.market_routes import chart_library_path
from tests.frontend.wire import FakeApi

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'"
)
QUIET_CHROMIUM = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("NO CHROMIUM: the page is untested (apt-get install chromium)")
        pytest.skip("NO CHROMIUM: THE PAGE IS UNTESTED (apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=QUIET_CHROMIUM)
        yield launched
        launched.close()


class StaticFiles(SimpleHTTPRequestHandler):
    """Serves the page's files under the policy that the real server sends."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", CONTENT_POLICY)
        super().end_headers()

    def translate_path(self, path: str) -> str:
        if path == "/lightweight-charts.js":
            return str(chart_library_path())
        return super().translate_path(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """Serve the page's files; the address ends with a slash."""
    handler = partial(StaticFiles, directory=str(FRONTEND))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


@dataclass
class Wall:
    """The page as someone in front of it sees and touches it."""

    page: Page
    api: FakeApi
    address: str
    complaints: list[str]

    def open(self) -> "Wall":
        """Load the page and wait for what the first answer shows."""
        self.page.goto(self.address)
        shown = "[data-card], [data-banner], .hint"
        if not self.api.silent:
            self.find(shown).first.wait_for()
        self.settle()
        return self

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def card(self, number: int) -> Locator:
        return self.find(f'[data-card="{number}"]')

    def act(self, action: str) -> None:
        self.find(f"[data-action={action}]").click()

    def hold(self, action: str) -> None:
        """Keep the mouse on a button until the page takes it for meant."""
        box = self.find(f"[data-action={action}]").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.find("[data-holding]").wait_for()
        self.find("[data-holding]").wait_for(state="detached")
        self.page.mouse.up()

    def press(self, keys: str) -> None:
        for key in keys:
            self.find(f'[data-key="{key}"]').click()

    def enter_pin(self, pin: str = "2020") -> None:
        self.find("[data-pinpad]").wait_for()
        self.press(pin)
        self.act("submit")

    def settle(self) -> None:
        """Wait until the page has dealt with every answer sent so far."""
        for _ in range(2):
            self.page.evaluate("() => fetch('api/settle').then((answer) => answer.text())")

    def pass_seconds(self, seconds: float) -> None:
        """Let the page's own clock run on, every timer in its turn."""
        self.page.clock.run_for(round(seconds * 1000))
        self.settle()

    def jump_seconds(self, seconds: float) -> None:
        """Put the page's own clock forward, as a sleeping machine does: a due timer fires once."""
        self.page.clock.fast_forward(round(seconds * 1000))
        self.settle()

    def poll(self) -> None:
        """Make the page ask again, as waking up does, and wait until it shows the answer."""
        self.page.evaluate("window.dispatchEvent(new Event('online'))")
        self.settle()


OpenWall = Callable[..., Wall]


@pytest.fixture
def open_wall(browser: Browser, address: str) -> Iterator[OpenWall]:
    """Build a wall of any size: open_wall(api, width=800, height=480, frozen_at=None, touch=False)."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def build(
        api: FakeApi | None = None,
        width: int = 800,
        height: int = 480,
        frozen_at: str | None = None,
        **options: Any,
    ) -> Wall:
        api = api or FakeApi()
        size = ViewportSize(width=width, height=height)
        settings = {"timezone_id": "America/Denver", "locale": "en-GB", **options}
        context = browser.new_context(viewport=size, **settings)
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.route("**/api/**", api.handle)
        page = context.new_page()
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        page.on("console", lambda line: complaints.append(line.text) if _bad(line) else None)
        if frozen_at:
            # Installed, it runs until it is paused, and it can only be paused at a later time.
            page.clock.install(time=datetime.fromisoformat(frozen_at) - timedelta(minutes=5))
            page.clock.pause_at(frozen_at)
        return Wall(page, api, address, complaints).open()

    yield build
    for context in contexts:
        context.close()
    assert complaints == []


def _bad(line: Any) -> bool:
    refused_on_purpose = "Failed to load resource" in line.text
    return line.type in ("error", "warning") and not refused_on_purpose


Call = Callable[..., Any]


@pytest.fixture(scope="session")
def call(browser: Browser, address: str) -> Iterator[Call]:
    """Call a function of one of the page's modules: call("format", "compact", 12345)."""
    page = browser.new_page()
    page.goto(f"{address}icon.svg")

    def run(module: str, name: str, *values: Any) -> Any:
        return page.evaluate(
            "async ([module, name, values]) => (await import(`/${module}.js`))[name](...values)",
            [module, name, list(values)],
        )

    yield run
    page.close()


@pytest.fixture
def wall(open_wall: OpenWall) -> Wall:
    """The page at 800x480 on a paper account in market hours, with one card."""
    return open_wall()
