"""A pool that is full from the beginning, and threads that share their heaps."""

import re
import subprocess
import sys
import threading

from orchestra.base.threads import full_pool


def test_a_full_pool_has_all_its_threads_before_any_work_and_no_more_after() -> None:
    pool = full_pool(5, "several")
    names = {t.name for t in threading.enumerate() if t.name.startswith("several_")}
    assert len(names) == 5
    assert set(pool.map(lambda n: n * n, range(50))) == {n * n for n in range(50)}
    assert {t.name for t in threading.enumerate() if t.name.startswith("several_")} == names
    pool.shutdown(wait=True)


def test_threads_share_two_heaps() -> None:
    program = """
import ctypes, threading
from orchestra.base.threads import share_heaps
{call}
meet = threading.Barrier(12)
def work():
    ctypes.CDLL(None).malloc(1000)
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[t.start() for t in threads]
[t.join() for t in threads]
ctypes.CDLL(None).malloc_stats()
"""
    heaps = []
    for call in ("", "share_heaps()"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(call=call)], capture_output=True, text=True
        )
        heaps.append(len(re.findall(r"^Arena \d+:", done.stderr, re.MULTILINE)))
    assert heaps[0] > 2 >= heaps[1] > 0
