"""Makes sure that the ledger is whole: nothing trades on a damaged one.

At start, after each close, and where a cycle met damage. stocks.db makes way for a new one when
it is damaged (``stocks_guard``); the ledger never does by itself.
"""

from orchestra.base import clock, sqlite
from system_databse import create_system_db, system_db_manager


class LedgerGuard:
    """Watches over the ledger, in the orchestrator alone."""

    def __init__(self) -> None:
        self._whole_at = ""  # market time, a stamp

    @property
    def health(self) -> tuple[str, str]:
        """Status and message for the part ``databases``."""
        return "ok", f"The ledger was whole when last read, at {self._whole_at}."

    def examine(self) -> None:
        """Read all of system.db. Raises LedgerDamaged, which only the owner can mend."""
        if not sqlite.is_sound(system_db_manager.ledger()):
            raise create_system_db.damaged()
        self._whole_at = clock.stamp()
