"""Threads of a process that runs for months: all of them from the beginning, on two heaps."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor

M_ARENA_MAX = -8  # malloc.h of glibc
ARENAS = 2


def full_pool(size: int, name: str = "") -> ThreadPoolExecutor:
    """Return a pool whose ``size`` threads all run already.

    One that starts its threads as they are wanted goes on growing for days, with each rare moment in
    which many are, by what a thread keeps open: its databases and its connection to the broker.
    """
    pool = ThreadPoolExecutor(size, thread_name_prefix=name)
    all_run = threading.Barrier(size + 1)
    for _ in range(size):
        pool.submit(all_run.wait)
    all_run.wait()
    return pool


def share_heaps() -> None:
    """Let all threads allocate from two heaps: by itself glibc gives each of them one, up to eight a
    core (man mallopt), and none of what a busy moment took there comes back."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has no arenas
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
