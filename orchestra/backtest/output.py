"""While algorithms run in a command's own process: their prints are kept off, Ctrl-C ends them."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from orchestra.backtest.engine import Engine


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[Engine], object]]:
    engines: list[Engine] = []

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for engine in engines:
            engine.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield engines.append
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what an algorithm prints off our output, also what it writes past Python's own streams."""
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
            os.dup2(nothing.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
