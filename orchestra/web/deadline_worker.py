"""gunicorn's threaded worker with a deadline: who never finishes a request keeps no thread for ever.

By itself the worker waits five seconds in a thread for a new connection's first byte, and without end for
the rest of a request or for a client that does not read its answer. Four such clients silence the page.
"""

import contextlib
import errno
import selectors
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from orchestra.base import clock
from orchestra.base.threads import full_pool


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Gives a connection a thread only once it says something, and takes it back at the deadline."""

    # From when a thread takes a request to the end of its answer; the page waits no longer either
    longest_request_seconds = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: dict[TConn, float] = {}

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Start all threads at once, so that the worker's size is known from the beginning."""
        return full_pool(self.cfg.threads)

    def accept(self, listener: Any) -> None:
        """Have a new connection's first byte waited for by the poller, as a kept one's is."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        self.nr_conns += 1
        connection = TConn(self.cfg, client, address, listener.getsockname())
        connection.set_timeout()
        self.pending_conns.append(connection)
        readable = partial(self.on_pending_socket_readable, connection)
        self.poller.register(client, selectors.EVENT_READ, readable)

    def handle(self, conn: TConn) -> Any:
        """Handle one request in a thread."""
        self._under_way[conn] = clock.elapsed()
        try:
            return super().handle(conn)
        finally:
            del self._under_way[conn]

    def murder_pending(self) -> None:
        """Called by the main loop at least once a second: close what is overdue."""
        super().murder_pending()
        for connection, began in list(self._under_way.items()):
            if clock.elapsed() - began > self.longest_request_seconds:
                with contextlib.suppress(OSError):  # gone by itself
                    connection.sock.shutdown(socket.SHUT_RDWR)
