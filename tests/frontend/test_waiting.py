"""What the screen shows until the page answers, in a real Chromium, with the real server."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestra import browser as kiosk_browser
from orchestra import kiosk
from orchestra.base import clock, settings
from orchestra.base.settings import ROOT
from tests.conftest import Configure
from tests.frontend.conftest import QUIET_CHROMIUM
from tests.processes import running_terminal, until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "waiting.html"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 800, "height": 480})
    yield found
    found.close()


def test_it_waits_says_why_and_goes_on_to_the_page(page: Page, file: Path, tmp_path: Path) -> None:
    with running_terminal(tmp_path, ()) as terminal:
        assert kiosk.show(file, 1.0) is False
        page.goto(file.as_uri())
        expect(page.locator("h1")).to_have_text("AutoTrader is starting")
        assert kiosk.show(file, kiosk.PATIENCE_SECONDS + 1) is False
        expect(page.locator("h1")).to_have_text(
            "AutoTrader does not answer"
        )  # it loads itself anew
        expect(page.locator("p").last).to_contain_text("sudo systemctl status 'autotrader-*'")
        terminal.start("api")
        assert kiosk.show(file, 99.0) is True
        expect(page.locator("[data-page]")).to_be_visible(timeout=15_000)
        assert page.url == f"{settings.current().page_url}/"


def test_a_wrong_setting_is_on_the_screen_until_it_is_corrected(
    page: Page, file: Path, configure: Configure
) -> None:
    configure(ALPACA_PAPER="<b>maybe</b>")
    assert kiosk.show(file, 1.0) is False
    page.goto(file.as_uri())
    expect(page.locator("h1")).to_have_text("AutoTrader cannot start")
    sentence = "Setting ALPACA_PAPER: expected exactly True or False, found '<b>maybe</b>'."
    expect(page.locator("p").first).to_have_text(sentence)
    width, height = page.evaluate("[document.body.scrollWidth, document.body.scrollHeight]")
    assert width <= 800 and height <= 480
    configure(ALPACA_PAPER="True")
    assert kiosk.show(file, 1.0) is False
    expect(page.locator("h1")).to_have_text("AutoTrader is starting")


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        ("2024-06-04T14:00:00Z", "2024-06-05T08:30:00Z"),
        ("2024-06-05T08:29:59Z", "2024-06-05T08:30:00Z"),
        ("2024-06-05T08:30:00Z", "2024-06-06T08:30:00Z"),
        ("2024-06-05T03:00:00Z", "2024-06-05T08:30:00Z"),  # in New York it is still the 4th
        ("2024-11-02T12:00:00Z", "2024-11-03T09:30:00Z"),  # the clocks go back that night
        ("2024-03-09T12:00:00Z", "2024-03-10T08:30:00Z"),  # and forward in this one
    ],
)
def test_the_browser_begins_anew_hours_before_the_open(moment: str, night: str) -> None:
    assert kiosk.next_night(clock.parse(moment)) == clock.parse(night)


def test_the_page_is_magnified(browser: Browser, file: Path, tmp_path: Path) -> None:
    file.write_text("<h1>AutoTrader</h1>")
    profile = tmp_path / "profile"
    for scale in (1.6, 1.0):  # of a profile that is there already too
        kiosk_browser.zoom(profile, scale)
        window = browser.browser_type.launch_persistent_context(
            profile,
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=[*QUIET_CHROMIUM, "--window-size=1280,720"],
            no_viewport=True,
        )
        page = window.pages[0]
        page.goto(file.as_uri())
        assert page.evaluate("devicePixelRatio") == pytest.approx(scale)
        assert page.evaluate("innerWidth") == pytest.approx(1280 / scale, abs=2)
        window.close()


def test_a_page_that_crashed_is_noticed(browser: Browser, file: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None  # the fixture has seen to that
    file.write_text("<h1>AutoTrader</h1>")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    flags = [
        *QUIET_CHROMIUM,
        *kiosk_browser.FLAGS,
        *root,
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    window = subprocess.Popen(
        [chromium, "--headless=new", *flags, file.as_uri()], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: kiosk_browser.draws(window), what="the page is drawn")
        drawing = subprocess.run(
            ["pgrep", "-f", f"type=renderer.*{tmp_path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        for pid in drawing.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        until(lambda: not kiosk_browser.draws(window), what="nothing draws any more")
        assert window.poll() is None
    finally:
        window.terminate()
        window.wait(30)


KIOSK = """
import os
os.geteuid = lambda: 1000  # a browser is not opened as root
from orchestra import kiosk
kiosk.LOOK_SECONDS, kiosk.END_SECONDS = 0.1, 0.5
kiosk.kiosk()
"""
HANGING_BROWSER = """
trap '' TERM
sh -c 'sleep 2; exit' --type=renderer &
while :; do sleep 0.2; done
"""


def run_kiosk(folder: Path, browser: str) -> int:
    """Run the kiosk until it ends with a shell script for a browser; ``folder`` is its memory's."""
    program = folder / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{browser}")
    program.chmod(0o755)
    screen = {"DISPLAY": ":99", "WAYLAND_DISPLAY": "", "XDG_RUNTIME_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", KIOSK],
        cwd=ROOT,
        env={**os.environ, **screen, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        return process.wait(30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_browser_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """Its page has crashed, and then it hangs: by itself its last picture would stay for ever."""
    assert run_kiosk(tmp_path, HANGING_BROWSER) == 0


def test_a_browser_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    """A lock of a machine with another name would keep it shut; some versions leave 4 MB each time."""
    profile = tmp_path / "autotrader-chromium"
    left = profile / "BrowserMetrics" / "BrowserMetrics-1.pma"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 4_000_000)
    (profile / "SingletonLock").symlink_to("wall-1234")
    assert run_kiosk(tmp_path, "exit 0") == 0
    names = {path.name for path in profile.iterdir()}
    assert names == {"waiting.html", "Default"}  # what is said meanwhile, and how large the page is
