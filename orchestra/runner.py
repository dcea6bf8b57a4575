"""Runs algorithms in warm worker processes, each run with a deadline; a hung worker is replaced."""

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType

from orchestra.base import clock, settings
from orchestra.worker import Result, Task, serve

MOST_WORKERS = 4
SPARES = 4
LARGEST_BATCH = 8  # tasks that are given to a worker at once: fewer wake-ups for quick algorithms
SLOW_SECONDS = 1.0  # a card whose last run took longer is asked last, and alone
# After so long the cards behind a run are given to other workers, spares if need be: early enough that
# they are asked within a second of the wake-up
TAKE_OVER_SECONDS = 0.5
DYING_SECONDS = 0.5  # that are waited for a process to be gone

log = logging.getLogger("autotrader.orchestrator")


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)  # given and not answered; it runs the first
    started: float = 0.0  # when the first began
    overtaken: bool = False  # what stood behind the first was given to others

    def is_slow(self, now: float) -> bool:
        return bool(self.tasks) and now - self.started >= TAKE_OVER_SECONDS


class AlgorithmRunner:
    """A pool of warm workers. Build it before any thread is started: it forks."""

    def __init__(self, workers: int | None = None) -> None:
        self._settings = clock.shared_settings()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["orchestra.worker"])
        self._count = workers or min(MOST_WORKERS, os.cpu_count() or 1)
        # Spares are warm as well: when they are needed the machine is busy, and forking takes long
        self._workers = [self._spawn() for _ in range(self._count + SPARES)]
        self._waiting: deque[Task] = deque()
        self._replaced = 0  # workers, since the start
        self._slow: set[int] = set()  # cards whose last run was slow: they are asked last

    def __enter__(self) -> "AlgorithmRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, tasks: list[Task]) -> Iterator[Result | None]:
        """Run every task and yield each result as it comes; a failure is a result like any other.

        None in between says that what is still running is slow: do not wait for it.
        """
        dead = wait([worker.process.sentinel for worker in self._workers], 0)
        for index, worker in enumerate(self._workers):
            # Busy: with a minute that was broken off, and its answers are not this one's
            if worker.tasks or worker.process.sentinel in dead:
                self._replace(index, group=bool(worker.tasks))
        self._waiting = deque(sorted(tasks, key=lambda task: task.algorithm_id in self._slow))
        deadline = settings.current().algorithm_deadline_seconds
        places = self._count
        while self._waiting or any(worker.tasks for worker in self._workers):
            for index in range(places):
                if self._waiting and not self._workers[index].tasks:
                    self._start(index, self._batch(places))
            yield from self._collect(deadline)
            if self._only_slow_ones():
                yield None
                places = min(places + len(self._waiting), len(self._workers))

    @property
    def health(self) -> tuple[str, str]:
        """Status and message for the part ``workers``."""
        count = len(self._workers)
        dead = sum(not worker.process.is_alive() for worker in self._workers)
        if dead:
            return (
                "degraded",
                f"{dead} of {count} workers died; they are replaced when cards are asked next.",
            )
        more = f"; {self._replaced} were replaced since the start" if self._replaced else ""
        return "ok", f"{count} workers are ready{more}."

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            _end(worker, group=worker.process.is_alive())

    def _batch(self, places: int) -> list[Task]:
        """The next tasks for one worker: its share of what waits, in few messages."""
        size = min(LARGEST_BATCH, -(-len(self._waiting) // places))
        batch = [self._waiting.popleft()]
        while len(batch) < size and self._waiting[0].algorithm_id not in self._slow:
            batch.append(self._waiting.popleft())
        return batch

    def _only_slow_ones(self) -> bool:
        now = clock.elapsed()
        busy = [worker for worker in self._workers if worker.tasks]
        return bool(busy) and all(worker.is_slow(now) for worker in busy)

    def _start(self, index: int, tasks: list[Task]) -> None:
        worker = self._workers[index]
        try:
            worker.connection.send(tasks)
        except OSError:  # it died while idle
            worker = self._replace(index, group=False)
            worker.connection.send(tasks)
        worker.tasks.extend(tasks)
        worker.started = clock.elapsed()

    def _collect(self, deadline: float) -> Iterator[Result]:
        """Wait until a busy worker answers, dies, turns slow or passes its deadline."""
        busy = [(index, worker) for index, worker in enumerate(self._workers) if worker.tasks]
        now = clock.elapsed()
        moments = [w.started + after for _, w in busy for after in (TAKE_OVER_SECONDS, deadline)]
        timeout = min((moment for moment in moments if moment > now), default=now) - now
        ready = wait([worker.connection for _, worker in busy], timeout)
        for index, worker in busy:
            if worker.connection in ready:
                yield self._receive(index)
                while worker is self._workers[index] and worker.tasks and worker.connection.poll():
                    yield self._receive(index)
            elif clock.elapsed() >= worker.started + deadline:
                yield self._give_up(index, f"It took longer than {deadline:g} s and was ended")
            elif worker.is_slow(clock.elapsed()) and len(worker.tasks) > 1:
                self._overtake(worker)

    def _receive(self, index: int) -> Result:
        worker = self._workers[index]
        try:
            result: Result = worker.connection.recv()
        except (EOFError, OSError):
            return self._give_up(index, how_it_died(worker.process))
        if result.left:
            self._overtake(worker)
            log.info("Card %d left changed: %s", result.algorithm_id, result.left)
        worker.tasks.popleft()
        worker.started = clock.elapsed()
        self._note_pace(result)
        if worker.overtaken:
            self._replace(index)
        return result

    def _overtake(self, worker: _Worker) -> None:
        """Give what stands behind a slow run to other workers; this one is ended after its run."""
        while len(worker.tasks) > 1:
            self._waiting.appendleft(worker.tasks.pop())
        worker.overtaken = True

    def _note_pace(self, result: Result) -> None:
        if result.milliseconds > SLOW_SECONDS * 1000:
            self._slow.add(result.algorithm_id)
        else:
            self._slow.discard(result.algorithm_id)

    def _give_up(self, index: int, failure: str) -> Result:
        worker = self._workers[index]
        self._overtake(worker)
        milliseconds = (clock.elapsed() - worker.started) * 1000
        result = Result(worker.tasks[0].algorithm_id, None, failure, milliseconds, summary=failure)
        self._note_pace(result)
        self._replace(index)
        return result

    def _replace(self, index: int, *, group: bool = True) -> _Worker:
        self._replaced += 1
        _end(self._workers[index], group)
        self._workers[index] = self._spawn()
        return self._workers[index]

    def _spawn(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        with without_main_module():
            process = self._context.Process(
                target=serve, args=(theirs, self._settings), daemon=True
            )
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _end(worker: _Worker, group: bool) -> None:
    """End a worker; ``group``: with all that it has started, unless it died long ago and its id is free."""
    worker.connection.close()
    if group and worker.process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.kill()
    worker.process.join(DYING_SECONDS)


def how_it_died(process: BaseProcess) -> str:
    """Say in a line why a process no longer answers: it may live on, with its pipe closed."""
    process.join(DYING_SECONDS)
    if process.exitcode is None:
        return "It closed the pipe that its answer goes to"
    return f"Its process died (exit code {process.exitcode})"


@contextmanager
def without_main_module() -> Iterator[None]:
    """Keep multiprocessing from running the program's main file again in the child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
