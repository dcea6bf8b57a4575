"""A worker process: imports algorithm files and runs them, one task at a time, for the runner.

It is forked from a server that has imported this module, and with it what algorithms need, once.
"""

import contextlib
import io
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy  # noqa: F401  (imported here once, shared by every worker)
import pandas  # noqa: F401

from database import db_manager  # noqa: F401
from orchestra import decision, exchange, loader
from orchestra.base import clock, settings
from orchestra.base.errors import AlgorithmFailed
from system_databse import system_db_manager

OUTPUT_KEPT = 2000  # characters of what an algorithm printed


@dataclass(frozen=True)
class Task:
    """Ask one card's algorithm; ``current_time`` is the stamp it is given."""

    algorithm_id: int
    algorithm_type: str
    ticker: str
    initial_capital: float
    current_time: str


@dataclass(frozen=True)
class Result:
    """A card's answer, or in ``failure`` why there is none, with the traceback."""

    algorithm_id: int
    answer: decision.Decision | None
    failure: str
    milliseconds: float
    output: str = ""


def serve(connection: Connection, chosen: settings.Settings) -> None:
    """Run tasks from the pipe until it closes. No ledger is written and no order sent from here."""
    settings.adopt(chosen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the orchestrator's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    system_db_manager.make_read_only()
    exchange.forbid_orders()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(run(connection.recv()))


def run(task: Task) -> Result:
    """Load and run one algorithm; whatever it does wrong becomes the result's failure."""
    started = clock.elapsed()
    answer, failure = None, ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            algorithm = loader.load_algorithm(task.algorithm_type)
            card = algorithm(task.ticker, task.initial_capital)
            answer = decision.parse(card.run(task.current_time, task.algorithm_id))
        except AlgorithmFailed as error:
            failure = str(error)
        except Exception:
            failure = traceback.format_exc()
        except SystemExit as error:
            failure = f"It called sys.exit({error.code!r})"
    milliseconds = (clock.elapsed() - started) * 1000
    return Result(
        task.algorithm_id, answer, failure, milliseconds, printed.getvalue()[-OUTPUT_KEPT:]
    )
