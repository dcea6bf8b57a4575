"""Market time against hand-computed moments."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import nyse


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def machine_time(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The machine's unix time, to be set by the test."""
    current = {"unix": 1000.0}
    monkeypatch.setattr(clock.time, "time", lambda: current["unix"])
    return current


def test_accelerated_time_runs_at_its_speed(machine_time: dict[str, float]) -> None:
    accelerated = clock.AcceleratedClock(utc("2024-01-02T14:30:00"), 60, 1000)
    machine_time["unix"] = 1002.5
    assert accelerated.now() == utc("2024-01-02T14:32:30")
    assert accelerated.seconds_until(utc("2024-01-02T14:33:30")) == pytest.approx(1.0)


def test_setting_the_machines_clock_moves_no_steady_clock(
    configure, machine_time: dict[str, float]
) -> None:
    start = "2024-01-02T14:30:00Z"
    configure(MARKET_CLOCK_START=start, MARKET_CLOCK_STEADY_ANCHOR=clock.elapsed())
    machine_time["unix"] += 3 * 86_400  # the network came, and with it the time
    passed = clock.now() - clock.parse(start)
    assert timedelta(0) <= passed < timedelta(minutes=1)
    configure(MARKET_CLOCK_ANCHOR=1000, MARKET_CLOCK_STEADY_ANCHOR="")
    assert clock.now() - clock.parse(start) == timedelta(days=3)


def test_a_child_shares_a_steady_clock(configure) -> None:
    configure(MARKET_CLOCK_START="2024-01-02T14:30:00Z", MARKET_CLOCK_STEADY_ANCHOR=12.5)
    shared = clock.shared_settings()
    assert (shared.market_clock_steady_anchor, shared.market_clock_anchor) == (12.5, None)


def test_closed_hours_pass_at_once(machine_time: dict[str, float]) -> None:
    accelerated = clock.AcceleratedClock(utc("2024-01-05T20:59:00"), 60, 1000, nyse())
    machine_time["unix"] = 1006.0  # Friday 21:05Z is five minutes after the close ...
    assert accelerated.now() == utc("2024-01-08T14:25:00")  # ... and Monday's 09:25 New York
    machine_time["unix"] = 1011.0
    assert accelerated.now() == utc("2024-01-08T14:30:00")


def test_waiting_into_closed_hours_ends_where_they_are_skipped(
    machine_time: dict[str, float],
) -> None:
    accelerated = clock.AcceleratedClock(utc("2024-01-05T21:00:00"), 60, 1000, nyse())
    assert accelerated.seconds_until(utc("2024-01-06T12:00:00")) == pytest.approx(5.0)
    assert accelerated.seconds_until(utc("2024-01-08T14:30:00")) == pytest.approx(10.0)


def test_a_start_in_closed_hours_begins_before_the_next_open(
    machine_time: dict[str, float],
) -> None:
    accelerated = clock.AcceleratedClock(utc("2024-01-06T12:00:00"), 60, 1000, nyse())
    assert accelerated.now() == utc("2024-01-08T14:25:00")


def test_after_the_last_session_time_goes_on(machine_time: dict[str, float]) -> None:
    accelerated = clock.AcceleratedClock(utc("2030-12-31T21:00:00"), 60, 1000, nyse())
    machine_time["unix"] = 1010.0
    assert accelerated.now() == utc("2030-12-31T21:10:00")


def test_stamps_round_trip_and_refuse_other_forms() -> None:
    assert clock.stamp(utc("2024-06-04T14:30:22.987")) == "2024-06-04T14:30:22Z"
    assert clock.parse("2024-06-04T14:30:22Z") == utc("2024-06-04T14:30:22")
    for wrong in ("2024-06-04 14:30:22", "2024-06-04T14:30:22+00:00", "2024-06-04", "now"):
        with pytest.raises(ValueError):
            clock.parse(wrong)


def test_a_delay_is_never_shorter_than_its_machine_part(configure) -> None:
    configure(MARKET_CLOCK_START="2024-01-02T14:30:00Z", MARKET_CLOCK_SPEED=600)
    minute = clock.now() + timedelta(minutes=10)
    early = clock.due(minute)
    assert clock.due(minute, clock.Delay(2, 0.05)) - early == pytest.approx(0.05, abs=1e-3)
    assert clock.due(minute, clock.Delay(60, 0.05)) - early == pytest.approx(0.1, abs=1e-3)


def test_a_stop_ends_a_wait_at_once() -> None:
    stop = threading.Event()
    stop.set()
    assert clock.wait_until(clock.now() + timedelta(days=1), stop) is False
    assert clock.wait_until(clock.now() - timedelta(days=1), threading.Event()) is True
    day = timedelta(days=1)  # the clock was set back meanwhile
    assert clock.wait_until(clock.now() + day, threading.Event(), longest=0.1) is True
