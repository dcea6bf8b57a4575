"""The service manager's notification protocol (sd_notify), a no-op without a manager.

Protocol: sd_notify(3) and sd_watchdog_enabled(3), datagrams to $NOTIFY_SOCKET.
"""

import http.client
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from orchestra.base import clock

PINGS_A_LIMIT = 3  # so that one slow answer does not end a service


def notify(message: str) -> bool:
    """Send ``message`` (for example READY=1, STOPPING=1) and say whether it was sent."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket's name starts with a zero byte
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(address)
            channel.sendall(message.encode())
    except OSError:  # a manager out of reach is no reason to stop trading
        return False
    return True


def alive(status: str = "") -> bool:
    """Feed the watchdog: for the loop itself to call when it got somewhere, never for a thread.

    ``status`` is what ``systemctl status`` shows.
    """
    told = f"\nSTATUS={' '.join(status.split())}" if status else ""
    return notify(f"WATCHDOG=1{told}")


def watchdog_seconds() -> float | None:
    """Machine seconds within which the manager expects a sign of life; None where it expects none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None


def feed_while_answering(url: str, stop: threading.Event) -> None:
    """Feed the watchdog while ``url`` is answered with 200, until ``stop`` is set; without one, wait.

    The service's main process, where that is another than this one, must not be frozen either.
    """
    limit = watchdog_seconds()
    if limit is None:
        stop.wait()
        return
    main = int(os.environ.get("WATCHDOG_PID") or os.getpid())
    pause = limit / PINGS_A_LIMIT
    while not stop.is_set():
        if answers(url, pause) and not _is_frozen(main):
            alive()
        clock.pause(pause, stop)


def answers(url: str, seconds: float) -> bool:
    """Whether an http address is answered with 200 within so many machine seconds."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_frozen(pid: int) -> bool:
    """Whether a process was stopped by a signal; its state follows its name (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")
