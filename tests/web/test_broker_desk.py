"""Broker calls shared by those who wait: no network here, only the waiting."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestra.base import clock
from orchestra.base.errors import ExchangeUnavailable
from orchestra.web import broker_desk


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as started:
        yield started


def test_answers_that_come_at_once_hold_nobody_up(pool: ThreadPoolExecutor) -> None:
    def ask_often(number: int) -> int:
        return sum(broker_desk.ask(f"kind {number % 2}", lambda: 1) for _ in range(500))

    assert list(pool.map(ask_often, range(8), timeout=60)) == [500] * 8


def test_a_failure_reaches_all_who_wait_and_the_next_call_is_a_new_one(
    pool: ThreadPoolExecutor,
) -> None:
    go_on, calls = threading.Event(), []

    def fail() -> None:
        calls.append(1)
        go_on.wait(30)
        raise ExchangeUnavailable("The exchange answered 500")

    waiting = [pool.submit(broker_desk.ask, "cash", fail) for _ in range(2)]
    while not calls:
        clock.pause(0.005)
    go_on.set()
    for future in waiting:
        with pytest.raises(ExchangeUnavailable, match="answered 500"):
            future.result(30)
    assert broker_desk.ask("cash", lambda: 7.0) == 7.0


def test_only_some_wait_for_a_slow_call_and_none_for_long(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_desk, "SLOW_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(broker_desk, "LONGEST_WAIT_SECONDS", 60.0)
    go_on, calls = threading.Event(), []

    def hang() -> float:
        calls.append(1)
        go_on.wait(60)
        return 7.0

    waiting = [pool.submit(broker_desk.ask, "cash", hang) for _ in range(8)]
    deadline = clock.elapsed() + 30
    while sum(future.done() for future in waiting) < 6 and clock.elapsed() < deadline:
        clock.pause(0.005)
    go_on.set()
    answered = [future for future in waiting if future.exception(30) is None]
    assert [future.result() for future in answered] == [7.0, 7.0]  # two seats
    assert calls == [1]


def test_a_call_that_hangs_is_given_up_after_the_longest_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_desk, "SLOW_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(broker_desk, "LONGEST_WAIT_SECONDS", 0.03)
    go_on = threading.Event()
    with pytest.raises(ExchangeUnavailable, match="does not answer"):
        broker_desk.ask("cash", lambda: go_on.wait(60))
    with pytest.raises(ExchangeUnavailable, match="does not answer"):
        broker_desk.ask("cash", lambda: 7.0)  # joins the one under way: refused at once
    go_on.set()
