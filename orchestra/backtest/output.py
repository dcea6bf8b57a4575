"""While algorithms run in a command's own processes: their prints are kept off, Ctrl-C ends them.

Nor does what they have left running keep the command.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from orchestra.backtest.engine import Engine
from orchestra.base.errors import AutoTraderError


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[Engine], object]]:
    """The first Ctrl-C ends each engine before its next minute, a second one a run that hangs."""
    engines: list[Engine] = []
    came_early = False  # while the file was imported, for example

    def interrupt(*_: object) -> None:
        nonlocal came_early
        signal.signal(signal.SIGINT, signal.default_int_handler)
        came_early = not engines
        for engine in engines:
            engine.interrupt()

    def started(engine: Engine) -> None:
        engines.append(engine)
        if came_early:
            engine.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield started
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def interrupted_once() -> Iterator[None]:
    """The first Ctrl-C raises KeyboardInterrupt; from then on none is heard, and the program ends soon."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def silence(*, errors: bool = False) -> Iterator[None]:
    """Keep what an algorithm prints off our output, also what it writes past Python's own streams.

    ``errors``: off the standard error as well.
    """
    streams = (1, 2) if errors else (1,)
    kept = [os.dup(stream) for stream in streams]
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
            for stream in streams:
                os.dup2(nothing.fileno(), stream)
            yield
    finally:
        for stream, copy in zip(streams, kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)


def hush() -> None:
    """Keep all that this process prints from now on off the output that it shares with its command."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Let the block's exit code or error end the process, whatever thread an algorithm has left meanwhile.

    Python waits for one that is no daemon, be it for ever.
    """
    before = set(threading.enumerate())
    try:
        yield
    except (SystemExit, click.ClickException) as end:
        if all(each.daemon for each in set(threading.enumerate()) - before):
            raise
        code = end.code if isinstance(end, SystemExit) else end.exit_code
        if isinstance(end, click.UsageError):
            end.ctx = click.get_current_context()  # for the usage, which click would add only later
        if isinstance(end, click.ClickException):
            end.show()
        sys.stdout.flush()
        os._exit(int(code or 0))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise AutoTraderError with a sentence where a file that was asked for cannot be written."""
    try:
        yield
    except OSError as error:
        raise AutoTraderError(f"{path} cannot be written: {error.strerror or error}.") from None
