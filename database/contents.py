"""Where the bars in stocks.db come from, so that bars of two sources are never mixed."""

from database import schema
from orchestra.base import settings, sqlite
from orchestra.base.errors import ForeignContents


def recorded_source() -> str | None:
    """Name the source of the stored bars; None while nothing was stored under a name."""
    row = schema.stocks().execute("SELECT value FROM contents WHERE key = 'source'").fetchone()
    return str(row[0]) if row else None


def recorded_ledger() -> str | None:
    """Name the ledger that these bars were gathered for; None where none was noted."""
    row = schema.stocks().execute("SELECT value FROM contents WHERE key = 'ledger'").fetchone()
    return str(row[0]) if row else None


def record_ledger(ledger: str) -> None:
    """Note for which ledger bars are gathered from now on."""
    connection = schema.stocks()
    with sqlite.transaction(connection):
        connection.execute("INSERT OR REPLACE INTO contents VALUES ('ledger', ?)", (ledger,))


def claim_source(label: str) -> None:
    """Give an empty stocks.db the source ``label``. Raises ForeignContents where it has another."""
    if recorded_source() is None:
        connection = schema.stocks()
        with sqlite.transaction(connection):
            connection.execute("INSERT OR IGNORE INTO contents VALUES ('source', ?)", (label,))
    found = recorded_source()
    if found != label:
        raise ForeignContents(
            f"{settings.current().stocks_db_path} holds bars from {found!r}, but the source now is"
            f" {label!r}: set STOCKS_DB to another file, or move this one away to start afresh."
        )
