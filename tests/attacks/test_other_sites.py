"""Other sites' pages in a real Chromium: a rebound name reads nothing, and no request of theirs counts."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from orchestra.base import settings
from system_databse import system_db_manager
from tests.frontend.conftest import QUIET_CHROMIUM
from tests.processes import running_terminal

ANYWHERE = "--host-resolver-rules=MAP *.test 127.0.0.1"  # what a rebinding name server answers
READ = "async (path) => { const a = await fetch(path); return [a.status, await a.text()]; }"
ATTACK = """
async (api) => {
  const said = [];
  const attempt = async (name, what) => {
    try { said.push([name, (await what()).type]); } catch (error) { said.push([name, "failed"]); }
  };
  const pin = JSON.stringify({pin: "1111"});
  const plain = {method: "POST", mode: "no-cors", body: pin};
  const json = {method: "POST", headers: {"Content-Type": "application/json"}, body: pin};
  await attempt("plain text", () => fetch(`${api}/api/validate-pin`, plain));
  await attempt("json", () => fetch(`${api}/api/validate-pin`, json));
  await attempt("stop", () => fetch(`${api}/api/algorithms/1`, {method: "DELETE"}));
  await attempt("stop all", () => fetch(`${api}/api/stop-all`, {...plain, body: '{"liquidate": true}'}));
  await attempt("read", () => fetch(`${api}/api/algorithms`));
  await attempt("read blindly", () => fetch(`${api}/api/algorithms`, {mode: "no-cors"}));
  navigator.sendBeacon(`${api}/api/validate-pin`, pin);
  return Object.fromEntries(said);
}
"""
FRAME = """
(api) => {
  document.body.innerHTML = `<iframe src="${api}/" onload="document.title = 'loaded'"></iframe>`;
}
"""
SITES = ("evil.test", "127.0.0.1", "localhost")
Attack = tuple[str, Callable[[Page], Any]]  # an address, and what its page does
FORM = """
(api) => {
  document.body.innerHTML = `<form method=post enctype=text/plain action="${api}/api/validate-pin">
    <input name='{"pin": "1111", "x": "' value='"}'></form>`;
  document.forms[0].submit();
}
"""


class EmptyPage(BaseHTTPRequestHandler):
    """What the attacker's server serves."""

    def do_GET(self) -> None:
        body = b"<!doctype html><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def evil_port() -> Iterator[int]:
    """The port of the attacker's own server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def visit(attacks: dict[str, Attack]) -> dict[str, Any]:
    """Open each attacker's page and let it do what it will; no policy of ours holds it back.

    In a thread: other tests' browsers keep a loop in this one.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("NO CHROMIUM: the page is untested (apt-get install chromium)")
        pytest.skip("NO CHROMIUM: THE PAGE IS UNTESTED (apt-get install chromium)")

    def play() -> dict[str, Any]:
        found = {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=path, args=[*QUIET_CHROMIUM, ANYWHERE]
            )
            for name, (address, attack) in attacks.items():
                page = browser.new_context(bypass_csp=True).new_page()
                page.goto(address)
                found[name] = attack(page)
            browser.close()
        return found

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(play).result()


def read_all(page: Page) -> list[tuple[int, str]]:
    return [page.evaluate(READ, path) for path in ("/api/algorithms", "/", "/api/openapi.json")]


def send_a_form(page: Page, api: str) -> str:
    with page.expect_navigation():
        page.evaluate(FORM, api)
    return page.content()


def frame_us(page: Page, api: str) -> bool:
    """Whether the wall is to be seen in a frame of the attacker's."""
    page.evaluate(FRAME, api)
    page.wait_for_function("document.title === 'loaded'")
    inside = page.query_selector("iframe")
    framed = inside.content_frame() if inside else None
    return framed is not None and framed.query_selector("[data-strip]") is not None


def refused() -> list[str]:
    """What the server's log says of requests that were to change something."""
    lines = (settings.current().log_dir / "api.log").read_text().splitlines()
    return [line.partition("autotrader.api: ")[2] for line in lines if "/api/" in line]


def test_other_sites_pages_read_change_and_count_nothing(tmp_path: Path, evil_port: int) -> None:
    system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    with running_terminal(tmp_path, ("api",)) as terminal:
        api = terminal.api_url
        evil = f"http://evil.test:{evil_port}/"
        attacks: dict[str, Attack] = {
            "rebound": (f"http://evil.test:{api.rpartition(':')[2]}/", read_all),
            # 127.0.0.1: something else that runs on this machine, on another port
            **{
                site: (f"http://{site}:{evil_port}/", lambda page: page.evaluate(ATTACK, api))
                for site in SITES
            },
            "form": (evil, lambda page: send_a_form(page, api)),
            "frame": (evil, lambda page: frame_us(page, api)),
        }
        found = visit(attacks)
        for status, text in found["rebound"]:
            assert status == 400
            assert "AAPL" not in text and "AutoTrader" not in text
        for site in SITES:
            assert set(found[site].values()) == {"failed"} and len(found[site]) == 6, found[site]
        assert "another site" in found["form"]
        assert found["frame"] is False
        # They have come as far as the server, beacons and form included
        pins = "POST /api/validate-pin: 403"
        terminal.wait_for(lambda: refused().count(pins) == 2 * len(SITES) + 1, what="all refused")
        assert refused().count("POST /api/stop-all: 403") == len(SITES)
        assert not [line for line in refused() if not line.endswith(": 403")]
    (failures,) = system_db_manager.ledger().execute("SELECT failures FROM access").fetchone()
    assert failures == 0, "another site's page has used up a PIN try"
    assert system_db_manager.get_all_algorithms()[0]["status"] == "running"
