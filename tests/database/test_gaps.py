"""Coverage: literal cases, and random ones against a plain set of minutes."""

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import calendar, db_manager, gaps, schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import Session, nyse
from tests.database.conftest import At, bar


def ranges() -> list[tuple[str, ...]]:
    rows = schema.stocks().execute("SELECT first, last FROM coverage ORDER BY first").fetchall()
    return [tuple(row) for row in rows]


def cover(first: str, last: str) -> None:
    moments = (datetime.fromisoformat(first), datetime.fromisoformat(last))
    found = gaps.within(*moments)
    assert found is not None
    with sqlite.transaction(schema.stocks()) as connection:
        gaps.cover(connection, "NVDA", found)


def test_nothing_is_known_at_first() -> None:
    assert db_manager.check_data_exists("NVDA", "2024-01-01T00:00:00Z", "2024-01-03T15:00:00Z") == [
        ("2024-01-02T14:30:00Z", "2024-01-03T15:00:00Z")
    ]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2024-01-06T00:00:00Z", "2024-01-07T23:59:00Z"),  # a weekend
        ("2024-07-04T13:30:00Z", "2024-07-04T19:59:00Z"),  # Independence Day
        ("2024-07-03T17:00:00Z", "2024-07-03T19:59:00Z"),  # the afternoon of a half day
        ("2017-05-01T00:00:00Z", "2017-06-01T00:00:00Z"),  # before the calendar
    ],
)
def test_closed_times_lack_nothing(first: str, last: str) -> None:
    assert db_manager.check_data_exists("NVDA", first, last) == []


def test_nights_weekends_holidays_and_half_days_join_ranges() -> None:
    cover("2024-07-02T13:30:00Z", "2024-07-02T19:59:00Z")
    cover("2024-07-03T13:30:00Z", "2024-07-03T16:59:00Z")  # closes at 13:00 New York
    cover("2024-07-05T13:30:00Z", "2024-07-05T19:59:00Z")
    cover("2024-07-08T13:30:00Z", "2024-07-08T13:30:00Z")
    assert ranges() == [("2024-07-02T13:30:00Z", "2024-07-08T13:30:00Z")]


def test_a_range_joins_across_a_clock_change() -> None:
    cover("2024-03-08T14:30:00Z", "2024-03-08T20:59:00Z")
    cover("2024-03-11T13:30:00Z", "2024-03-11T13:31:00Z")
    assert ranges() == [("2024-03-08T14:30:00Z", "2024-03-11T13:31:00Z")]


def test_one_open_minute_keeps_ranges_apart_until_it_is_known() -> None:
    cover("2024-01-02T14:30:00Z", "2024-01-02T14:40:00Z")
    cover("2024-01-02T14:42:00Z", "2024-01-02T14:50:00Z")
    assert len(ranges()) == 2
    assert db_manager.check_data_exists("NVDA", "2024-01-02T14:30:00Z", "2024-01-02T14:51:00Z") == [
        ("2024-01-02T14:41:00Z", "2024-01-02T14:41:00Z"),
        ("2024-01-02T14:51:00Z", "2024-01-02T14:51:00Z"),
    ]
    cover("2024-01-02T14:41:00Z", "2024-01-02T14:41:00Z")
    assert ranges() == [("2024-01-02T14:30:00Z", "2024-01-02T14:50:00Z")]


def test_tickers_do_not_share_coverage() -> None:
    cover("2024-01-02T14:30:00Z", "2024-01-02T20:59:00Z")
    assert db_manager.check_data_exists("AAPL", "2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z") == [
        ("2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z")
    ]


def test_a_stored_bar_covers_its_own_minute_only() -> None:
    db_manager.insert_historical_data(
        "NVDA",
        [bar("2024-01-02T14:33:00Z"), bar("2024-01-02T14:30:00Z"), bar("2024-01-02T14:31:00Z")],
    )
    assert ranges() == [
        ("2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z"),
        ("2024-01-02T14:33:00Z", "2024-01-02T14:33:00Z"),
    ]


def test_streamed_bars_answer_for_their_minutes_and_are_taken_into_a_range_later() -> None:
    def stream(*minutes: str) -> None:
        for minute in minutes:
            db_manager.insert_minute_bars([("NVDA", bar(minute))])

    day = "2024-01-02T14:30:00Z", "2024-01-02T20:59:00Z"
    cover("2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z")
    stream("2024-01-02T14:32:00Z", "2024-01-02T14:33:00Z", "2024-01-02T14:36:00Z")
    assert ranges() == [("2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z")]
    assert db_manager.check_data_exists("NVDA", *day) == [
        ("2024-01-02T14:34:00Z", "2024-01-02T14:35:00Z"),
        ("2024-01-02T14:37:00Z", "2024-01-02T20:59:00Z"),
    ]
    since = gaps.known_since(schema.stocks(), "NVDA", "2024-01-02T14:33:00Z")
    assert since == "2024-01-02T14:30:00Z"
    assert gaps.known_since(schema.stocks(), "NVDA", "2024-01-02T14:34:00Z") is None
    assert gaps.known_since(schema.stocks(), "NVDA", "2024-01-02T14:36:00Z") is None
    cover("2024-01-02T14:34:00Z", "2024-01-02T14:35:00Z")
    assert ranges() == [("2024-01-02T14:30:00Z", "2024-01-02T14:35:00Z")]
    stream(*(f"2024-01-02T14:{minute}:00Z" for minute in range(37, 60)))
    assert ranges() == [("2024-01-02T14:30:00Z", "2024-01-02T14:59:00Z")]


def test_bars_of_a_session_that_went_before_do_not_reach_into_the_next_one() -> None:
    cover("2024-01-02T20:50:00Z", "2024-01-02T20:57:00Z")
    db_manager.insert_minute_bars([("NVDA", bar("2024-01-02T20:58:00Z"))])
    db_manager.insert_minute_bars([("NVDA", bar("2024-01-03T14:30:00Z"))])
    lacking = db_manager.check_data_exists("NVDA", "2024-01-02T20:50:00Z", "2024-01-03T14:30:00Z")
    assert lacking == [("2024-01-02T20:59:00Z", "2024-01-02T20:59:00Z")]
    db_manager.insert_minute_bars([("NVDA", bar("2024-01-02T20:59:00Z"))])
    assert ranges() == [("2024-01-02T20:50:00Z", "2024-01-02T20:59:00Z")]
    first = gaps.known_since(schema.stocks(), "NVDA", "2024-01-03T14:30:00Z")
    assert first == "2024-01-02T20:50:00Z"


def test_a_ticker_is_known_from_its_first_bar() -> None:
    def known_from() -> str:
        return gaps.stamp_of(gaps.known_from(schema.stocks(), "NVDA", 0))

    assert known_from() == gaps.stamp_of(0)
    db_manager.insert_minute_bars([("NVDA", bar("2024-01-02T14:36:00Z"))])
    assert known_from() == "2024-01-02T14:36:00Z"
    assert db_manager.lacking(("NVDA", "AAPL"), "2024-01-02T14:36:00Z") == {"AAPL"}
    cover("2024-01-02T14:34:00Z", "2024-01-02T14:34:00Z")
    assert known_from() == "2024-01-02T14:34:00Z"


@pytest.mark.parametrize("beyond", [False, True])
def test_what_left_the_calendar_answers_for_no_other_minute(beyond: bool) -> None:
    """An early close that was made known late: bars and ranges after it belong to no minute."""
    cover("2024-01-02T14:30:00Z", "2024-01-02T18:57:00Z")
    if beyond:
        cover("2024-01-02T19:00:00Z", "2024-01-02T19:20:00Z")
    late = [f"2024-01-02T{time}:00Z" for time in ("18:58", "19:00", "19:01", "19:02")]
    for minute in late:
        db_manager.insert_minute_bars([("NVDA", bar(minute))])
    day = date(2024, 1, 2)
    early = Session(day, clock.parse("2024-01-02T14:30:00Z"), clock.parse("2024-01-02T19:01:00Z"))
    with calendar.held(nyse().corrected({day: early})):
        lacking = db_manager.check_data_exists(
            "NVDA", "2024-01-02T14:30:00Z", "2024-01-03T14:31:00Z"
        )
    assert lacking == [
        ("2024-01-02T18:59:00Z", "2024-01-02T18:59:00Z"),
        ("2024-01-03T14:30:00Z", "2024-01-03T14:31:00Z"),
    ]


# Minutes 388..2 around three opens of July 2024, one of them after a half day: boundaries abound
WEEK = (datetime(2024, 7, 2, 19, 30, tzinfo=UTC), datetime(2024, 7, 8, 14, 0, tzinfo=UTC))
LOW, HIGH = gaps.within(*WEEK) or (0, 0)
POSITIONS = st.integers(LOW, HIGH)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    answers=st.lists(st.tuples(POSITIONS, st.integers(0, 90), st.booleans()), max_size=16),
    wanted=st.tuples(POSITIONS, st.integers(0, 400)),
)
def test_ranges_and_bars_equal_a_set_of_minutes(
    answers: list[tuple[int, int, bool]], wanted: tuple[int, int]
) -> None:
    """In any order, an answer over REST covers its range, and each streamed bar its minute."""
    connection = schema.stocks()
    connection.execute("DELETE FROM coverage")
    connection.execute("DELETE FROM bars")
    known: set[int] = set()
    for low, length, streamed in answers:
        high = min(low + length, HIGH)
        known |= set(range(low, high + 1))
        if streamed:
            for number in range(low, high + 1):
                db_manager.insert_minute_bars([("NVDA", bar(gaps.stamp_of(number)))])
        else:
            with sqlite.transaction(connection):
                gaps.cover(connection, "NVDA", (low, high))
    low, high = wanted[0], min(wanted[0] + wanted[1], HIGH)
    lacking = gaps.missing(connection, "NVDA", (low, high))
    assert {n for a, b in lacking for n in range(a, b + 1)} == set(range(low, high + 1)) - known
    assert lacking == sorted(lacking)
    stored = [(gaps.number_of(first), gaps.number_of(last)) for first, last in ranges()]
    assert {n for a, b in stored for n in range(a, b + 1)} <= known
    for number in range(LOW, HIGH + 1):
        since = gaps.known_since(connection, "NVDA", gaps.stamp_of(number))
        if since is not None:
            assert set(range(gaps.number_of(since), number + 1)) <= known
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(stored))


@given(lacking=st.lists(st.integers(0, 60), unique=True, max_size=20), slack=st.integers(0, 10))
def test_joining_keeps_every_minute_and_adds_only_small_holes(
    lacking: list[int], slack: int
) -> None:
    parts = [(n, n) for n in sorted(lacking)]
    joined = gaps.joined(parts, slack)
    inside = {n for a, b in joined for n in range(a, b + 1)}
    assert set(lacking) <= inside
    for (_, end), (begin, _) in itertools.pairwise(joined):
        assert begin - end - 1 > slack


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        (None, [(1, 5), (8, 9)]),
        ((8, 9), [(1, 5)]),
        ((4, 8), [(1, 3), (9, 9)]),
        ((2, 3), [(1, 1), (4, 5), (8, 9)]),
        ((6, 7), [(1, 5), (8, 9)]),
        ((0, 20), []),
    ],
)
def test_taking_a_range_out(taken: tuple[int, int] | None, left: list[tuple[int, int]]) -> None:
    assert gaps.without([(1, 5), (8, 9)], taken) == left


def settled(asked: tuple[str, str], newest: str | None) -> tuple[str, str] | None:
    found = gaps.settled((gaps.number_of(asked[0]), gaps.number_of(asked[1])), newest)
    return None if found is None else gaps.stamps(found)


def test_a_minute_without_a_bar_is_settled_half_a_minute_after_its_end(at: At) -> None:
    asked = ("2024-01-02T14:50:00Z", "2024-01-02T14:59:00Z")
    at("2024-01-02T15:00:02Z")
    assert settled(asked, None) == ("2024-01-02T14:50:00Z", "2024-01-02T14:58:00Z")
    assert settled(asked, "2024-01-02T14:59:00Z") == asked
    at("2024-01-02T15:00:30Z")
    assert settled(asked, None) == asked
    at("2024-01-02T15:00:02Z")
    assert settled(("2024-01-02T14:59:00Z", "2024-01-02T14:59:00Z"), None) is None


def test_an_unsettled_tail_is_remembered_for_its_minute_only(at: At) -> None:
    tail = (gaps.number_of("2024-01-02T14:58:00Z"), gaps.number_of("2024-01-02T14:59:00Z"))
    at("2024-01-02T15:00:02Z")
    with sqlite.transaction(schema.stocks()) as connection:
        gaps.note_asked(connection, "NVDA", tail)
    assert gaps.asked_this_minute(schema.stocks(), "NVDA") == tail
    assert gaps.asked_this_minute(schema.stocks(), "AAPL") is None
    at("2024-01-02T15:01:02Z")
    assert gaps.asked_this_minute(schema.stocks(), "NVDA") is None
