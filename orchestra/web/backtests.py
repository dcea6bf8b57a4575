"""Backtests for the add dialog: one at a time, in a process of its own that gives way to trading."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestra.base import clock, sqlite
from orchestra.base.settings import ROOT
from orchestra.web.security import ApiError
from system_databse import cycle_journal

LONGEST_SECONDS = 20  # machine seconds, fetching included
LATE_MS = 250.0  # a cycle that starts so late after its wake-up is not disturbed any longer
LOOKED_EVERY_SECONDS = 0.1
NICE = 19
KEPT = 16  # finished ones
RETRY_SECONDS = 1

RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"

log = logging.getLogger("autotrader.api")
Request = dict[str, Any]
Process = subprocess.Popen[str]


@dataclass
class Backtest:
    """One that was asked for; ``error`` says why there is no result."""

    id: int
    status: str = RUNNING
    result: dict[str, Any] | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "result": self.result,
            "error": self.error,
        }


class BacktestDesk:
    """Starts them, watches over the one that runs, and remembers what came of the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Backtest] = OrderedDict()
        self._newest = 0

    def start(self, request: Request) -> Backtest:
        """Start one. Raises ApiError 429 while another one is running."""
        with self._lock:
            if any(each.status == RUNNING for each in self._known.values()):
                raise ApiError(
                    429,
                    "busy",
                    "Another backtest is running: one at a time.",
                    headers={"Retry-After": str(RETRY_SECONDS)},
                )
            self._newest += 1
            begun = Backtest(self._newest)
            self._known[begun.id] = begun
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        ending = contextlib.ExitStack()  # what is to be done when it is over
        try:
            folder = ending.enter_context(
                tempfile.TemporaryDirectory(prefix="preview-", ignore_cleanup_errors=True)
            )
            process = _process(request, folder)
            ending.callback(_end, process)
            watched = (begun, process, ending)
            threading.Thread(target=self._watch, args=watched, daemon=True).start()
        except BaseException:  # no memory for it, say: the next one may still be started
            ending.close()
            begun.status, begun.error = FAILED, "It could not be begun."
            raise
        return begun

    def find(self, number: int) -> Backtest | None:
        """Return one of the last ones."""
        with self._lock:
            return self._known.get(number)

    def _watch(self, begun: Backtest, process: Process, ending: contextlib.ExitStack) -> None:
        status, result = FAILED, None
        error: str | None = "It ended without an answer."
        try:
            status, result, error = _outcome(process)
        except Exception as failure:
            log.exception("The backtest %d failed", begun.id, exc_info=failure)
        finally:
            ending.close()
            sqlite.close_kept()  # this thread's look at the cycles
            # The status last: who reads "done" meanwhile finds the result
            begun.result, begun.error, begun.status = result, error, status


def _process(request: Request, folder: str) -> Process:
    asked = json.dumps(request | {"seconds": LONGEST_SECONDS})
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "preview", asked],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # what an algorithm starts is ended with it
    )
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return process


def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _outcome(process: Process) -> tuple[str, dict[str, Any] | None, str | None]:
    """Wait for the process; end it where it takes too long or a cycle is late."""
    deadline = clock.elapsed() + LONGEST_SECONDS
    # Of the cycles that wake up from now on: a minute's wakes up a little after it has begun
    first = clock.now() - timedelta(seconds=clock.WAKE_UP.market_seconds)
    while True:
        try:
            output, errors = process.communicate(timeout=LOOKED_EVERY_SECONDS)
            break
        except subprocess.TimeoutExpired:
            if process.poll() is not None:  # what it has started holds its output open
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            if clock.elapsed() > deadline:
                return FAILED, None, f"It took longer than {LONGEST_SECONDS:g} s."
            late = cycle_journal.lateness(first, clock.now())
            if max(late.values(), default=0.0) > LATE_MS:
                return STOPPED, None, "Stopped: the trading minute was late, and comes first."
    if process.returncode != 0:
        log.warning("A backtest ended with status %d: %s", process.returncode, errors[-500:])
        return FAILED, None, "It ended without an answer; the log says more."
    answer = json.loads(output)
    if "error" in answer:
        return FAILED, None, str(answer["error"])
    return DONE, answer["result"], None
