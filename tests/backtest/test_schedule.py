"""An algorithm is asked in the wall's own minutes."""

from datetime import date

import pytest

from orchestra.backtest.schedule import after_each_minute, in_each_minute
from orchestra.base.market_calendar import nyse


@pytest.mark.parametrize(
    ("day", "count", "first", "last"),
    [  # after each minute: the bar that ended, and when it is asked about
        (
            "2024-06-04",  # daylight saving time
            390,
            ("2024-06-04T13:30:00Z", "2024-06-04T13:31:02Z"),
            ("2024-06-05T13:29:00Z", "2024-06-05T13:30:02Z"),
        ),
        (
            "2024-01-05",  # a Friday in winter
            390,
            ("2024-01-05T14:30:00Z", "2024-01-05T14:31:02Z"),
            ("2024-01-08T14:29:00Z", "2024-01-08T14:30:02Z"),
        ),
        (
            "2024-11-29",  # closes at 13:00 New York
            210,
            ("2024-11-29T14:30:00Z", "2024-11-29T14:31:02Z"),
            ("2024-12-02T14:29:00Z", "2024-12-02T14:30:02Z"),
        ),
        (
            "2030-12-31",  # the calendar's last: no session follows
            390,
            ("2030-12-31T14:30:00Z", "2030-12-31T14:31:02Z"),
            ("2030-12-31T20:59:00Z", "2030-12-31T21:00:02Z"),
        ),
    ],
)
def test_one_asking_after_each_minute(
    day: str, count: int, first: tuple[str, str], last: tuple[str, str]
) -> None:
    session = nyse().session_on(date.fromisoformat(day))
    assert session is not None
    [askings] = [list(each) for each in after_each_minute(nyse(), [session])]
    assert len(askings) == count
    assert (askings[0][:2], askings[-1][:2]) == (first, last)
    assert askings[1][:2] == (f"{day}T{first[0][11:14]}31:00Z", f"{day}T{first[1][11:14]}32:02Z")


def test_one_asking_in_each_minute_as_on_the_day_itself() -> None:
    session = nyse().session_on(date(2024, 11, 29))
    assert session is not None
    [askings] = [list(each) for each in in_each_minute([session])]
    assert len(askings) == 210
    assert askings[0][:2] == ("2024-11-29T14:29:00Z", "2024-11-29T14:30:02Z")
    assert askings[30][:2] == ("2024-11-29T14:59:00Z", "2024-11-29T15:00:02Z")
    assert askings[-1][:2] == ("2024-11-29T17:58:00Z", "2024-11-29T17:59:02Z")
