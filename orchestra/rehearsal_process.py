"""The process of a rehearsal: runs algorithm files as a worker does, and watches what else they do."""

import contextlib
import faulthandler
import math
import multiprocessing
import os
import signal
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from database import db_manager, past_bars, schema, smart_fetch
from database.bars import Row
from database.past_bars import PastBars
from database.rehearsal_bars import RehearsedBars
from orchestra import worker
from orchestra.backtest import child
from orchestra.backtest.play import seen_from
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import AutoTraderError
from orchestra.base.market_calendar import nyse
from orchestra.base.settings import ROOT, Settings
from orchestra.runner import how_it_died, without_main_module
from orchestra.untouched import Untouched
from orchestra.worker import Result, Task

SCREEN_KEPT = 16_384  # bytes; a fault's traceback fits
START_SECONDS = 60.0  # until a new process is ready; numpy and pandas are imported
OWN_FOLDERS = tuple(
    f"{ROOT / name}{os.sep}" for name in ("orchestra", "database", "system_databse")
)


@dataclass(frozen=True)
class Opened:
    """A database that the algorithm opened itself, and the line of its file that did."""

    line: int
    database: str


@dataclass(frozen=True)
class Heard:
    """What came of one run; ``memory_mb`` is the process's peak beyond what it started with.

    ``lacking`` are the tickers it asked for whose bars are not there, ``left`` what is changed in the
    process.
    """

    result: Result
    opened: tuple[Opened, ...] = ()
    memory_mb: float = 0.0
    lacking: frozenset[str] = frozenset()
    left: str = ""


class RehearsalProcess:
    """One process for one algorithm file; ended by its deadline or its own doing, it is started again."""

    def __init__(self, path: Path, chosen: Settings, screen: Path) -> None:
        self._path, self._settings, self._screen = path, chosen, screen
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._start()

    def ask(self, task: Task, newest: str | None = None) -> Heard:
        """Run one task; a hang or a sudden end is a result like any other.

        With the stamp of the ``newest`` bar that it may see, it is run with a backtest's view of the past.
        """
        started = clock.elapsed()
        deadline = self._settings.algorithm_deadline_seconds
        failure = f"It took longer than {deadline:g} s and was ended"
        with contextlib.suppress(EOFError, OSError):
            self._connection.send((task, newest))
            if self._connection.poll(deadline):
                failure = ""
                heard: Heard = self._connection.recv()
                return heard
        milliseconds = (clock.elapsed() - started) * 1000
        if not failure:
            failure = how_it_died(self._process)
        told = self.screen()
        self.restart()
        result = Result(
            task.algorithm_id, None, f"{failure}\n{told}".strip(), milliseconds, failure
        )
        return Heard(result)

    def screen(self) -> str:
        """The end of what was written past Python's own streams; after a fault, its traceback."""
        with self._screen.open("rb") as file:
            file.seek(max(0, self._screen.stat().st_size - SCREEN_KEPT))
            text = file.read().decode(errors="replace")
        fault = text.find("Fatal Python error")
        if fault >= 0:
            return text[fault : fault + worker.OUTPUT_KEPT]
        return text[-worker.OUTPUT_KEPT :]

    def restart(self) -> None:
        """Go on in a fresh process, which remembers nothing."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the process, and all that it has started."""
        self._connection.close()
        child.end(self._process)
        self._process.join()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        arguments = (theirs, self._settings, self._path, self._screen)
        with without_main_module():
            self._process = self._context.Process(target=serve, args=arguments, daemon=True)
            self._process.start()
        theirs.close()
        if not self._connection.poll(START_SECONDS):
            self.close()
            raise AutoTraderError("The process for the algorithm did not start.")
        self._connection.recv()


def serve(connection: Connection, chosen: Settings, path: Path, screen: Path) -> None:
    """Run tasks from the pipe until it closes, with everything written going to the file ``screen``."""
    os.setpgid(0, 0)  # what a run starts is ended with it
    with screen.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable(2)
    worker.prepare(chosen)
    opened: dict[Opened, None] = {}
    _watch_databases(path, opened)
    lacking: set[str] = set()
    smart_fetch.tell_instead_of_fetching(lacking.add)
    bars = RehearsedBars()
    with db_manager.answered_by(bars), contextlib.suppress(EOFError, OSError):
        start = _memory("VmRSS")
        untouched = Untouched(connection.fileno(), chosen.algorithm_memory_mb)
        longest = math.ceil(chosen.algorithm_deadline_seconds) + worker.ALONE_SECONDS
        connection.send("ready")
        while True:
            lacking.clear()
            task, newest = connection.recv()
            bars.rehearse(task.current_time)
            signal.alarm(longest)  # should the command have died meanwhile
            result = worker.run(task) if newest is None else _run_as_of(task, newest, lacking.add)
            memory = max(0.0, _memory("VmHWM") - start)
            left = untouched.changes(closely=True)
            connection.send(Heard(result, tuple(opened), memory, frozenset(lacking), left))
            signal.alarm(0)


def _run_as_of(task: Task, newest: str, lacking: Callable[[str], None]) -> Result:
    """Run a task as a backtest does: no question reaches beyond the bar ``newest``, and no file is there."""
    chosen, connection = settings.current(), schema.stocks()
    first, last = (clock.stamp(nyse().sessions[n].open) for n in (0, -1))

    def load(ticker: str) -> list[Row]:
        rows = past_bars.read(connection, ticker, first, last)
        if not rows:
            lacking(ticker)
        return rows

    bars = PastBars(task.ticker, load(task.ticker), first, load)
    bars.now, bars.ended = task.current_time, bisect_right(bars.stamps, newest)
    gone = chosen.stocks_db_path.parent / "gone" / chosen.stocks_db_path.name
    with seen_from(bars):
        settings.adopt(replace(chosen, stocks_db=gone))
        try:
            return worker.run(task)
        finally:
            settings.adopt(chosen)


def _watch_databases(path: Path, opened: dict[Opened, None]) -> None:
    """Note each opening of a database that does not go through the project's own modules."""

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "sqlite3.connect":
            line = _line_that_opens(sys._getframe(1), str(path))
            if line is not None:
                database = arguments[0]
                name = database if isinstance(database, str | os.PathLike) else "?"
                opened[Opened(line, Path(name).name)] = None

    sys.addaudithook(watch)


def _line_that_opens(caller: FrameType | None, path: str) -> int | None:
    """The line of the file at ``path`` that opens a database, None where one of our modules does.

    0 where it cannot be told: the file has started a thread, for example.
    """
    while caller is not None and caller.f_code.co_filename == sqlite.__file__:
        caller = caller.f_back
    if caller is not None and caller.f_code.co_filename.startswith(OWN_FOLDERS):
        return None
    while caller is not None and caller.f_code.co_filename != path:
        caller = caller.f_back
    return 0 if caller is None else caller.f_lineno


def _memory(name: str) -> float:
    """A figure of this process's memory in MB, as Linux counts it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024
