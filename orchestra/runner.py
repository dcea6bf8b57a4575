"""Runs algorithms in warm worker processes, each run with a deadline; a hung worker is replaced."""

import logging
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType

from orchestra.base import clock, settings
from orchestra.worker import Result, Task, serve

MOST_WORKERS = 4
MOST_SPARES = 4
SLOW_SECONDS = 1.0  # a run that takes longer gives its place in the queue to a spare worker

log = logging.getLogger("autotrader.orchestrator")


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    task: Task | None = None
    started: float = 0.0


class AlgorithmRunner:
    """A pool of warm workers. Build it before any thread is started: it forks."""

    def __init__(self, workers: int | None = None) -> None:
        self._settings = clock.shared_settings()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["orchestra.worker"])
        self._count = workers or min(MOST_WORKERS, os.cpu_count() or 1)
        self._workers = [self._spawn() for _ in range(self._count)]
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
        waiting = deque(sorted(tasks, key=lambda task: task.algorithm_id in self._slow))
        deadline = settings.current().algorithm_deadline_seconds
        while waiting or any(worker.task for worker in self._workers):
            for index, worker in enumerate(self._workers):
                if waiting and worker.task is None:
                    self._start(index, waiting.popleft())
            yield from self._collect(deadline)
            if self._only_slow_ones():
                yield None
                spares = self._count + MOST_SPARES - len(self._workers)
                self._workers += [self._spawn() for _ in range(min(spares, len(waiting)))]
        for spare in self._workers[self._count :]:
            _end(spare)
        del self._workers[self._count :]

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            _end(worker)

    def _only_slow_ones(self) -> bool:
        busy = [worker for worker in self._workers if worker.task]
        now = clock.elapsed()
        return bool(busy) and all(now - worker.started >= SLOW_SECONDS for worker in busy)

    def _start(self, index: int, task: Task) -> None:
        worker = self._workers[index]
        try:
            worker.connection.send(task)
        except OSError:  # it died while idle
            worker = self._replace(index)
            worker.connection.send(task)
        worker.task, worker.started = task, clock.elapsed()

    def _collect(self, deadline: float) -> Iterator[Result]:
        """Wait until a busy worker answers, dies, turns slow or passes its deadline."""
        busy = [(index, worker) for index, worker in enumerate(self._workers) if worker.task]
        now = clock.elapsed()
        moments = [w.started + after for _, w in busy for after in (SLOW_SECONDS, deadline)]
        timeout = min((moment for moment in moments if moment > now), default=now) - now
        ready = wait([worker.connection for _, worker in busy], timeout)
        for index, worker in busy:
            if worker.connection in ready:
                yield self._receive(index)
            elif clock.elapsed() >= worker.started + deadline:
                yield self._give_up(index, f"It took longer than {deadline:g} s and was ended")

    def _receive(self, index: int) -> Result:
        worker = self._workers[index]
        try:
            result: Result = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            return self._give_up(index, f"Its process died (exit code {worker.process.exitcode})")
        worker.task = None
        self._note_pace(result)
        return result

    def _note_pace(self, result: Result) -> None:
        if result.milliseconds > SLOW_SECONDS * 1000:
            self._slow.add(result.algorithm_id)
        else:
            self._slow.discard(result.algorithm_id)

    def _give_up(self, index: int, failure: str) -> Result:
        worker = self._workers[index]
        assert worker.task is not None
        milliseconds = (clock.elapsed() - worker.started) * 1000
        result = Result(worker.task.algorithm_id, None, failure, milliseconds, summary=failure)
        self._note_pace(result)
        self._replace(index)
        return result

    def _replace(self, index: int) -> _Worker:
        _end(self._workers[index])
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


def _end(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.kill()
    worker.process.join()


@contextmanager
def without_main_module() -> Iterator[None]:
    """Keep multiprocessing from running the program's main file again in the child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
