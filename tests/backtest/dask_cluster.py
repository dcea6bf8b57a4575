"""A real Dask cluster on loopback, each of its processes within a test's reach."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestra.base import clock
from orchestra.base.settings import ROOT
from tests.exchange_fixture import free_port

START_SECONDS = 60.0
Process = subprocess.Popen[bytes]
needs_distributed = pytest.mark.skipif(
    find_spec("distributed") is None, reason="the research requirements are not installed"
)


@dataclass(frozen=True)
class Cluster:
    """Its address, as ``--scheduler`` takes it, and its processes."""

    address: str
    scheduler: Process
    workers: list[Process]


@contextmanager
def running_cluster(
    folder: Path, workers: int = 2, threads: int = 1, **environment: str
) -> Iterator[Cluster]:
    """Run a scheduler and so many workers, each with so many threads, until the block ends."""
    address = f"tcp://127.0.0.1:{free_port()}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **environment}
    quiet = ("--no-dashboard", "--host", "127.0.0.1")
    each = ("--nthreads", str(threads), "--nworkers", "1", "--no-nanny", "--local-directory")
    output = folder / "dask.log"
    with output.open("wb") as log:

        def start(*arguments: str) -> Process:
            command = [sys.executable, "-m", "dask", *arguments, *quiet]
            return subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)

        cluster = Cluster(
            address,
            start("scheduler", "--port", address.rpartition(":")[2]),
            [start("worker", address, *each, str(folder / f"dask-{n}")) for n in range(workers)],
        )
        try:
            deadline = clock.elapsed() + START_SECONDS
            while not _is_ready(output.read_bytes(), workers):
                assert clock.elapsed() < deadline, output.read_text()
                clock.pause(0.05)
            yield cluster
        finally:
            for process in (*cluster.workers, cluster.scheduler):
                process.kill()
                process.wait()


def _is_ready(printed: bytes, workers: int) -> bool:
    return b"Scheduler at:" in printed and printed.count(b"Registered to:") >= workers
