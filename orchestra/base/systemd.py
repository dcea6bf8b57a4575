"""The service manager's notification protocol (sd_notify), a no-op without a manager."""

import os
import socket


def notify(message: str) -> bool:
    """Send ``message`` (for example READY=1, WATCHDOG=1, STOPPING=1) and say whether it was sent."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket's name starts with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(address)
        channel.sendall(message.encode())
    return True
