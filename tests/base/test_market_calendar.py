"""The calendar against an independent file, dated samples and the grid's known size."""

import csv
from datetime import UTC, date, datetime

import pytest

from orchestra.base.market_calendar import Session, new_york, nyse
from tests.conftest import SHARED


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_every_session_equals_the_independent_calendar() -> None:
    path = SHARED / "data" / "xnys_sessions_2018_2030.csv"
    if not path.exists():
        pytest.skip("no independent calendar beside the project (shared/data)")
    with path.open() as file:
        expected = [
            (row["session"], row["open_utc"], row["close_utc"]) for row in csv.DictReader(file)
        ]
    found = [
        (str(s.day), s.open.strftime("%Y-%m-%dT%H:%M:%SZ"), s.close.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for s in nyse().sessions
    ]
    assert found == expected


def test_the_grid_has_390_minutes_in_each_of_3266_sessions() -> None:
    assert len(nyse().sessions) == 3266
    assert sum(1 for _ in nyse().grid()) == 1_273_740


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2024-01-02T14:29:59", False),
        ("2024-01-02T14:30:00", True),  # winter: 09:30 New York is 14:30Z
        ("2024-01-02T20:59:59", True),
        ("2024-01-02T21:00:00", False),  # the close itself is closed
        ("2024-07-02T13:30:00", True),  # summer: 09:30 New York is 13:30Z
        ("2024-07-03T17:00:00", False),  # half day before Independence Day
        ("2024-07-03T16:59:00", True),
        ("2024-07-04T15:00:00", False),  # Independence Day
        ("2024-03-29T15:00:00", False),  # Good Friday
        ("2024-06-01T15:00:00", False),  # a Saturday
    ],
)
def test_open_moments(moment: str, is_open: bool) -> None:
    assert nyse().is_open(utc(moment)) is is_open


def test_next_open_and_close() -> None:
    assert nyse().next_open(utc("2024-03-08T21:00:00")) == utc(
        "2024-03-11T13:30:00"
    )  # clock change
    assert nyse().next_close(utc("2024-07-03T15:00:00")) == utc("2024-07-03T17:00:00")
    assert nyse().next_open(utc("2030-12-31T20:00:00")) is None


def test_minutes_are_counted_over_sessions() -> None:
    calendar = nyse()
    assert calendar.open_minutes(utc("2024-07-03T13:30:00"), utc("2024-07-03T23:00:00")) == 210
    assert calendar.open_minutes(utc("2024-07-03T16:59:00"), utc("2024-07-05T13:30:00")) == 2
    assert calendar.open_minutes(utc("2024-07-04T00:00:00"), utc("2024-07-04T23:59:00")) == 0
    number = calendar.minute_number(utc("2024-07-05T13:30:00"))
    assert calendar.minute_at(number) == utc("2024-07-05T13:30:00")
    assert calendar.minute_at(number - 1) == utc("2024-07-03T16:59:00")


def test_last_minute_is_the_newest_that_has_begun() -> None:
    calendar = nyse()
    assert calendar.last_minute(utc("2024-01-03T14:29:00")) == utc("2024-01-02T20:59:00")
    assert calendar.last_minute(utc("2024-01-03T14:30:00")) == utc("2024-01-03T14:30:00")
    assert calendar.last_minute(utc("2024-01-03T14:30:59")) == utc("2024-01-03T14:30:00")
    assert calendar.last_minute(utc("2017-12-31T00:00:00")) is None


def test_corrections_win() -> None:
    mourning = date(2024, 1, 9)
    half = Session(
        date(2024, 1, 10),
        new_york(date(2024, 1, 10), "09:30"),
        new_york(date(2024, 1, 10), "13:00"),
    )
    corrected = nyse().corrected({mourning: None, half.day: half})
    assert not corrected.is_open(utc("2024-01-09T15:00:00"))
    assert not corrected.is_open(utc("2024-01-10T18:00:00"))
    assert corrected.is_open(utc("2024-01-10T17:59:00"))
    assert nyse().is_open(utc("2024-01-09T15:00:00"))
