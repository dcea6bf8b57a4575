"""The stream of minute bars: Alpaca's WebSocket protocol, and each minute's frame right after it."""

import asyncio
import http
import logging
import threading
from collections import deque
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from orchestra.base import clock
from orchestra.simulator.emission import Emission
from orchestra.simulator.faults import Faults
from orchestra.simulator.market import Market
from orchestra.simulator.stream_client import Client

AUTH_SECONDS = 10.0
MOST_CONNECTIONS = 1
LOGGED_EVENTS = 1_000
START_SECONDS = 10.0

log = logging.getLogger("autotrader.simulator.stream")
_quiet = logging.getLogger("autotrader.simulator.websockets")
_quiet.setLevel(logging.CRITICAL)  # handshakes that fail are their client's affair


class Stream:
    """The WebSocket server, in a thread with an event loop of its own."""

    def __init__(
        self, market: Market, faults: Faults, keys: tuple[str, str] | None, host: str, port: int
    ) -> None:
        self.port = port
        self._host = host
        self._keys = keys
        self._faults = faults
        self._clients: list[Client] = []  # the authenticated ones
        self._events: deque[dict[str, Any]] = deque(maxlen=LOGGED_EVENTS)
        self._lock = threading.Lock()
        self._emission = Emission(market, faults, self._send, self._drop)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        """Listen; ``port`` is then the real one. Raises OSError when it is taken."""
        self._thread.start()
        self._ready.wait(START_SECONDS)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def subscriptions(self) -> dict[str, Any]:
        """What ``/_subscriptions`` shows: who listens to which minute bars now, and all changes."""
        with self._lock:
            bars = [client.channels["bars"] for client in self._clients]
            return {
                "connections": len(self._clients),
                "current": sorted(set().union(*bars)),
                "log": list(self._events),
            }

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        server: Server
        self._loop = asyncio.get_running_loop()
        async with serve(
            self._attend,
            self._host,
            self.port,
            process_request=_check_path,
            logger=_quiet,
            close_timeout=1,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            minutes = asyncio.create_task(self._emission.run())
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((minutes, stopped), return_when=asyncio.FIRST_COMPLETED)
            if minutes.done() and not self._stopping.is_set():
                log.error("The stream has failed", exc_info=minutes.exception())
            minutes.cancel()
            stopped.cancel()
            await asyncio.gather(minutes, stopped, return_exceptions=True)

    async def _attend(self, connection: ServerConnection) -> None:
        """Serve one connection from its welcome to its end."""
        client = Client(connection)
        self._note("connect", client)
        try:
            await client.send({"T": "success", "msg": "connected"})
            if await self._admit(client):
                async for frame in connection:
                    await self._obey(client, frame)
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                if client in self._clients:
                    self._clients.remove(client)
            self._note("disconnect", client)

    async def _admit(self, client: Client) -> bool:
        """Wait for valid keys; False when they did not come in time or there is no place."""
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                while True:
                    code = self._judge(client, await client.connection.recv())
                    if code is None:
                        break
                    await client.send_error(code)
                    if code == 406:
                        return False
        except TimeoutError:
            await client.send_error(404)
            return False
        self._note("auth", client)
        await client.send({"T": "success", "msg": "authenticated"})
        return True

    def _judge(self, client: Client, frame: bytes | str) -> int | None:
        """The error a message before authentication earns; None when it authenticates."""
        try:
            message = client.decode(frame)
        except ValueError:
            return 400
        if message.get("action") != "auth":
            return 401
        given = (message.get("key"), message.get("secret"))
        known = all(given) if self._keys is None else given == self._keys
        if not known or self._faults.take("auth_failed"):
            return 402
        with self._lock:
            if len(self._clients) >= MOST_CONNECTIONS or self._faults.take("406"):
                return 406
            self._clients.append(client)
        return None

    async def _obey(self, client: Client, frame: bytes | str) -> None:
        """Do what an authenticated client asks for."""
        try:
            message = client.decode(frame)
            action = message.get("action")
            if action == "auth":
                await client.send_error(403)
                return
            if action not in ("subscribe", "unsubscribe"):
                raise ValueError("unknown action")
            before = set(client.channels["bars"])
            with self._lock:
                client.change(action, message)
        except ValueError:
            await client.send_error(400)
        except OverflowError:
            await client.send_error(405)
        else:
            self._note(action, client, before)
            await client.send(client.acknowledgement())

    def _send(self, frames: list[tuple[Client, list[dict[str, Any]]]]) -> None:
        """Send each client its messages as one frame, without waiting for slow ones."""
        for client, messages in frames:
            if fault := self._faults.take("garble_stream"):
                frame = client.encode_broken(messages, fault["how"], fault.dice)
            else:
                frame = client.encode(messages)
            broadcast([client.connection], frame)

    def _drop(self) -> None:
        for client in list(self._clients):
            client.connection.transport.abort()

    def _note(self, action: str, client: Client, before: set[str] | None = None) -> None:
        bars = client.channels["bars"]
        before = bars if before is None else before
        with self._lock:
            self._events.append(
                {
                    "at": clock.stamp(),
                    "action": action,
                    "bars": sorted(bars),
                    "added": sorted(bars - before),
                    "removed": sorted(before - bars),
                }
            )
            self._emission.clients = list(self._clients)


def _check_path(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse other addresses than /v2/{feed} before the handshake."""
    if request.path.split("?")[0] in ("/v2/iex", "/v2/sip", "/v2/test", "/v2/delayed_sip"):
        return None
    return connection.respond(http.HTTPStatus.NOT_FOUND, "not found\n")
