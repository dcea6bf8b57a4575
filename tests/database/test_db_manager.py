"""The functions everything else reads market data through, without an exchange in reach."""

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import arrays, db_manager, gaps, schema
from orchestra import valuation
from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import nyse
from tests.conftest import Configure
from tests.database.conftest import At, bar

MORNING = [f"2024-01-02T14:{minute}:00Z" for minute in range(30, 40)]


def stamps(found: list[dict[str, Any]]) -> list[str]:
    return [each["timestamp"] for each in found]


def test_bars_come_back_as_they_were_stored_and_in_order() -> None:
    db_manager.insert_minute_data("NVDA", MORNING[1], 10.25, 11, 9.5, 10.75, 1200)
    db_manager.insert_minute_data("NVDA", MORNING[0], 10, 11, 9, 10.5, 100)
    assert db_manager.get_historical_data("NVDA", MORNING[0], MORNING[1]) == [
        {
            "timestamp": "2024-01-02T14:30:00Z",
            "open": 10.0,
            "high": 11.0,
            "low": 9.0,
            "close": 10.5,
            "volume": 100,
        },
        {
            "timestamp": "2024-01-02T14:31:00Z",
            "open": 10.25,
            "high": 11.0,
            "low": 9.5,
            "close": 10.75,
            "volume": 1200,
        },
    ]
    assert db_manager.get_historical_data("AAPL", MORNING[0], MORNING[1]) == []


def test_with_the_exchange_out_of_reach_the_newest_bar_tells_its_own_age(at: At) -> None:
    """As algorithms/README.md has it; a thin ticker's old bar is told apart."""
    now, last = "2024-01-02T14:45:02Z", "2024-01-02T14:44:00Z"
    at(now)
    db_manager.insert_historical_data("NVDA", map(bar, MORNING[:3]))
    held = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=50, before_timestamp=now)
    assert held == [bar(stamp) for stamp in MORNING[:3]]
    newest = held[-1]["timestamp"]
    assert clock.parse(now) - clock.parse(newest) == timedelta(minutes=13, seconds=2)
    unknown = db_manager.check_data_exists("NVDA", newest, last)
    assert unknown == [("2024-01-02T14:33:00Z", "2024-01-02T14:44:00Z")]
    assert valuation.unknown_minutes("NVDA", held[-1], clock.parse(now)) == 12
    no_trades = gaps.within(clock.parse(MORNING[3]), clock.parse(last))
    assert no_trades is not None
    with sqlite.transaction(schema.stocks()) as connection:
        gaps.cover(connection, "NVDA", no_trades)
    assert db_manager.check_data_exists("NVDA", newest, last) == []
    assert valuation.unknown_minutes("NVDA", held[-1], clock.parse(now)) == 0


def test_both_ends_of_a_range_are_included() -> None:
    assert db_manager.insert_historical_data("NVDA", map(bar, MORNING)) == 10
    found = db_manager.get_historical_data("NVDA", MORNING[2], MORNING[5])
    assert stamps(found) == MORNING[2:6]
    found = db_manager.get_historical_data("NVDA", "2024-01-02T14:31:01Z", "2024-01-02T14:33:59Z")
    assert stamps(found) == MORNING[2:4]


def test_a_later_bar_for_the_same_minute_replaces_the_first() -> None:
    db_manager.insert_minute_data("NVDA", MORNING[0], 10, 11, 9, 10.5, 100)
    db_manager.insert_minute_bars([("NVDA", bar(MORNING[0], 20.0, 500))])
    assert db_manager.get_historical_data("NVDA", MORNING[0], MORNING[0]) == [
        bar(MORNING[0], 20.0, 500)
    ]


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-02T14:29:00Z",  # before the open
        "2024-01-02T21:00:00Z",  # 16:00 New York: the closing auction
        "2024-07-03T17:00:00Z",  # a half day's afternoon
        "2024-07-02T20:00:00Z",  # 16:00 New York in summer
        "2024-01-06T15:00:00Z",  # a Saturday
        "2024-01-01T15:00:00Z",  # New Year's Day
        "2017-06-01T15:00:00Z",  # before the calendar
    ],
)
def test_bars_outside_the_regular_session_are_dropped(stamp: str) -> None:
    assert db_manager.insert_minute_data("NVDA", stamp, 10, 11, 9, 10.5, 100) == 0
    assert db_manager.insert_historical_data("NVDA", [bar(stamp), bar(MORNING[0])]) == 1
    assert db_manager.insert_minute_bars([("NVDA", bar(stamp)), ("NVDA", bar(MORNING[1]))]) == 1
    found = db_manager.get_historical_data("NVDA", "2017-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
    assert stamps(found) == MORNING[:2]


def test_no_function_shows_a_bar_that_has_not_ended(at: At) -> None:
    at("2024-01-02T14:35:02Z")
    for n, stamp in enumerate(MORNING):
        db_manager.insert_minute_data("NVDA", stamp, 10 + n, 11 + n, 9 + n, 10 + n, 100)
    visible = MORNING[:5]  # the 14:34 bar has ended, the 14:35 bar has not
    last = "2024-01-02T21:00:00Z"
    assert stamps(db_manager.get_historical_data("NVDA", MORNING[0], last)) == visible
    assert db_manager.get_latest_price("NVDA") == 14
    newest = db_manager.newest_bar("NVDA")
    assert newest is not None and newest["timestamp"] == MORNING[4]
    assert list(db_manager.get_bars_frame("NVDA", MORNING[0], last)["close"]) == [
        10,
        11,
        12,
        13,
        14,
    ]
    ask = db_manager.get_data_for_algorithm
    assert stamps(ask("NVDA", "last_n_bars", n=50)) == visible
    assert stamps(ask("NVDA", "last_n_bars", n=50, before_timestamp=last)) == visible
    assert stamps(ask("NVDA", "time_range", start=MORNING[0], end=last)) == visible
    early = "2024-01-02T14:33:59Z"  # within 14:33: its bar has not ended
    assert stamps(ask("NVDA", "last_n_bars", n=2, before_timestamp=early)) == MORNING[1:3]
    moment = datetime(2024, 1, 2, 14, 34, tzinfo=UTC)
    assert stamps(ask("NVDA", "last_n_bars", n=1, before_timestamp=moment)) == [MORNING[3]]


def test_the_latest_price_of_a_new_ticker_is_none() -> None:
    assert db_manager.get_latest_price("NVDA") is None
    assert db_manager.newest_bar("NVDA") is None
    db_manager.add_ticker_if_missing("NVDA")
    assert db_manager.get_latest_price("NVDA") is None


def test_a_frame_has_a_utc_index() -> None:
    db_manager.insert_historical_data("NVDA", [bar(MORNING[0], 10.25), bar(MORNING[2], 11.5, 70)])
    frame = db_manager.get_bars_frame("NVDA", MORNING[0], MORNING[9])
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert str(frame.index.tz) == "UTC"
    assert [str(moment) for moment in frame.index] == [
        "2024-01-02 14:30:00+00:00",
        "2024-01-02 14:32:00+00:00",
    ]
    assert frame["close"].tolist() == [10.25, 11.5]
    assert frame["volume"].tolist() == [100, 70]
    empty = db_manager.get_bars_frame("AAPL", MORNING[0], MORNING[9])
    assert len(empty) == 0 and list(empty.columns) == list(frame.columns)
    assert str(empty.index.tz) == "UTC"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    absent=st.sets(st.integers(0, 599), max_size=8),
    first=st.integers(-30, 630),
    length=st.integers(0, 2 * 24 * 60),
)
def test_arrays_and_frames_equal_the_bars(absent: set[int], first: int, length: int) -> None:
    connection = schema.stocks()
    connection.execute("DELETE FROM bars")
    half_day = datetime(2024, 7, 3, 13, 30, tzinfo=UTC)
    minutes = [half_day + timedelta(minutes=n) for n in range(210)]
    minutes += [half_day + timedelta(days=2, minutes=n) for n in range(390)]
    stored = [
        bar(f"{moment:%Y-%m-%dT%H:%M:%SZ}", 10 + n / 7, n)
        for n, moment in enumerate(minutes)
        if n not in absent
    ]
    db_manager.insert_historical_data("NVDA", stored)
    begin = half_day + timedelta(minutes=first, seconds=first % 60)
    bounds = [f"{begin + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in (0, length)]
    expected = [each for each in stored if bounds[0] <= str(each["timestamp"]) <= bounds[1]]
    from_rows = arrays.of_rows([tuple(each.values()) for each in expected])
    for found in (db_manager.get_bars_arrays("NVDA", *bounds), from_rows):
        assert len(found) == len(expected)
        assert [f"{minute}Z" for minute in found.minutes] == [
            each["timestamp"] for each in expected
        ]
        for name in ("open", "high", "low", "close", "volume"):
            assert getattr(found, name).tolist() == [each[name] for each in expected]
    frame = db_manager.get_bars_frame("NVDA", *bounds)
    assert frame.index.strftime("%Y-%m-%dT%H:%M:%SZ").tolist() == [
        each["timestamp"] for each in expected
    ]
    assert frame["close"].tolist() == [each["close"] for each in expected]


BAD_FIGURES = [
    {"open": 0},
    {"close": -1},
    {"low": math.nan},
    {"high": math.inf},
    {"high": 8.0},  # below low
    {"high": 9.5},  # below close
    {"low": 10.5},  # above open and close
    {"volume": -1},
    {"volume": math.nan},
    {"open": None},
    {"open": "ten"},
    {"volume": "many"},
]


@pytest.mark.parametrize("bad", BAD_FIGURES, ids=str)
def test_impossible_figures_change_nothing(bad: dict[str, Any]) -> None:
    wrong = bar(MORNING[1]) | bad
    with pytest.raises(BadInput):
        db_manager.insert_historical_data("NVDA", [bar(MORNING[0]), wrong, bar(MORNING[2])])
    with pytest.raises(BadInput):
        db_manager.insert_minute_bars([("NVDA", bar(MORNING[0])), ("AAPL", wrong)])
    with pytest.raises(BadInput):
        db_manager.insert_minute_data("NVDA", **wrong)
    connection = schema.stocks()
    for table in ("bars", "coverage", "tickers"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def test_a_bad_bar_is_named() -> None:
    with pytest.raises(
        BadInput, match=r"close above 0 dollars, found -1\. \(bar of 2024-01-02T14:31"
    ):
        db_manager.insert_historical_data(
            "NVDA", [bar(MORNING[0]), bar(MORNING[1]) | {"close": -1}]
        )
    with pytest.raises(BadInput, match="volume is missing"):
        wrong = bar(MORNING[0])
        del wrong["volume"]
        db_manager.insert_historical_data("NVDA", [wrong])
    with pytest.raises(BadInput, match="Expected bars as dicts"):
        db_manager.insert_historical_data("NVDA", [("2024-01-02T14:30:00Z", 1)])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-02",
        "2024-01-02 14:30:00Z",
        "2024-01-02T14:30:00",
        "2024-01-02T14:30:00+00:00",
        "2024-W01-2T14:30:00Z",
        "2024-13-02T14:30:00Z",
        "2024-01-02T14:30:30Z",  # not on a full minute
        "",
        None,
        1704205800,
        datetime(2024, 1, 2, 14, 30),  # noqa: DTZ001  (a naive moment is the point)
    ],
    ids=str,
)
def test_malformed_stamps_are_refused(stamp: Any) -> None:
    for call in (
        lambda: db_manager.insert_minute_data("NVDA", stamp, 10, 11, 9, 10, 1),
        lambda: db_manager.insert_historical_data("NVDA", [bar(stamp)]),
        lambda: db_manager.insert_minute_bars([("NVDA", bar(stamp))]),
    ):
        with pytest.raises(BadInput, match=r"2024-06-04T14:30:00Z|full minute"):
            call()
    if stamp == "2024-01-02T14:30:30Z":
        return  # ranges may begin and end anywhere
    for call in (
        lambda: db_manager.get_historical_data("NVDA", stamp, MORNING[9]),
        lambda: db_manager.check_data_exists("NVDA", MORNING[0], stamp),
        lambda: db_manager.get_bars_frame("NVDA", stamp, stamp),
        lambda: db_manager.get_data_for_algorithm("NVDA", "time_range", start=stamp, end=stamp),
    ):
        with pytest.raises(BadInput, match="2024-06-04T14:30:00Z"):
            call()
    if stamp is not None:
        with pytest.raises(BadInput, match="before_timestamp"):
            db_manager.get_data_for_algorithm("NVDA", "last_n_bars", before_timestamp=stamp)


@pytest.mark.parametrize(
    "ticker", ["", "nvda", "NV DA", ".A", "TOOLONGNAME", "A'B", "BRK/B", None, 7]
)
def test_bad_tickers_are_refused(ticker: Any) -> None:
    for call in (
        lambda: db_manager.add_ticker_if_missing(ticker),
        lambda: db_manager.insert_minute_data(ticker, MORNING[0], 10, 11, 9, 10, 1),
        lambda: db_manager.insert_minute_bars([(ticker, bar(MORNING[0]))]),
        lambda: db_manager.get_historical_data(ticker, MORNING[0], MORNING[1]),
        lambda: db_manager.get_latest_price(ticker),
        lambda: db_manager.check_data_exists(ticker, MORNING[0], MORNING[1]),
        lambda: db_manager.insert_historical_data(ticker, []),
        lambda: db_manager.get_data_for_algorithm(ticker, "last_n_bars"),
    ):
        with pytest.raises(BadInput, match=r"like NVDA or BRK\.B"):
            call()


@pytest.mark.parametrize(
    ("requirement_type", "arguments", "teaches"),
    [
        ("last_n", {}, "'last_n_bars' or 'time_range'"),
        (None, {}, "'last_n_bars' or 'time_range'"),
        ("last_n_bars", {"n": 0}, "1 or more"),
        ("last_n_bars", {"n": 2.5}, "1 or more"),
        ("last_n_bars", {"n": True}, "1 or more"),
        ("last_n_bars", {"count": 5}, "takes n and before_timestamp, found count."),
        ("time_range", {"start": MORNING[0]}, "takes start and end, found start."),
        ("time_range", {"start": MORNING[1], "end": MORNING[0]}, "later than end"),
        ("time_range", {"start": MORNING[0], "end": MORNING[1], "n": 5}, "found end, n, start."),
    ],
)
def test_requirements_that_make_no_sense(
    requirement_type: Any, arguments: dict[str, Any], teaches: str
) -> None:
    with pytest.raises(BadInput, match=teaches):
        db_manager.get_data_for_algorithm("NVDA", requirement_type, **arguments)


def test_without_the_exchange_the_stored_bars_are_returned_and_one_warning_is_logged(
    at: At, caplog: pytest.LogCaptureFixture
) -> None:
    at("2024-01-02T14:45:02Z")
    db_manager.insert_historical_data("NVDA", map(bar, MORNING))
    caplog.set_level(logging.INFO)
    for _ in range(3):
        found = db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=50)
        assert stamps(found) == MORNING
    found = db_manager.get_data_for_algorithm(
        "NVDA", "time_range", start="2024-01-02T14:00:00Z", end=MORNING[3]
    )
    assert stamps(found) == MORNING[:4]
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert db_manager.check_data_exists("NVDA", MORNING[9], "2024-01-02T14:41:00Z") == [
        ("2024-01-02T14:40:00Z", "2024-01-02T14:41:00Z")
    ]


def test_complete_data_needs_no_exchange(at: At, caplog: pytest.LogCaptureFixture) -> None:
    at("2024-01-02T14:40:02Z")
    db_manager.insert_historical_data("NVDA", map(bar, MORNING))
    assert stamps(db_manager.get_data_for_algorithm("NVDA", "last_n_bars", n=10)) == MORNING
    assert caplog.messages == []


# Days with a clock change or a half day among them; their opens and closes by hand
DAYS = {
    "2024-03-08": ("14:30", 390),  # winter time
    "2024-03-11": ("13:30", 390),  # summer time
    "2024-07-03": ("13:30", 210),  # half day
    "2024-07-05": ("13:30", 390),
    "2024-11-01": ("13:30", 390),
    "2024-11-04": ("14:30", 390),
    "2024-11-29": ("14:30", 210),  # half day
}


def session_minutes() -> list[datetime]:
    return [
        datetime.fromisoformat(f"{day}T{opening}:00+00:00") + timedelta(minutes=offset)
        for day, (opening, length) in DAYS.items()
        for offset in range(length)
    ]


MINUTES = session_minutes()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    present=st.sets(st.integers(0, len(MINUTES) - 1), max_size=120),
    near=st.integers(0, len(MINUTES) - 1),
    seconds=st.integers(-200, 100_000),
    n=st.integers(1, 150),
    now=st.sampled_from(["2024-07-03T15:00:20Z", "2024-12-31T00:00:00Z"]),
)
def test_the_newest_ended_bars_whatever_is_there(
    configure: Configure, present: set[int], near: int, seconds: int, n: int, now: str
) -> None:
    configure(MARKET_CLOCK_START=now)
    connection = schema.stocks()
    for table in ("bars", "coverage"):
        connection.execute(f"DELETE FROM {table}")
    stored = [MINUTES[index] for index in sorted(present)]
    db_manager.insert_historical_data("NVDA", [bar(f"{m:%Y-%m-%dT%H:%M:%SZ}") for m in stored])
    with sqlite.transaction(connection):  # everything was asked for: nothing is fetched
        gaps.cover(connection, "NVDA", (0, nyse().minute_number(MINUTES[-1])))
    before = MINUTES[near] + timedelta(seconds=seconds)
    found = db_manager.get_data_for_algorithm(
        "NVDA", "last_n_bars", n=n, before_timestamp=f"{before:%Y-%m-%dT%H:%M:%SZ}"
    )
    latest_end = min(before, datetime.fromisoformat(now))
    expected = [m for m in stored if m + timedelta(minutes=1) <= latest_end][-n:]
    assert stamps(found) == [f"{m:%Y-%m-%dT%H:%M:%SZ}" for m in expected]
