"""Broker calls for the page: one at a time per kind, shared by all who wait, three seconds at most.

A slow broker can so never take up the server's few threads.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from orchestra.base.errors import ExchangeUnavailable

LONGEST_WAIT_SECONDS = 3.0

_pool = ThreadPoolExecutor(4, thread_name_prefix="broker")
_lock = threading.Lock()
_under_way: dict[str, "Future[Any]"] = {}


def ask(kind: str, call: Callable[[], Any]) -> Any:
    """Return ``call()``'s answer, joining a call of this kind that is under way.

    Raises ExchangeUnavailable when it takes too long; the call goes on for the next who asks.
    """
    with _lock:
        future = _under_way.get(kind)
        if future is None:
            future = _under_way[kind] = _pool.submit(call)
            future.add_done_callback(lambda _: _forget(kind))
    try:
        return future.result(LONGEST_WAIT_SECONDS)
    except TimeoutError:
        raise ExchangeUnavailable("The broker does not answer at the moment: try again.") from None


def _forget(kind: str) -> None:
    with _lock:
        _under_way.pop(kind, None)
