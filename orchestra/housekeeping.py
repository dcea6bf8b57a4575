"""What is done once after each close: old rows are dropped and the session's report is made."""

import logging
from datetime import datetime

from database import arrivals
from orchestra import daily_report
from orchestra.base.errors import StorageFull
from system_databse import cycle_journal, decision_journal

JOURNALS_KEPT = decision_journal.KEPT

log = logging.getLogger("autotrader.orchestrator")


def after_close(now: datetime) -> None:
    """Drop what is older than is kept, and make the reports that are due. Raises StorageFull."""
    before = now - JOURNALS_KEPT
    decision_journal.prune(before)
    arrivals.prune(before)
    cycle_journal.prune(before)
    make_reports(now)


def make_reports(now: datetime) -> None:
    """Make the reports that are due; one that cannot be made is in the log and stops nothing."""
    try:
        daily_report.write_missing(now)
    except StorageFull:
        raise
    except Exception:
        log.exception("The daily report could not be made")
