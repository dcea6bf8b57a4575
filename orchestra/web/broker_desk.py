"""Broker calls for the page: one at a time per kind, shared by all who wait, three seconds at most.

A slow broker can so never take up the server's few threads.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from orchestra.base import clock
from orchestra.base.errors import ExchangeUnavailable

SLOW_AFTER_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 3.0
SEATS = 2  # how many requests may wait for a slow call; the server has four threads

_pool = ThreadPoolExecutor(4, thread_name_prefix="broker")
_seats = threading.Semaphore(SEATS)
_lock = threading.Lock()
_under_way: dict[str, "tuple[Future[Any], float]"] = {}  # with the instant it began


def ask(kind: str, call: Callable[[], Any]) -> Any:
    """Return ``call()``'s answer, joining a call of this kind that is under way.

    Raises ExchangeUnavailable when it takes too long; the call goes on for the next who asks.
    """
    with _lock:
        if kind not in _under_way:
            _under_way[kind] = _pool.submit(_run, kind, call), clock.elapsed()
        future, began = _under_way[kind]
    try:
        return _result(future, began + SLOW_AFTER_SECONDS)
    except TimeoutError:
        pass
    if _seats.acquire(blocking=False):
        try:
            return _result(future, began + LONGEST_WAIT_SECONDS)
        except TimeoutError:
            pass
        finally:
            _seats.release()
    raise ExchangeUnavailable("The broker does not answer at the moment: try again.")


def _result(future: "Future[Any]", until: float) -> Any:
    return future.result(max(0.0, until - clock.elapsed()))


def _run(kind: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        with _lock:
            del _under_way[kind]


def prepare(build: Callable[[], Any]) -> None:
    """Have something slow done in the background, before anybody waits for it."""
    _pool.submit(build)
