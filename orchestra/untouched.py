"""Whether a run has left its worker as it found it: one that it changed is not used again.

Cards share workers. A folder changed, a thread or a child left running, a function of ours replaced would
be the next card's trouble.
"""

import os
import resource
import signal
import sys
import threading
from typing import Any

from database import db_manager
from system_databse import card_calculations, system_db_manager

MODULES = (db_manager, system_db_manager, card_calculations)
SIGNALS = (signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE)
LIMITS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)
MOST_OPEN = 256  # descriptors: a process has 1,024
# Of what a run may take: a worker that has once held more may lack it for the next one
MEMORY_PART = 0.5
# What Python announces (sys.addaudithook) of all that makes it worth while to look closely
SUSPECT = frozenset(
    (
        *(
            "os.chdir",
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.posix_spawn",
            "os.spawn",
            "os.system",
        ),
        *("pty.spawn", "resource.prlimit", "resource.setrlimit", "subprocess.Popen"),
    )
)


class Untouched:
    """What a worker is before its first run. ``pipe`` is the descriptor that its answers go to."""

    def __init__(self, pipe: int, memory_mb: float) -> None:
        self._pipe = pipe
        self._process, self._socket = os.getpid(), os.fstat(pipe).st_ino
        self._functions = [vars(module) for module in MODULES]
        self._ours = [dict(functions) for functions in self._functions]
        self._most_kb = _peak_kb() + memory_mb * 1024 * MEMORY_PART
        self._before = self._state()
        self._is_suspect = False
        sys.addaudithook(self._hear)

    def may_answer(self) -> bool:
        """Whether this is the worker itself, no copy that a run forked, and the pipe still its own."""
        try:
            return os.getpid() == self._process and os.fstat(self._pipe).st_ino == self._socket
        except OSError:
            return False

    def changes(self, *, closely: bool) -> str:
        """Name what is not as it was, in a few words; empty where all is.

        Not closely, it takes a millionth of a second and sees what is replaced or what Python announces;
        only a close look, which takes 15, sees signals, open files and memory.
        """
        is_suspect = self._is_suspect or threading.active_count() != self._before["threads"]
        if not closely and not is_suspect:
            return "" if self._has_our_functions() else "replaced functions"
        self._is_suspect = False
        after = self._state()
        return ", ".join(name for name, value in self._before.items() if after[name] != value)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in SUSPECT:
            self._is_suspect = True

    def _state(self) -> dict[str, Any]:
        return {
            "its folder": os.stat(".").st_ino,
            "threads": threading.active_count(),
            "child processes": _has_children(),
            "signals": [signal.getsignal(each) for each in SIGNALS],
            "limits": [resource.getrlimit(each) for each in LIMITS] + [sys.getrecursionlimit()],
            "open files": _lowest_free(self._pipe) > MOST_OPEN,
            "replaced functions": self._has_our_functions(),
            "memory": _peak_kb() > self._most_kb,
        }

    def _has_our_functions(self) -> bool:
        return self._functions == self._ours


def _has_children() -> bool:
    """Whether there are children, running or ended, that nobody has waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _lowest_free(descriptor: int) -> int:
    """The lowest free descriptor, which is high where many are open."""
    try:
        found = os.dup(descriptor)
    except OSError:  # none is free
        return sys.maxsize
    os.close(found)
    return found


def _peak_kb() -> int:
    """The most memory this process has held at once, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
