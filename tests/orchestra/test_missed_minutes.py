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


def test_a_card_stopped_since_has_its_minutes_on_record_too_and_none_after(card: int) -> None:
    set_clock("2024-06-04T13:33:20Z")
    system_db_manager.stop_algorithm(card)
    set_clock("2024-06-04T13:34:30Z")
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    missed_minutes.note_skipped(clock.parse(OPEN), clock.parse("2024-06-04T13:37:00Z"))
    rows = day_figures.decisions(clock.parse(OPEN), clock.parse("2024-06-04T20:00:00Z"))
    assert sorted((row["algorithm_id"], row["minute"][11:16]) for row in rows) == [
        (card, "13:31"),
        (card, "13:32"),
        (card + 1, "13:35"),
        (card + 1, "13:36"),
    ]


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
    since = clock.parse("2024-06-04T13:31:40Z")
    missed_minutes.note_unstored(since, clock.now(), "the disk was full")
    why = "skipped: the disk was full"
    expected = ["2024-06-04T13:31:00Z", "2024-06-04T13:32:00Z", "2024-06-04T13:33:00Z"]
    assert reasons() == dict.fromkeys(expected, why)


def hold(number: int, minute: str) -> None:
    row = JournalledDecision(number, minute, None, "hold", 0, "", "bar", 1.0)
    decision_journal.record([row])


def told() -> list[tuple[str, str]]:
    rows = day_figures.events(clock.parse(OPEN), clock.parse("2024-06-06T00:00:00Z"))
    return [(row["kind"], row["message"]) for row in rows]


def test_a_downtime_is_told_to_the_minute_and_of_open_ones_only(card: int) -> None:
    hold(card, "2024-06-04T19:57:00Z")
    set_clock("2024-06-05T13:32:30Z")
    missed_minutes.note_restart("2024-06-04T19:57:10Z")
    missed_minutes.note_downtime(clock.now())
    # 19:58, 19:59, 13:30 and 13:31; the minute that is running is asked yet
    assert told() == [
        ("restarted", "The trader was started again; it had left at 2024-06-04T19:57:10Z."),
        (
            "downtime",
            "4 open minutes from 2024-06-04T19:58:00Z to 2024-06-05T13:31:00Z passed without a"
            " trader at work: no card, or not every one, was asked in them.",
        ),
    ]


def test_a_single_lost_minute_is_told_of_and_one_that_is_half_asked(card: int) -> None:
    second = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    for number in (card, second):
        hold(number, "2024-06-04T13:31:00Z")
    hold(card, "2024-06-04T13:32:00Z")  # killed before the second card was asked
    missed_minutes.note_downtime(clock.parse("2024-06-04T13:32:50Z"))  # it is asked yet
    assert told() == []
    missed_minutes.note_downtime(clock.parse("2024-06-04T13:33:01Z"))
    [(kind, message)] = told()
    assert kind == "downtime"
    assert message.startswith("1 open minutes from 2024-06-04T13:32:00Z to 2024-06-04T13:32:00Z ")


def test_within_closed_hours_nothing_was_missed(card: int) -> None:
    hold(card, "2024-06-04T19:59:00Z")
    missed_minutes.note_downtime(clock.parse("2024-06-05T12:00:00Z"))
    assert told() == []


def test_a_new_card_misses_nothing_from_before_it_was_added() -> None:
    set_clock(OPEN)
    old = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    hold(old, "2024-06-03T15:00:00Z")
    system_db_manager.stop_algorithm(old)
    missed_minutes.note_downtime(clock.parse("2024-06-04T13:40:00Z"))
    set_clock("2024-06-04T13:38:30Z")
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    missed_minutes.note_downtime(clock.parse("2024-06-04T13:40:00Z"))
    [(_, message)] = told()
    assert message.startswith("1 open minutes from 2024-06-04T13:39:00Z to 2024-06-04T13:39:00Z ")


def test_a_card_stopped_meanwhile_missed_what_lay_before_and_is_told_of_once(card: int) -> None:
    hold(card, "2024-06-04T13:31:00Z")
    set_clock("2024-06-04T13:35:20Z")
    system_db_manager.stop_algorithm(card)
    for moment in ("2024-06-04T15:00:00Z", "2024-06-04T16:00:00Z"):
        set_clock(moment)
        missed_minutes.note_downtime(clock.now())
    [(_, message)] = told()
    assert message.startswith("3 open minutes from 2024-06-04T13:32:00Z to 2024-06-04T13:34:00Z ")


def test_a_card_stopped_meanwhile_and_a_younger_one_that_runs(card: int) -> None:
    hold(card, "2024-06-04T13:31:00Z")
    set_clock("2024-06-04T13:35:20Z")
    system_db_manager.stop_algorithm(card)
    set_clock("2024-06-04T13:40:10Z")
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    missed_minutes.note_downtime(clock.parse("2024-06-04T13:42:30Z"))
    [(_, message)] = told()
    # 13:32 to 13:34 of the first, 13:41 of the second
    assert message.startswith("4 open minutes from 2024-06-04T13:32:00Z to 2024-06-04T13:41:00Z ")


def test_a_card_that_was_stopped_with_the_market_closed_missed_nothing(card: int) -> None:
    hold(card, "2024-06-04T19:59:00Z")
    set_clock("2024-06-04T23:00:00Z")
    system_db_manager.stop_algorithm(card)
    set_clock("2024-06-05T14:00:10Z")
    system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    missed_minutes.note_downtime(clock.parse("2024-06-05T14:01:20Z"))
    assert told() == []
