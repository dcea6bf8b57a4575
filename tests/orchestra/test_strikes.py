"""Three strikes, a file that is gone, a file that changes: who is paused, and who goes on."""

import os
from pathlib import Path
from typing import Any

import pytest

from orchestra import strikes
from orchestra.worker import Result
from system_databse import card_states, system_db_manager


@pytest.fixture
def file(tmp_path: Path, configure: Any) -> Path:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    configure(ALGORITHMS_DIR=folder)
    path = folder / "mine.py"
    path.write_text("class Algorithm: ...\n")
    return path


@pytest.fixture
def card(file: Path) -> dict[str, Any]:
    strikes._failures.clear()
    found = system_db_manager.get_algorithm(
        system_db_manager.create_algorithm("NVDA", "mine", 1000)
    )
    assert found is not None
    return found


def fail(card: dict[str, Any], times: int) -> None:
    for _ in range(times):
        strikes.count(card, Result(card["id"], None, "Traceback ...", 1.0, "mine.py line 3: Oops"))


def state(card: dict[str, Any]) -> str | None:
    found = card_states.all_states().get(card["id"])
    return None if found is None else f"{found.state}: {found.reason}"


def test_the_third_failure_in_a_row_pauses(card: dict[str, Any]) -> None:
    fail(card, 2)
    assert state(card) is None
    fail(card, 1)
    assert state(card) == "paused: Failed 3 times in a row. mine.py line 3: Oops"
    events = system_db_manager.ledger().execute("SELECT kind, message FROM events").fetchall()
    assert [tuple(event) for event in events] == [("paused", "Traceback ...")]


def test_an_answer_in_between_begins_the_count_anew(card: dict[str, Any]) -> None:
    fail(card, 2)
    strikes.forget(card)
    fail(card, 2)
    assert state(card) is None


def test_a_changed_file_resumes_its_card(card: dict[str, Any], file: Path) -> None:
    fail(card, 3)
    strikes.resume_changed_files([card])
    assert state(card) is not None
    os.utime(file, (1_700_000_000, 1_700_000_000))
    strikes.resume_changed_files([card])
    assert state(card) is None


def test_a_file_mended_while_it_fails_begins_anew(card: dict[str, Any], file: Path) -> None:
    """It hangs, say, and is ended seconds after its author has saved it: the mended one is asked."""
    fail(card, 2)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    fail(card, 1)
    strikes.resume_changed_files([card])
    assert state(card) is None
    fail(card, 2)
    assert state(card) == "paused: Failed 3 times in a row. mine.py line 3: Oops"


def test_a_file_that_is_gone_pauses_and_one_that_is_back_resumes(
    card: dict[str, Any], file: Path
) -> None:
    source = file.read_text()
    file.unlink()
    strikes.resume_changed_files([card])
    assert state(card) == "paused: The file mine.py is gone."
    strikes.resume_changed_files([card])
    file.write_text(source)
    strikes.resume_changed_files([card])
    assert state(card) is None


def test_a_link_to_itself_is_a_file_that_is_gone(card: dict[str, Any], file: Path) -> None:
    file.unlink()
    file.symlink_to(file)
    strikes.resume_changed_files([card])
    assert state(card) == "paused: The file mine.py is gone."


def test_a_brake_is_no_matter_of_files(card: dict[str, Any], file: Path) -> None:
    card_states.set_state(card["id"], "paused", "Brake: too much.")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    strikes.resume_changed_files([card])
    assert state(card) == "paused: Brake: too much."


def test_one_tap_resumes_with_a_clean_slate(card: dict[str, Any]) -> None:
    fail(card, 3)
    assert card_states.resume(card["id"])
    fail(card, 2)
    assert state(card) is None
