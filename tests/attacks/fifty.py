"""Fifty clients that ask without a pause: python -m tests.attacks.fifty PORT SECONDS prints what came back.

One thread with a selector, so that the clients take as little of the machine as can be.
"""

import json
import re
import selectors
import socket
import sys
from collections import Counter
from itertools import cycle

from orchestra.base import clock

CLIENTS = 50
PATHS = (
    "/api/algorithms",
    "/api/algorithms/1/transactions",
    "/api/algorithms/1/decisions",
    "/api/algorithms/1/equity",
    "/api/bars/AAPL",
    "/api/health",
    "/api/algorithms?status=all",
)
LENGTH = re.compile(rb"Content-Length: (\d+)")


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def ask(port: int, seconds: float) -> dict[str, int]:
    """Keep fifty requests under way for so many machine seconds; how many answers of each status."""
    paths, found = cycle(PATHS), Counter[str]()
    waiting = selectors.DefaultSelector()
    until = clock.elapsed() + seconds
    heard: dict[socket.socket, bytes] = {}

    def send(client: socket.socket) -> None:
        heard[client] = b""
        client.sendall(f"GET {next(paths)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def connect() -> None:
        client = socket.create_connection(("127.0.0.1", port), 60)
        waiting.register(client, selectors.EVENT_READ)
        send(client)

    for _ in range(CLIENTS):
        connect()
    while clock.elapsed() < until:
        for key, _ in waiting.select(1.0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            piece = client.recv(262_144)
            heard[client] += piece
            if is_whole(heard[client]):
                found[heard[client].split(b" ", 2)[1].decode()] += 1
                send(client)
            elif not piece:  # the server may end a kept connection between two requests
                found["closed" if not heard[client] else "cut"] += 1
                waiting.unregister(client)
                client.close()
                del heard[client]
                connect()
    for client in heard:
        client.close()
    return dict(found)


if __name__ == "__main__":
    print(json.dumps(ask(int(sys.argv[1]), float(sys.argv[2]))))
