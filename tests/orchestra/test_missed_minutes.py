"""Minutes in which nobody was asked are put on record, with the reason."""

import pytest

from orchestra import missed_minutes
from orchestra.base import clock
from system_databse import day_figures, decision_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import set_clock

OPEN = "2024-06-04T13:30:00Z"


@pytest.fixture
def card() -> int:
    set_clock(OPEN)
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)


def reasons() -> dict[str, str]:
    first, last = clock.parse("2024-06-03T00:00:00Z"), clock.parse("2024-06-05T23:00:00Z")
    return {row["minute"]: row["reason"] for row in day_figures.decisions(first, last)}


def test_a_cycle_that_took_too_long_skips_what_lies_between_over_a_close_too(card: int) -> None:
    missed_minutes.note_skipped(
        clock.parse("2024-06-04T19:58:00Z"), clock.parse("2024-06-05T13:31:00Z")
    )
    why = "skipped: the cycle before took too long"
    assert reasons() == {"2024-06-04T19:59:00Z": why, "2024-06-05T13:30:00Z": why}


def test_a_failed_cycle_keeps_what_was_answered(card: int) -> None:
    late = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    answered = JournalledDecision(card, OPEN, None, "hold", 0, "short above long", "bar", 1.0)
    decision_journal.record([answered])
    missed_minutes.note_failed(clock.parse(OPEN), ValueError("x"))
    rows = day_figures.decisions(clock.parse(OPEN), clock.parse(OPEN))
    assert [(row["algorithm_id"], row["action"], row["reason"]) for row in rows] == [
        (card, "hold", "short above long"),
        (late, "skipped", "skipped: the cycle failed (ValueError), see the log"),
    ]


def test_minutes_of_a_full_disk_are_on_record(card: int) -> None:
    set_clock("2024-06-04T13:33:02Z")
    missed_minutes.note_unstored(clock.parse("2024-06-04T13:31:40Z"))
    why = "skipped: the disk was full"
    expected = ["2024-06-04T13:31:00Z", "2024-06-04T13:32:00Z", "2024-06-04T13:33:00Z"]
    assert reasons() == dict.fromkeys(expected, why)


def test_a_restart_tells_of_open_minutes_only(card: int) -> None:
    set_clock("2024-06-05T13:32:30Z")
    missed_minutes.note_restart("2024-06-04T19:57:10Z")
    told = day_figures.events(clock.parse(OPEN), clock.parse("2024-06-06T00:00:00Z"))
    assert [each["kind"] for each in told] == ["restarted", "downtime"]
    # 19:58, 19:59, 13:30 and 13:31; the minute that is running is asked yet
    assert told[1]["message"].startswith("4 open minutes passed")


def test_a_restart_within_closed_hours_missed_nothing(card: int) -> None:
    set_clock("2024-06-05T12:00:00Z")
    missed_minutes.note_restart("2024-06-04T20:30:00Z")
    told = day_figures.events(clock.parse(OPEN), clock.parse("2024-06-06T00:00:00Z"))
    assert [each["kind"] for each in told] == ["restarted"]
