"""The running terminal tells and is heard of; a service that hangs costs no minute."""

from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from orchestra.deadman import Deadman, is_usually_open
from system_databse import decision_journal
from tests.processes import Terminal, running_terminal, until
from tests.telling.post_office import running_office

SPEED = 30  # a market minute is two seconds
MINUTES = 8


def asked(card: int) -> list[str]:
    """The minutes in which the card was really asked, newest first."""
    items, _ = decision_journal.page(card, None, 100)
    return [each["minute"] for each in items if each["action"] != "skipped"]


def part(terminal: Terminal, name: str) -> dict[str, str]:
    found: dict[str, str] = terminal.get("/api/health")["parts"].get(name, {})
    return found


def test_fills_are_told_and_each_cycle_is_heard_of_elsewhere(tmp_path: Path) -> None:
    with (
        running_office() as office,
        running_terminal(
            tmp_path,
            MARKET_CLOCK_START="2024-06-04T13:29:00Z",
            MARKET_CLOCK_SPEED=SPEED,
            NOTIFY_URLS=f"json://127.0.0.1:{office.port}/",
            DEADMAN_URL=f"http://127.0.0.1:{office.port}/alive",
        ) as terminal,
    ):
        card = terminal.add_card("NVDA", "buy_and_hold")["id"]
        terminal.wait_for(lambda: any("NVDA: bought" in line for line in office.lines))
        terminal.wait_for(lambda: len(office.calls) >= 3, what="three cycles were heard of")
        assert set(office.calls) == {"/alive"}
        assert part(terminal, "deadman")["status"] == "ok"
        assert part(terminal, "notifications")["message"] == "JSON (1)."

        office.refuses = True
        terminal.wait_for(lambda: part(terminal, "deadman")["status"] == "degraded")
        assert "it answered 500" in part(terminal, "deadman")["message"]

        office.hangs.set()
        calls = len(office.calls)
        terminal.wait_for(lambda: len(office.calls) > calls, what="a call that hangs")
        begun = asked(card)[0]
        until_then = clock.parse(begun) + MINUTES * MINUTE
        terminal.wait_for(lambda: asked(card)[0] >= clock.stamp(until_then), what="minutes later")
        kept = [minute for minute in asked(card) if begun < minute <= clock.stamp(until_then)]
        # Waiting for it would take longer than two minutes do, each time
        assert len(kept) >= MINUTES - 1
        assert "Timeout" in part(terminal, "deadman")["message"]
        assert "/alive" not in terminal.log() + str(terminal.get("/api/health"))
        terminal.stop("orchestrator")  # also while a call hangs


def test_without_an_address_nothing_is_called() -> None:
    silent = Deadman("", "")
    silent.cycle_done()
    assert silent.health == {}
    silent.close()


def test_an_address_out_of_reach_degrades_health_until_it_answers() -> None:
    with running_office() as office, running_office() as page:
        deadman = Deadman(
            f"http://127.0.0.1:{office.port}/secret-key", f"http://127.0.0.1:{page.port}"
        )
        office.refuses = True
        deadman.cycle_done()
        until(lambda: deadman.health["deadman"][0] == "degraded")
        assert "secret-key" not in deadman.health["deadman"][1]
        office.refuses = False
        deadman.cycle_done()
        until(lambda: deadman.health["deadman"] == ("ok", ""))
        deadman.close()
        gone = Deadman("http://127.0.0.1:9/secret-key", f"http://127.0.0.1:{page.port}")
        gone.cycle_done()
        message = until(lambda: gone.health["deadman"][1])
        assert "ConnectionError" in message and "secret-key" not in message
        gone.close()


def test_it_is_not_called_while_the_page_that_tells_of_all_else_is_gone(tmp_path: Path) -> None:
    with (
        running_office() as office,
        running_terminal(
            tmp_path,
            MARKET_CLOCK_START="2024-06-04T13:29:00Z",
            DEADMAN_URL=f"http://127.0.0.1:{office.port}/alive",
        ) as terminal,
    ):
        terminal.wait_for(lambda: office.calls, what="a call")
        terminal.kill("api")
        terminal.wait_for(lambda: "DEADMAN_URL is not called: the page" in terminal.log())
        calls, then = len(office.calls), clock.now() + 3 * MINUTE
        terminal.wait_for(lambda: clock.now() > then, what="minutes later")
        assert len(office.calls) == calls
        terminal.start("api")
        terminal.wait_for(lambda: len(office.calls) > calls, what="a call again")


def test_a_holiday_is_no_alarm_for_who_waits_for_the_calls(tmp_path: Path) -> None:
    with (
        running_office() as office,
        running_terminal(
            tmp_path,
            MARKET_CLOCK_START="2024-11-28T15:00:00Z",  # Thanksgiving, 10:00 in New York
            MARKET_CLOCK_SPEED=1,
            MARKET_CLOCK_SKIP_CLOSED=False,
            DEADMAN_URL=f"http://127.0.0.1:{office.port}/alive",
        ) as terminal,
    ):
        terminal.wait_for(lambda: office.calls, what="a call")
        assert terminal.get("/api/algorithms")["market_open"] is False


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-11-29T18:30:00Z", True),  # half an hour after an early close
        ("2024-11-28T14:30:00Z", True),
        ("2024-11-28T14:29:59Z", False),
        ("2024-11-28T21:00:00Z", False),
        ("2024-11-30T15:00:00Z", False),  # a Saturday
        ("2025-04-18T13:30:00Z", True),  # Good Friday, in summer time
    ],
)
def test_the_usual_hours_are_new_yorks_from_monday_to_friday(moment: str, expected: bool) -> None:
    assert is_usually_open(clock.parse(moment)) is expected


@pytest.mark.long
def test_the_page_tells_that_the_trader_is_dead(tmp_path: Path) -> None:
    """Two minutes of silence, by the machine's clock."""
    with (
        running_office() as office,
        running_terminal(tmp_path, NOTIFY_URLS=f"json://127.0.0.1:{office.port}/") as terminal,
    ):
        terminal.kill("orchestrator")
        told = "The trader has given no sign of life"
        terminal.wait_for(lambda: any(told in line for line in office.lines), 180.0)
        terminal.start("orchestrator")
        terminal.wait_for(lambda: any("runs again" in line for line in office.lines))
