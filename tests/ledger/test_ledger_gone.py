"""system.db taken away or exchanged under the running terminal: nobody trades on, and everybody says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base import settings, sqlite
from orchestra.base.errors import LedgerGone
from orchestra.base.settings import ROOT
from system_databse import create_system_db, system_db_manager
from tests.processes import Terminal, running_terminal

OPEN = "2024-06-04T13:29:00Z"


def move(source: Path, target: Path) -> None:
    """A database with what SQLite keeps beside it."""
    target.mkdir(exist_ok=True)
    for file in source.glob("system.db*"):
        file.rename(target / file.name)


def ends(terminal: Terminal, words: str) -> None:
    """The trader ends by itself, with a sentence."""
    assert terminal.orchestrator.wait(60) == 1
    assert words in terminal.log()


def test_a_ledger_that_is_taken_away(tmp_path: Path) -> None:
    place, hidden = settings.current().system_db_path.parent, tmp_path / "hidden"
    with running_terminal(tmp_path, MARKET_CLOCK_START=OPEN, MARKET_CLOCK_SPEED=30) as terminal:
        card = terminal.add_card("AAPL", "buy_and_hold", 5_000)["id"]
        terminal.wait_for(lambda: terminal.card(card)["current_shares"] > 0, what="it bought")
        held = terminal.exchange("GET", "/v2/positions")[0]["qty"]
        move(place, hidden)
        answer = terminal.call("GET", "/api/algorithms")
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger_gone")
        assert "system.db was taken away while in use" in answer.json()["error"]
        ends(terminal, "was taken away while in use: nothing is traded without it.")
        assert not (place / "system.db").exists()  # nobody has begun another

        terminal.start("orchestrator")  # as its supervisor does
        part = terminal.wait_for(
            lambda: terminal.get("/api/health")["parts"].get("ledger"), what="health tells of it"
        )
        assert part["status"] == "degraded"
        assert part["message"].startswith("This ledger is new and empty (")
        assert terminal.cards("all") == []
        assert terminal.exchange("GET", "/v2/positions")[0]["qty"] == held
        told = system_db_manager.ledger().execute(
            "SELECT message FROM events WHERE kind = 'ledger'"
        )
        assert [row[0] for row in told] == [part["message"]]

        terminal.stop("orchestrator")
        sqlite.close_kept()
        move(place, tmp_path / "begun anew")
        move(hidden, place)
        terminal.start("orchestrator")
        assert [(c["id"], c["current_shares"]) for c in terminal.cards()] == [(card, int(held))]
        terminal.wait_for(
            lambda: terminal.get("/api/health")["parts"].get("ledger", {}).get("status") == "ok",
            what="the old ledger is there again",
        )
        assert len(terminal.exchange("GET", "/v2/orders?status=all")) == 1


def test_a_ledger_that_is_exchanged(tmp_path: Path) -> None:
    place = settings.current().system_db_path.parent
    other = create_system_db.create_database(tmp_path / "other" / "system.db")
    with running_terminal(
        tmp_path, ("exchange", "orchestrator"), MARKET_CLOCK_START=OPEN, MARKET_CLOCK_SPEED=30
    ) as terminal:
        terminal.wait_for(lambda: "cycle started" in terminal.log(), what="it trades")
        move(place, tmp_path / "hidden")
        move(other.parent, place)
        ends(terminal, "while it was in use: nothing is traded before a new start.")


def test_the_same_ledger_in_another_file_is_gone_on_with(tmp_path: Path) -> None:
    card = system_db_manager.create_algorithm("AAPL", "sma_crossover", 1_000)
    path = settings.current().system_db_path
    with sqlite.transaction(system_db_manager.ledger()):
        pass
    copy = tmp_path / "copy.db"
    system_db_manager.ledger().execute("VACUUM INTO ?", (str(copy),))
    copy.replace(path)
    assert system_db_manager.get_algorithm(card) is not None
    path.unlink()
    for _ in range(2):
        with pytest.raises(LedgerGone):
            system_db_manager.ledger()
    with pytest.raises(LedgerGone):
        system_db_manager.get_connection()
    assert not path.exists()


def test_what_a_lost_ledger_leaves_beside_it_is_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "system.db"
    (tmp_path / "system.db-wal").write_bytes(b"the last minutes of a lost ledger")
    command = [
        sys.executable,
        "-c",
        "from system_databse import create_system_db as c; c.create_database()",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    [aside] = tmp_path.glob("system.db.lost-*-wal")
    assert aside.read_bytes() == b"the last minutes of a lost ledger"
    assert system_db_manager.get_all_algorithms() == []
    assert path.exists()
