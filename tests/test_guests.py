"""Algorithms as guests of the running terminal: dropped in, edited, broken, mended, gone; and bad company."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from orchestra.base import settings
from system_databse import system_db_manager
from tests.processes import Terminal, running_terminal

FILE = """
class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        {body}
"""
MISBEHAVIOUR = {
    "raises": "1 / 0",
    "loops": "while True: pass",
    "deadlocks": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "leaves": "import os; os._exit(1)",
    "segfaults": "import ctypes; ctypes.string_at(0)",
    "exits": "import sys; sys.exit(1)",
    "greedy": "x = bytearray(4 * 1024**3)",
    "floods": "[print('x' * 1000) for _ in range(50_000)]; return ('hold', 0)",
    "nonsense": "return 'short', 3",
    "import_fails": "return 'hold', 0",
}
HANGING = ("loops", "deadlocks")
WORDS = {  # in the reason on the card
    "raises": "raises.py line 7: ZeroDivisionError",
    "leaves": "Its process died (exit code 1)",
    "segfaults": "Its process died (exit code -11)",
    "exits": "It called sys.exit(1)",
    "greedy": "greedy.py line 7: MemoryError",
    "floods": "",
    "nonsense": "Expected the action buy, sell or hold, was 'short'",
    "import_fails": "import_fails.py line 1: ModuleNotFoundError",
}
# When it was asked, and how many milliseconds that was after the minute's planned wake-up
HEALTHY = """from orchestra.base import clock
        from orchestra.base.market_calendar import floor_minute
        late = clock.elapsed() - clock.due(floor_minute(clock.parse(current_time)), clock.WAKE_UP)
        return ('hold', 0, f"{current_time[:16]} {late * 1000:.1f}")"""
PROMISED_MS = 1000.0


@pytest.fixture
def folder(tmp_path: Path, configure: Any) -> Path:
    path = tmp_path / "algorithms"
    path.mkdir()
    configure(ALGORITHMS_DIR=path)
    return path


def write(folder: Path, name: str, body: str, top: str = "") -> None:
    (folder / f"{name}.py").write_text(top + FILE.format(body=body))


def answers(card: int) -> list[tuple[str, int, str]]:
    rows = system_db_manager.ledger().execute(
        "SELECT action, shares, reason FROM decisions WHERE algorithm_id = ? ORDER BY minute",
        (card,),
    )
    return [tuple(row) for row in rows]


def newest(card: int) -> tuple[str, int, str]:
    return (answers(card) or [("", 0, "")])[-1]


def test_a_file_is_dropped_in_edited_broken_mended_and_taken_away(
    tmp_path: Path, folder: Path
) -> None:
    with running_terminal(tmp_path, MARKET_CLOCK_START="2024-06-04T13:29:00Z") as terminal:
        assert terminal.get("/api/available-algorithms") == {"algorithms": []}
        write(folder, "mine", "return ('buy', 1)")
        assert [a["name"] for a in listed(terminal)] == ["mine"]
        card = terminal.add_card("AAPL", "mine", 50_000)["id"]
        terminal.wait_for(lambda: terminal.card(card)["trade_count"] > 0, what="it trades")
        assert len([a for a in answers(card) if a[0] != "skipped"]) <= 3

        write(folder, "mine", "return ('hold', 0, 'edited')")
        terminal.wait_for(lambda: newest(card) == ("hold", 0, "edited"), what="the edit decides")

        (folder / "mine.py").write_text("class Algorithm:\n    def run(:\n")
        assert listed(terminal)[0]["error"].startswith("line 2: ")
        terminal.wait_for(lambda: terminal.card(card)["state"] == "paused", what="it is paused")
        assert "mine.py line 2: " in terminal.card(card)["state_reason"]

        write(folder, "mine", "return ('hold', 0, 'mended')")
        terminal.wait_for(lambda: newest(card) == ("hold", 0, "mended"), what="it goes on")
        assert terminal.card(card)["state"] == "running"

        (folder / "mine.py").unlink()
        terminal.wait_for(lambda: terminal.card(card)["state"] == "paused", what="it is paused")
        assert terminal.card(card)["state_reason"] == "The file mine.py is gone."


def listed(terminal: Terminal) -> list[dict[str, Any]]:
    found = terminal.get("/api/available-algorithms")["algorithms"]
    assert isinstance(found, list)
    return found


class Company:
    """A running terminal with five healthy cards, whose answers say how late they were asked."""

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self.terminal, self._folder = terminal, folder
        write(folder, "good", HEALTHY)
        self.healthy = [terminal.add_card("AAPL", "good", 1000)["id"] for _ in range(5)]
        self.began = self._newest()  # since when the healthy have been among themselves
        self._alone: list[float] = []

    def among_themselves(self) -> float:
        """Milliseconds after the wake-up at which the last healthy card is asked when nothing is wrong."""
        since, wanted = self.began, 3 - len(self._alone)
        self.terminal.wait_for(
            lambda: len(self._minutes(since)) >= wanted, what="they were asked alone"
        )
        self._alone += self.lateness(self._minutes(since))
        return median(self._alone)

    def join(self, name: str, count: int = 1) -> list[int]:
        """Add cards of a bad file."""
        top = "import no_such_module" if name == "import_fails" else ""
        write(self._folder, name, MISBEHAVIOUR[name], top)
        return [self.terminal.add_card("AAPL", name, 1000)["id"] for _ in range(count)]

    def rows(self, card: int) -> dict[str, dict[str, Any]]:
        """A card's answers by minute."""
        items = self.terminal.get(f"/api/algorithms/{card}/decisions?limit=100")["items"]
        return {row["minute"]: row for row in reversed(items)}

    def lateness(self, minutes: list[str]) -> list[float]:
        """Per minute, when the last of the healthy cards was asked; each must have answered as ever."""
        cards = [self.rows(card) for card in self.healthy]
        for minute in minutes:
            answers = [rows[minute] for rows in cards]
            assert [(a["action"], a["reason"].split()[0]) for a in answers] == [
                ("hold", minute[:16])
            ] * 5
        return [max(float(rows[m]["reason"].split()[1]) for rows in cards) for m in minutes]

    def part(self, cards: list[int]) -> None:
        """Let the bad cards go."""
        for card in cards:
            self.terminal.stop_card(card)
        self.began = self._newest()

    def _minutes(self, since: str) -> list[str]:
        """The minutes after ``since`` in which the last of the healthy cards has answered."""
        return [minute for minute in self.rows(self.healthy[-1]) if minute > since]

    def _newest(self) -> str:
        return max(self.rows(self.healthy[0]), default="")


def company(tmp: Path, speed: float) -> Iterator[Company]:
    folder = tmp / "algorithms"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for each in fields(settings.Settings):
            patch.setenv(each.name.upper(), "")
        for name in ("SYSTEM_DB", "STOCKS_DB", "LOG_DIR", "SIMULATOR_DB"):
            patch.setenv(name, str(tmp / name.lower()))
        with running_terminal(
            tmp,
            MARKET_CLOCK_START="2024-06-04T13:29:00Z",
            MARKET_CLOCK_SPEED=speed,
            ALGORITHM_DEADLINE_SECONDS=1.5,
            ALGORITHMS_DIR=folder,
        ) as terminal:
            yield Company(terminal, folder)


@pytest.fixture(scope="module")
def among_quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    yield from company(tmp_path_factory.mktemp("quick"), speed=30)


@pytest.fixture(scope="module")
def among_hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    # A minute is three seconds: longer than the deadline
    yield from company(tmp_path_factory.mktemp("hanging"), speed=20)


def sit_beside(company: Company, name: str, count: int = 1) -> list[dict[str, Any]]:
    """Three minutes beside bad cards; what the first of them was noted with.

    The healthy are asked in the same minutes, answer as ever, and within a second of the wake-up, beyond
    what it takes them when they are alone.
    """
    alone = company.among_themselves()
    bad = company.join(name, count)
    asked = company.terminal.wait_for(
        lambda: (
            len(rows := [*company.rows(bad[-1]).values()]) >= 3
            and company.rows(company.healthy[-1]).keys() >= {rows[2]["minute"]}
            and rows[:3]
        ),
        what=f"{name} was asked three times",
    )
    assert median(company.lateness([row["minute"] for row in asked])) <= alone + PROMISED_MS
    company.part(bad)
    return list(asked)


@pytest.mark.parametrize("name", [name for name in MISBEHAVIOUR if name not in HANGING])
def test_bad_company_costs_only_its_own_card(among_quick: Company, name: str) -> None:
    asked = sit_beside(among_quick, name)
    assert {row["action"] for row in asked} == {"hold" if name == "floods" else "failed"}
    assert WORDS[name] in asked[0]["reason"]


@pytest.mark.parametrize("name", HANGING)
def test_a_guest_that_hangs_holds_up_nobody(among_hanging: Company, name: str) -> None:
    asked = sit_beside(among_hanging, name)
    assert {row["reason"] for row in asked} == {"It took longer than 1.5 s and was ended"}


def test_five_guests_that_hang_at_once_hold_up_nobody(among_hanging: Company) -> None:
    """Not even a card that stands behind them in the queue when they hang for the first time."""
    alone = among_hanging.among_themselves()
    bad = among_hanging.join("loops", 5)
    behind = among_hanging.terminal.add_card("AAPL", "good", 1000)["id"]
    rows = among_hanging.terminal.wait_for(
        lambda: among_hanging.rows(behind), what="the last card was asked"
    )
    first = next(iter(rows.values()))
    assert float(first["reason"].split()[1]) <= alone + PROMISED_MS
    among_hanging.part([*bad, behind])
    assert sit_beside(among_hanging, "loops", 5)
