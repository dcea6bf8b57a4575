"""What a process that runs algorithms takes of the machine that trades: what is left, and so much memory."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

NICE = 10


def give_way() -> None:
    """Let the trader and the page go first, now and for all that this process starts."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def cap_memory(megabytes: float) -> None:
    """Let this process allocate so much beyond what it has by now; more is a MemoryError."""
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) for line in status if line.startswith("VmData:"))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used * 1024 + int(megabytes * 1024 * 1024)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


@contextmanager
def capped_memory(megabytes: float) -> Iterator[None]:
    """Cap it for a while."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    cap_memory(megabytes)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
