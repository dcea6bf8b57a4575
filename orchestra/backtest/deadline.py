"""What does not come back in a backtest, a run or the file's import, is ended by the wall's deadline."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOKS = 10  # within the deadline


class TookTooLong(BaseException):
    """Raised within such a run; no Exception, for runs catch those."""


@contextmanager
def enforced(seconds: float, asked: Callable[[], int]) -> Iterator[None]:
    """Raise TookTooLong where ``asked()`` stays the same for so many machine seconds; 0: as long as it takes.

    It is looked at now and then, which costs a minute nothing and counts no time in which the whole process
    was stopped. By SIGALRM, which reaches a process's main thread only: elsewhere nothing is ended.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    seen, looks = 0, 0

    def look(*_: object) -> None:
        nonlocal seen, looks
        count = asked()
        seen, looks = count, looks + 1 if count == seen else 0
        if looks >= LOOKS:
            looks = 0
            raise TookTooLong(f"It took longer than {seconds:g} s and was ended")

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds / LOOKS, seconds / LOOKS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
