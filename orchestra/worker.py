"""A worker process: imports algorithm files and runs them, one task at a time, for the runner.

It is forked from a server that has imported this module, and with it what algorithms need, once.
"""

import contextlib
import io
import math
import os
import signal
import traceback
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import alpaca.data.historical  # noqa: F401  (imported here once, shared by every worker)
import numpy  # noqa: F401
import pandas  # noqa: F401

from database import db_manager  # noqa: F401
from orchestra import allowance, decision, exchange, loader, parameters
from orchestra.base import clock, settings
from orchestra.base.errors import AlgorithmFailed
from orchestra.untouched import Untouched
from system_databse import system_db_manager

OUTPUT_KEPT = 2000  # characters of what an algorithm printed
FAILURE_KEPT = 4000  # characters of its traceback
ALONE_SECONDS = 5  # past the deadline, when the runner must have died


@dataclass(frozen=True)
class Task:
    """Ask one card's algorithm; ``current_time`` is the stamp it is given."""

    algorithm_id: int
    algorithm_type: str
    ticker: str
    initial_capital: float
    current_time: str
    parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A card's answer, or in ``failure`` why there is none, with the traceback; ``summary`` is a line.

    ``left`` names what the run changed in its worker, which runs nothing any more.
    """

    algorithm_id: int
    answer: decision.Decision | None
    failure: str
    milliseconds: float
    summary: str = ""
    output: str = ""
    left: str = ""


class _Printed(io.TextIOBase):
    """Takes what an algorithm prints and keeps the end of it, however much it is."""

    def __init__(self) -> None:
        self.kept = ""

    def write(self, text: str, /) -> int:
        self.kept = (self.kept + text[-OUTPUT_KEPT:])[-OUTPUT_KEPT:]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def serve(connection: Connection, chosen: settings.Settings) -> None:
    """Run tasks from the pipe, which come in batches, until it closes; answer each as it is done.

    A run that leaves the process as it did not find it is the last one here.
    """
    # What a run starts is ended with its worker, and a signal to its own group reaches no other
    os.setpgid(0, 0)
    prepare(chosen)
    untouched = Untouched(connection.fileno(), chosen.algorithm_memory_mb)
    longest = math.ceil(chosen.algorithm_deadline_seconds) + ALONE_SECONDS
    with contextlib.suppress(EOFError, OSError):
        while True:
            tasks: list[Task] = connection.recv()
            for task in tasks:
                signal.alarm(longest)  # instead of any that the run before has set
                result = run(task)
                if not untouched.may_answer():
                    os._exit(1)
                left = untouched.changes(closely=task is tasks[-1])
                connection.send(replace(result, left=left) if left else result)
                if left:
                    return
            signal.alarm(0)
            exchange.hang_up()  # history is rarely fetched here, and the broker's end would not wait


def prepare(chosen: settings.Settings) -> None:
    """Make this process one for algorithms: it writes no ledger, sends no order, and has a memory cap."""
    settings.adopt(chosen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the orchestrator's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    system_db_manager.make_read_only()
    exchange.forbid_orders()
    allowance.cap_memory(chosen.algorithm_memory_mb)


def run(task: Task) -> Result:
    """Load and run one algorithm; whatever it does wrong becomes the result's failure."""
    started = clock.elapsed()
    answer, failure, summary, own = None, "", "", f"{task.algorithm_type}.py"
    printed = _Printed()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            answer = _answer(task)
        except AlgorithmFailed as error:
            failure, summary = str(error), loader.summary(error, own)
        except SystemExit as error:
            failure = summary = loader.summary(error, own)
        except BaseException as error:  # a cancelled task of asyncio is no Exception
            failure, summary = traceback.format_exc(), loader.summary(error, own)
    milliseconds = (clock.elapsed() - started) * 1000
    failure, output = loader.shortened(failure, FAILURE_KEPT), decision.legible(printed.kept)
    return Result(task.algorithm_id, answer, failure, milliseconds, summary, output)


def _answer(task: Task) -> decision.Decision:
    algorithm = loader.load_algorithm(task.algorithm_type)
    card = algorithm(task.ticker, task.initial_capital)
    chosen = parameters.as_declared(getattr(algorithm, "parameters", None), task.parameters)
    for name, value in chosen.items():
        setattr(card, name, value)
    return decision.parse(
        card.run(task.current_time, task.algorithm_id), getattr(card, "reason", "")
    )
