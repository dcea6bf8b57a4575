"""Databases that the real processes refuse to start on, each with one sentence that says what to do."""

from pathlib import Path

from database import db_manager, schema
from orchestra.base import settings, sqlite
from system_databse import create_system_db, system_db_manager
from tests.processes import Terminal, running_terminal


def refused(terminal: Terminal, name: str) -> str:
    """Start a part that must end by itself with a sentence; return its last line."""
    status, said = terminal.attempt(name)
    assert status == 1 and "Traceback" not in said, said
    return said.strip().splitlines()[-1]


def set_version(version: int) -> None:
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute("UPDATE schema_version SET version = ?", (version,))
    sqlite.close_kept()


def test_databases_from_the_future_and_a_damaged_ledger(tmp_path: Path) -> None:
    with running_terminal(tmp_path, ("exchange",)) as terminal:
        create_system_db.create_database()
        set_version(99)
        for part in ("orchestrator", "api"):
            said = refused(terminal, part)
            assert "system.db was written by a newer version (schema 99" in said
            assert "update the program, or name another SYSTEM_DB" in said
        set_version(len(create_system_db.MIGRATIONS))

        db_manager.add_ticker_if_missing("NVDA")
        with sqlite.transaction(schema.stocks()) as connection:
            connection.execute("UPDATE contents SET value = '99' WHERE key = 'schema_version'")
        sqlite.close_kept()
        said = refused(terminal, "orchestrator")
        assert "stocks.db was written by a newer version (schema 99" in said
        assert "move the file away and its contents are fetched again" in said

        settings.current().system_db_path.write_bytes(b"\xa5" * 50_000)
        for part in ("orchestrator", "api"):
            said = refused(terminal, part)
            assert said.startswith("The ledger ") and "python -m orchestra restore" in said
