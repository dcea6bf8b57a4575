"""How gunicorn runs the HTTP server: one process, so that tokens stay in its memory."""

import ctypes
import signal
import sys
import threading

from orchestra.base import settings, single, systemd
from orchestra.base.errors import AutoTraderError
from orchestra.base.threads import share_heaps
from system_databse import create_system_db

share_heaps()
try:  # in the master: a sentence here, where a worker would end in a traceback
    chosen = settings.current()
    single.one_of_many("api", chosen.system_db_path)
    create_system_db.create_database()
except AutoTraderError as error:
    sys.exit(str(error))

bind = chosen.page_addresses
workers = 1
worker_class = "orchestra.web.deadline_worker.DeadlineWorker"
threads = 4
worker_tmp_dir = "/dev/shm"  # gunicorn's heartbeat file, kept off the card
control_socket_disable = True
graceful_timeout = 3


def post_fork(server, worker):  # type: ignore[no-untyped-def]
    """End the worker with its master, however that ends: an orphan would keep the port."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Let the service manager know for as long as the page is answered, over HTTP as a browser asks.

    gunicorn itself says READY=1, and would not notice that all its threads hang.
    """
    address = f"{chosen.page_url}/healthz"
    watching = (address, threading.Event())
    threading.Thread(target=systemd.feed_while_answering, args=watching, daemon=True).start()
