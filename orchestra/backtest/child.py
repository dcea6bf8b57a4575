"""A process that runs algorithms for a command: nothing that it starts outlives it, nor it the command."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from multiprocessing.process import BaseProcess


def begin(folder: str) -> None:
    """Make this process one; what it leaves in ``folder`` is the command's to remove."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to handle
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    tempfile.tempdir = folder


def end(process: BaseProcess) -> None:
    """End one, and all that it has started."""
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _end_with_the_command() -> None:
    command = multiprocessing.parent_process()
    if command is not None:
        command.join()
        os.killpg(0, signal.SIGKILL)
