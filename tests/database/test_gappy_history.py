"""Whatever is known already, an algorithm gets the newest bars that had ended, and all of them."""

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import db_manager, schema
from database.historical_pull import HistoricalFetcher
from orchestra.base.market_calendar import MINUTE
from tests.exchange_fixture import running_exchange, set_clock

FORM = "%Y-%m-%dT%H:%M:%SZ"
# The week the clocks change, a half day and the day after; opens in UTC and lengths by hand
SESSIONS = {
    "2024-10-31": ("13:30", 390),
    "2024-11-01": ("13:30", 390),
    "2024-11-04": ("14:30", 390),
    "2024-11-29": ("14:30", 210),
    "2024-12-02": ("14:30", 390),
}
# November's other sessions have no bar at all: a ticker that rested
SHARES = {"DENSE": 1.0, "SOME": 0.3, "RARE": 0.02}


def opening(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{SESSIONS[day][0]}:00+00:00")


def minutes_of(ticker: str) -> list[datetime]:
    chance = random.Random(ticker)
    return [
        opening(day) + n * MINUTE
        for day, (_, length) in SESSIONS.items()
        for n in range(length)
        if chance.random() < SHARES[ticker]
    ]


MINUTES = {ticker: minutes_of(ticker) for ticker in SHARES}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bars")
    for ticker, minutes in MINUTES.items():
        (folder / ticker).mkdir()
        for day in SESSIONS:
            with (folder / ticker / f"{day}.csv").open("w", newline="") as file:
                out = csv.writer(file)
                out.writerow(("timestamp", "open", "high", "low", "close", "volume"))
                for minute in minutes:
                    if f"{minute:%Y-%m-%d}" == day:
                        out.writerow((f"{minute:{FORM}}", 10, 11, 9, 10.5, 100))
    return folder


@pytest.fixture
def exchange(recorded: Path) -> Iterator[None]:
    with running_exchange(SIMULATOR_BARS=recorded):
        yield


RANGE = st.tuples(st.sampled_from(sorted(SESSIONS)), st.integers(0, 380), st.integers(0, 200))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ticker=st.sampled_from(sorted(SHARES)),
    known=st.lists(RANGE, max_size=3),
    day=st.sampled_from(sorted(SESSIONS)),
    seconds=st.integers(-3_600, 90_000),
    n=st.integers(1, 900),
    now=st.sampled_from(["2024-11-29T18:30:00Z", "2024-12-02T21:00:00Z", "2024-12-10T22:00:00Z"]),
)
def test_the_newest_bars_are_found_whatever_is_known_already(
    exchange: None,
    ticker: str,
    known: list[tuple[str, int, int]],
    day: str,
    seconds: int,
    n: int,
    now: str,
) -> None:
    set_clock(now, 60)  # closed; the simulated rate limit is in market minutes
    with_nothing_stored()
    for known_day, first, length in known:
        begin = opening(known_day) + first * MINUTE
        end = begin + length * MINUTE
        HistoricalFetcher(patient=True).fetch(ticker, f"{begin:{FORM}}", f"{end:{FORM}}")
    before = opening(day) + timedelta(seconds=seconds)
    found = db_manager.get_data_for_algorithm(
        ticker, "last_n_bars", n=n, before_timestamp=f"{before:{FORM}}"
    )
    latest = min(before, datetime.fromisoformat(now))
    expected = [minute for minute in MINUTES[ticker] if minute + MINUTE <= latest][-n:]
    assert [each["timestamp"] for each in found] == [f"{minute:{FORM}}" for minute in expected]


def with_nothing_stored() -> None:
    for table in ("bars", "coverage", "asked", "arrivals"):
        schema.stocks().execute(f"DELETE FROM {table}")
