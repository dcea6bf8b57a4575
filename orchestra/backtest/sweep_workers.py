"""Who tries the choices of a sweep: processes of this machine, or the workers of a Dask cluster."""

import contextlib
import logging
import multiprocessing
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from orchestra.backtest import child, sweep
from orchestra.backtest.output import hush
from orchestra.backtest.sweep import Tried, Values, Work
from orchestra.base.errors import AutoTraderError, BadInput

CONNECT_SECONDS = 5.0  # a cluster that is there answers at once
LOOKED_EVERY_SECONDS = 1.0  # whether anybody is left, while no answer comes
ANSWER_SECONDS = 30.0  # for a scheduler that has much to do


class WorkersLost(AutoTraderError):
    """No further answers come: keep those that have come, and say why."""


class Workers(ABC):
    """Those who try choices; used with ``with``, nothing of theirs is left afterwards."""

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, values: Values) -> Future[Tried]:
        """Hand one choice over. Raises WorkersLost."""
        with self._explained():
            return self._submit(values)

    def answers(self, futures: list[Future[Tried]]) -> Iterator[None]:
        """Wait until each is answered, and yield whenever one is. Raises WorkersLost."""
        ready: SimpleQueue[Future[Tried]] = SimpleQueue()
        for future in futures:
            future.add_done_callback(ready.put)
        for _ in futures:
            with self._explained():
                self._next(ready).result()
            yield

    def _next(self, ready: SimpleQueue[Future[Tried]]) -> Future[Tried]:
        while True:
            try:
                return ready.get(timeout=LOOKED_EVERY_SECONDS)
            except Empty:
                self._look()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            sentence = self._sentence(error)
            if not sentence:
                raise
            raise WorkersLost(sentence) from error

    @abstractmethod
    def _submit(self, values: Values) -> Future[Tried]: ...

    @abstractmethod
    def _sentence(self, error: Exception) -> str:
        """What has happened, where it is the workers' doing; else nothing."""

    @abstractmethod
    def _look(self) -> None:
        """Raise where no answer can come any more, and nobody has said so."""

    @abstractmethod
    def close(self) -> None:
        """End what is still at work."""


class LocalWorkers(Workers):
    """Processes on this machine's cores, which keep the work, so that a choice goes without it."""

    def __init__(self, work: Work, count: int | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sweep-", ignore_cleanup_errors=True)
        others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(
            count or os.cpu_count(), initializer=_begin, initargs=(work, self._folder.name)
        )
        self._pool.submit(os.getpid)  # the first task starts them all
        self._processes = set(multiprocessing.active_children()) - others

    def _submit(self, values: Values) -> Future[Tried]:
        return self._pool.submit(sweep.try_out, None, values)

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, BrokenExecutor):
            return "A process of the sweep has died: the algorithm ended it, or memory ran out."
        return f"A process of the sweep has failed: {error}." if isinstance(error, OSError) else ""

    def _look(self) -> None:
        """Nothing to see: the pool itself says that a process has died."""

    def close(self) -> None:
        """End them, also a run that never comes back, and all that was started by one."""
        for process in self._processes:
            child.end(process)
        self._pool.shutdown()
        self._folder.cleanup()


def _begin(work: Work, folder: str) -> None:
    child.begin(folder)
    hush()
    sweep.keep(work)


class ClusterWorkers(Workers):
    """The workers of a Dask cluster that is there already; the work lies on each of them once."""

    def __init__(self, work: Work, scheduler: str) -> None:
        """Raise BadInput where the package is missing or nobody answers."""
        try:
            from distributed import Client
        except ImportError:
            raise BadInput(
                "--scheduler needs the package distributed:"
                " .venv/bin/pip install --require-hashes -r requirements-research.txt"
            ) from None
        # What is lost is told in a sentence; a Ctrl-C at the wrong moment trips over distributed's own cancel
        for name in ("distributed", "distributed.client", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = scheduler
        self._gone = f"The Dask scheduler {scheduler} has gone away."
        try:
            self._client: Any = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise BadInput(f"The Dask scheduler {scheduler} does not answer: {error}") from None
        try:
            self._shared = self._client.scatter(work, broadcast=True)
        except Exception as error:  # what a worker raises comes as it likes
            self.close()
            raise BadInput(f"The Dask cluster {scheduler} takes no work: {error}.") from None
        self._executor = self._client.get_executor(pure=False)

    def _submit(self, values: Values) -> Future[Tried]:
        future: Future[Tried] = self._executor.submit(sweep.try_out, self._shared, values)
        return future

    def _sentence(self, error: Exception) -> str:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return (
                "Workers of the Dask cluster have died, one after the other, of the same choice: the"
                " algorithm ended them, or memory ran out."
            )
        if self._client.status != "running":
            return self._gone
        if isinstance(error, CancelledError):
            return (
                f"The Dask cluster {self._address} has dropped the work: its scheduler was started"
                " anew, or the workers have died that held it."
            )
        if isinstance(error, OSError):
            return f"The Dask cluster {self._address} has failed: {error}."
        return ""

    def _look(self) -> None:
        """Ask the scheduler anything: an answer that was under way when it went never comes."""
        try:
            self._client.nthreads(callback_timeout=ANSWER_SECONDS)
        except Exception as error:  # whatever a lost connection is just then
            raise WorkersLost(self._gone) from error

    def close(self) -> None:
        """Let the scheduler forget what is not done; what runs in its workers is theirs to end."""
        with contextlib.suppress(OSError, RuntimeError):
            self._client.close(timeout=CONNECT_SECONDS)
