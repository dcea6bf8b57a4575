"""Algorithms as guests of the running terminal: dropped in, edited, broken, mended, gone; and bad company."""

from pathlib import Path
from typing import Any

import pytest

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
}


@pytest.fixture
def folder(tmp_path: Path, configure: Any) -> Path:
    path = tmp_path / "algorithms"
    path.mkdir()
    configure(ALGORITHMS_DIR=path)
    return path


def write(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text(FILE.format(body=body))


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


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_bad_company_costs_only_its_own_card(tmp_path: Path, folder: Path, name: str) -> None:
    """Five healthy cards are asked in every minute and answer as ever, whatever the sixth does."""
    write(folder, "good", "return ('hold', 0, current_time[:16])")
    write(folder, name, MISBEHAVIOUR[name])
    with running_terminal(
        tmp_path,
        MARKET_CLOCK_START="2024-06-04T13:29:00Z",
        MARKET_CLOCK_SPEED=20,  # a minute is three seconds: longer than the deadline
        ALGORITHM_DEADLINE_SECONDS=1.5,
    ) as terminal:
        good = [terminal.add_card("AAPL", "good", 1000)["id"] for _ in range(5)]
        bad = terminal.add_card("AAPL", name, 1000)["id"]
        terminal.wait_for(lambda: len(answers(bad)) >= 3, what="the sixth was asked three times")
        rows = [[a for a in answers(card) if a[0] != "skipped"] for card in good]
    minutes = [reason for _, _, reason in rows[0]]
    assert len(minutes) >= 3
    assert len(set(minutes)) == len(minutes)
    assert all(row[: len(minutes)] == rows[0] for row in rows)
    assert all(action == "hold" for action, _, _ in rows[0])
    assert not [a for card in good for a in answers(card) if a[0] == "skipped"]
    own = {action for action, _, _ in answers(bad)[:3]}
    assert own == ({"hold"} if name == "floods" else {"failed"})
