"""How gunicorn runs the HTTP server: one process, so that tokens stay in its memory."""

import ctypes
import signal
import sys

from orchestra.base import settings
from orchestra.base.errors import SettingsError

try:
    chosen = settings.current()
except SettingsError as error:
    sys.exit(str(error))

bind = f"{chosen.api_host}:{chosen.api_port}"
workers = 1
worker_class = "gthread"
threads = 4
worker_tmp_dir = "/dev/shm"  # gunicorn's heartbeat file, kept off the card
control_socket_disable = True
graceful_timeout = 3


def post_fork(server, worker):  # type: ignore[no-untyped-def]
    """End the worker with its master, however that ends: an orphan would keep the port."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
