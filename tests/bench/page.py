"""What the page weighs and what it costs the browser, as on a Pi: Chromium's CPU slowed down four times.

Run by hand: .venv/bin/python -m tests.bench.page [--quick]. Main-thread time is what Chromium's own counter
of tasks (Performance.getMetrics, TaskDuration, in CPU time of that thread) grew by; it stands beside a bare
page of as many boxes.
"""

import math
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.bench.place import own_place
from tests.bench.rows import Row, run
from tests.exchange_fixture import STANDING_STILL
from tests.frontend.conftest import QUIET_CHROMIUM, serving
from tests.frontend.wire import CLOSED_MARKET, FakeApi, Json, bars, card, minute, transaction
from tests.processes import running_terminal, until

CARDS = 60
SLOWER = 4
WALL = {"width": 800, "height": 480}
BEFORE_THE_CLOSE = "2024-01-02T20:50:00Z"
OPEN_POLL_SECONDS, CLOSED_POLL_SECONDS = 30, 3600
WARM_UP_POLLS = 60
# V8's table of numbers already written grows once, by 64 kB, when it is first full: that is no page's
FILL_NUMBERS = "() => { for (let number = 0; number < 100000; number += 1) String(number); }"
ELEMENTS = "document.querySelectorAll('*').length"
BARE = (
    "<body>" + CARDS * "<div style='border:6px solid #0e7;height:300px'>+581.25</div>" + "</body>"
)
SHOWN_MS = 1000  # a flash lasts 300
SETTLED = """() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"""
WEIGHTS = """() => ["navigation", "resource"]
    .flatMap((kind) => performance.getEntriesByType(kind))
    .map(({ name, encodedBodySize }) => [name, encodedBodySize])"""
WATCH = """() => { window.touched = 0;
    new MutationObserver((records) => { window.touched += records.length; })
        .observe(document, { subtree: true, childList: true, attributes: true, characterData: true }); }"""

OPEN_AND_CLOSE = """async (times) => {
    for (let opened = 0; opened < times; opened += 1) {
        document.querySelector("[data-card='1']").click();
        while (!document.querySelector("[data-chart] canvas")) await new Promise(requestAnimationFrame);
        document.querySelector("[data-drawer] [data-action=cancel]").click();
    }
    performance.clearResourceTimings(); }"""


def measure(quick: bool) -> Iterator[Row]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=QUIET_CHROMIUM,
        )
        yield from first_load(browser)
        with serving() as address:
            yield from main_thread(browser, address, rounds=3 if quick else 5)
            yield from nothing_new(browser, address)
            yield from a_day(browser, address, *((2, 40) if quick else (18, 720)))  # 24 hours
            yield from drawers(browser, address, times=10 if quick else 50)
        browser.close()


def first_load(browser: Browser) -> Iterator[Row]:
    """Over HTTP from the real server, with cards in its ledger."""
    with (
        own_place() as folder,
        running_terminal(folder, MARKET_CLOCK_SPEED=STANDING_STILL) as terminal,
    ):
        for ticker in ("AAPL", "NVDA", "SPY"):
            terminal.add_card(ticker)
        page = browser.new_page(viewport=WALL)
        page.goto(terminal.api_url)
        page.locator("[data-card]").first.wait_for()
        loaded = weights(page)
        kilobytes, number = sum(loaded.values()) / 1000, len(loaded)
        yield Row("first load", f"{kilobytes:.0f} kB", "", "at most 150 kB", kilobytes <= 150)
        yield Row("first load", f"{number} requests", "", "at most 25", number <= 25)
        page.locator("[data-card]").first.click()
        page.locator("[data-tab]").first.wait_for()
        until(lambda: page.evaluate("window.LightweightCharts !== undefined"), what="a chart")
        page.wait_for_load_state("networkidle")
        kilobytes = sum(weights(page).values()) / 1000
        yield Row(
            "first load and a drawer with its charts",
            f"{kilobytes:.0f} kB",
            "",
            "at most 320 kB",
            kilobytes <= 320,
        )
        page.close()


def weights(page: Page) -> dict[str, int]:
    """Bytes of each answer's body as it came over the wire, by address."""
    return dict(page.evaluate(WEIGHTS))


def main_thread(browser: Browser, address: str, rounds: int) -> Iterator[Row]:
    bare = statistics.median(milliseconds_of_bare(browser, address) for _ in range(rounds))
    loads, renders, updates = [], [], []
    for number in range(rounds):
        load, render, update = milliseconds_of(browser, address, number)
        loads.append(load)
        renders.append(render)
        updates.append(update)
    for figure, measured, limit in (
        (f"first render of {CARDS} cards, 4x slower CPU", statistics.median(renders), 300),
        ("the same, loading and starting the page included", statistics.median(loads), None),
        ("an answer in which 12 cards differ, 4x slower CPU", statistics.median(updates), 60),
    ):
        yield Row(
            figure,
            f"{measured:.0f} ms",
            f"{bare:.0f} ms",
            f"at most {limit} ms" if limit else "",
            measured <= limit if limit else None,
            measured / bare,
        )


def milliseconds_of_bare(browser: Browser, address: str) -> float:
    """The floor: a page of as many boxes with a figure each."""
    with slow_page(browser) as (page, metrics):
        page.route("**/bare", lambda route: route.fulfill(body=BARE, content_type="text/html"))
        before = busy(metrics)
        page.goto(f"{address}bare")
        page.evaluate(SETTLED)
        return busy(metrics) - before


def milliseconds_of(browser: Browser, address: str, number: int) -> tuple[float, float, float]:
    """Of the load as a whole, of the first answer alone, and of one in which 12 cards differ."""
    api = FakeApi()
    api.cards, api.offline = cards(), True
    with slow_page(browser) as (page, metrics):
        page.route("**/api/**", api.handle)
        start = busy(metrics)
        page.goto(address)
        page.locator("[data-banner=offline]").wait_for()
        page.evaluate(SETTLED)
        before = busy(metrics)
        api.offline = False
        ask(page)
        rendered = busy(metrics)
        for each in api.cards[:: CARDS // 12]:
            each |= changed(each, number + 1)
        ask(page)
        return rendered - start, rendered - before, busy(metrics) - rendered


def ask(page: Page) -> None:
    """Have the page ask for the cards, and give it time to show them without a look at it meanwhile."""
    with page.expect_response("**/api/algorithms"):
        page.evaluate("window.dispatchEvent(new Event('online'))")
    page.wait_for_timeout(SHOWN_MS)


def nothing_new(browser: Browser, address: str) -> Iterator[Row]:
    api = FakeApi()
    api.cards = cards()
    page = frozen_page(browser, address, api, "2024-01-02T15:42:05+00:00")
    page.evaluate(WATCH)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    settle(page)
    assert api.polls == 2
    touched = page.evaluate("window.touched")
    yield Row(
        "DOM nodes touched by an answer with nothing new", str(touched), "", "0", touched == 0
    )
    page.context.close()


def a_day(browser: Browser, address: str, closed_hours: int, polls: int) -> Iterator[Row]:
    """A night and a session of ``polls``, each answer of it another, on the browser's clock wound on."""
    api = FakeApi()
    api.cards = cards(12)
    page = frozen_page(browser, address, api, BEFORE_THE_CLOSE)
    session = page.context.new_cdp_session(page)
    page.evaluate(FILL_NUMBERS)
    trade(page, api, WARM_UP_POLLS)  # the first ones fill caches
    sleep(page, api, 1)
    heap = heap_bytes(session)
    elements = page.evaluate(ELEMENTS)
    sleep(page, api, closed_hours)
    trade(page, api, polls)
    assert api.polls == 1 + WARM_UP_POLLS + 2 + 1 + closed_hours + polls
    growth = heap_bytes(session) / heap - 1
    left = page.evaluate(ELEMENTS)
    yield Row(
        f"heap after {closed_hours + polls * OPEN_POLL_SECONDS / 3600:.3g} hours of polling",
        f"{heap * (1 + growth) / 1e6:.2f} MB",
        f"{heap / 1e6:.2f} MB",
        "less than 5 % more",
        growth < 0.05,
        1 + growth,
    )
    yield Row("elements after them", str(left), str(elements), "none more", left <= elements)
    page.context.close()


def trade(page: Page, api: FakeApi, polls: int) -> None:
    """Let the open market pass, each answer different from the last."""
    for number in range(polls):
        for each in api.cards:
            each |= changed(each, number)
        pass_seconds(page, OPEN_POLL_SECONDS)


def sleep(page: Page, api: FakeApi, hours: int) -> None:
    """Let the market be closed for so many hours from the next poll on."""
    api.market_open, api.market = False, CLOSED_MARKET
    pass_seconds(page, OPEN_POLL_SECONDS)
    for _ in range(hours - 1):
        pass_seconds(page, CLOSED_POLL_SECONDS)
    api.market_open = True
    pass_seconds(page, CLOSED_POLL_SECONDS)


def drawers(browser: Browser, address: str, times: int) -> Iterator[Row]:
    """Cards opened with their charts and closed again, by the page itself: a driver keeps its own."""
    api = FakeApi()
    api.cards, api.bars = cards(3), bars(200)
    api.transactions = [transaction(number, "buy", number) for number in range(1, 20)]
    page = browser.new_page(viewport=WALL)
    page.route("**/api/**", api.handle)
    page.goto(address)
    page.locator("[data-card]").first.wait_for()
    session = page.context.new_cdp_session(page)
    heap = []
    for number in (20, times):  # the first ones fill caches
        page.evaluate(OPEN_AND_CLOSE, number)
        heap.append(heap_bytes(session))
    growth = heap[1] / heap[0] - 1
    yield Row(
        f"heap after {times} drawers opened and closed",
        f"{heap[1] / 1e6:.2f} MB",
        f"{heap[0] / 1e6:.2f} MB",
        "less than 5 % more",
        growth < 0.05,
        1 + growth,
    )
    page.close()


@contextmanager
def slow_page(browser: Browser) -> Iterator[tuple[Page, CDPSession]]:
    """A page on a slow machine, and the counters of its process."""
    context = browser.new_context(viewport=WALL)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    yield page, session
    context.close()


def frozen_page(browser: Browser, address: str, api: FakeApi, now: str) -> Page:
    context = browser.new_context(viewport=WALL)
    context.route("**/api/**", api.handle)
    page = context.new_page()
    page.clock.install(time=datetime.fromisoformat(now).replace(minute=0, second=0))
    page.clock.pause_at(now)
    page.goto(address)
    page.locator("[data-card]").first.wait_for()
    return page


def pass_seconds(page: Page, seconds: int) -> None:
    """Wind the clock on, each timer of the page in its turn, and wait until it has dealt with the answer."""
    page.clock.run_for(seconds * 1000)
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page has dealt with every answer sent so far, whatever its clock does."""
    for _ in range(2):
        page.evaluate("() => fetch('api/settle').then((answer) => answer.text())")


def busy(session: CDPSession) -> float:
    """Milliseconds that the main thread has been at work so far."""
    found = {
        each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]
    }
    return float(found["TaskDuration"]) * 1000


def heap_bytes(session: CDPSession) -> float:
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"])


def cards(number: int = CARDS) -> list[Json]:
    return [changed(card(n, ticker=f"T{chr(65 + n % 26)}"), n) for n in range(1, number + 1)]


def changed(before: Json, number: int) -> Json:
    """The card a while later: another profit, another line, another decision."""
    pnl = round(800 * math.sin(number * 1.7 + before["id"]), 2)
    line = [[minute(5 * n), 10_000 + pnl * math.sin(n / 11 + number)] for n in range(78)]
    marks: list[Any] = [[minute(7 * n), "sell" if n % 2 else "buy"] for n in range(10)]
    decided = {
        **before["last_decision"],
        "bar": minute(number % 380),
        "reason": f"no cross {number}",
    }
    return {
        **before,
        "pnl": pnl,
        "current_value": 10_000 + pnl,
        "spark": line,
        "marks": marks,
        "last_decision": decided,
    }


if __name__ == "__main__":
    run(measure)
