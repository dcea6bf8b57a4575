"""The broker's corrections to the calendar outlive the process that heard of them."""

from datetime import UTC, date, datetime

from database import db_manager
from database.corrections import record_corrections, recorded_corrections
from orchestra.base.market_calendar import Session, nyse


def test_closings_and_other_hours_are_kept_and_can_be_taken_back() -> None:
    assert recorded_corrections() == {}
    mourning = date(2029, 3, 6)  # say, a closing on short notice as on 2025-01-09
    early = Session(
        date(2024, 12, 24),
        datetime(2024, 12, 24, 14, 30, tzinfo=UTC),
        datetime(2024, 12, 24, 17, 0, tzinfo=UTC),
    )
    saturday = Session(
        date(2025, 1, 11),
        datetime(2025, 1, 11, 14, 30, tzinfo=UTC),
        datetime(2025, 1, 11, 21, 0, tzinfo=UTC),
    )
    corrections = {early.day: early, mourning: None, saturday.day: saturday}
    record_corrections(corrections)
    db_manager.initialize_database()
    assert recorded_corrections() == corrections
    calendar = nyse().corrected(recorded_corrections())
    assert calendar.session_on(early.day) == early
    record_corrections({early.day: nyse().session_on(early.day), saturday.day: None})
    assert recorded_corrections() == {mourning: None}
