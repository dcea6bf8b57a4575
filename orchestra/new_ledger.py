"""Says so when the ledger was begun anew although there was one before: its cards are not known here.

stocks.db remembers which ledger its bars were gathered for.
"""

import logging

from database import contents
from system_databse import heartbeats, system_db_manager

NOTICE = "begun_anew"  # in system_config: the sentence, until the new ledger has a card

log = logging.getLogger("autotrader.orchestrator")


def look() -> None:
    """Note an empty ledger that is not the one before, as an event and in health."""
    ledger, before = str(system_db_manager.get_config("ledger")), contents.recorded_ledger()
    if ledger == before:
        return
    if before is not None and not system_db_manager.get_all_algorithms():
        message = (
            f"This ledger is new and empty ({ledger}); the one before ({before}) is not here, and the broker"
            " may hold shares of its cards. To bring it back, stop the terminal and run python -m"
            " orchestra restore; or add a card to go on without it."
        )
        system_db_manager.set_config(NOTICE, message)
        heartbeats.record_event("ledger", message)
        log.error("%s", message)
    contents.record_ledger(ledger)


def health() -> tuple[str, str]:
    """Status and message for the part ``ledger``."""
    message = system_db_manager.get_config(NOTICE)
    if message and not system_db_manager.get_all_algorithms():
        return "degraded", message
    return "ok", ""
