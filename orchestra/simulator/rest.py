"""The REST application: who may ask, how often, and one JSON shape for whatever goes wrong."""

import logging
import socket
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from orchestra.base import clock
from orchestra.simulator.faults import Fault, Faults
from orchestra.simulator.garbling import broken_json
from orchestra.simulator.rate_limit import RateLimit
from orchestra.simulator.refusals import TOO_MANY, Refusal

DATA_PATHS = ("/v2/stocks", "/v1/", "/v1beta")
OWN_PATHS = "/_"

log = logging.getLogger("autotrader.simulator")


def new_app(faults: Faults, keys: tuple[str, str] | None) -> Flask:
    """Make the application without routes. ``keys`` are the only ones accepted; None: any."""
    app = Flask("orchestra.simulator", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    limits = {"trading": RateLimit(), "data": RateLimit()}

    @app.before_request
    def admit() -> Response | None:
        g.headers = {}
        if request.path.startswith(OWN_PATHS):
            return None
        data = request.path.startswith(DATA_PATHS)
        allowed, g.headers = limits["data" if data else "trading"].spend()
        _check_keys(faults, keys, data)
        if not allowed:
            raise _too_many(data)
        return _misbehave(faults, data)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.update(g.get("headers", {}))
        if request.path.startswith(OWN_PATHS) or response.status_code >= 400:
            return response
        return _misbehave_afterwards(faults, response)

    @app.errorhandler(Refusal)
    def refuse(error: Refusal) -> tuple[Response, int]:
        return jsonify(error.body), error.status

    @app.errorhandler(HTTPException)
    def fail(error: HTTPException) -> tuple[Response, int]:
        return jsonify({"message": (error.name or "error").lower()}), error.code or 500

    @app.errorhandler(Exception)
    def crash(error: Exception) -> tuple[Response, int]:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return jsonify({"code": 50010000, "message": f"internal server error: {error}"}), 500

    return app


def body_of_request() -> Any:
    """The request's JSON, whatever content type it names; None when it is not JSON."""
    return request.get_json(force=True, silent=True)


def _check_keys(faults: Faults, keys: tuple[str, str] | None, data: bool) -> None:
    given = (
        request.headers.get("APCA-API-KEY-ID", ""),
        request.headers.get("APCA-API-SECRET-KEY", ""),
    )
    known = all(given) if keys is None else given == keys
    if not known or faults.take("unauthorized", path=request.path, method=request.method):
        raise Refusal(403, None, "forbidden.") if data else Refusal(401, None, "unauthorized.")


def _too_many(data: bool) -> Refusal:
    message = "too many requests" if data else "rate limit exceeded"
    return Refusal(429, TOO_MANY, message)


def _misbehave(faults: Faults, data: bool) -> Response | None:
    """Faults that strike before the request is looked at."""
    facts = {"path": request.path, "method": request.method}
    if fault := faults.take("delay", **facts):
        clock.pause(fault["seconds"], fault.released)
    if fault := faults.take("hang", when="before", **facts):
        return _hang(fault)
    if faults.take("cut", when="before", **facts):
        return cut()
    if fault := faults.take("429", **facts):
        g.headers["X-RateLimit-Remaining"] = "0"
        resets_at = clock.machine_now().timestamp() + fault["reset"]
        g.headers["X-RateLimit-Reset"] = str(int(resets_at) + 1)
        raise _too_many(data)
    if faults.take("echo_headers", **facts):
        raise Refusal(401, None, f"not authorized: {dict(request.headers)}")
    if faults.take("500", **facts):
        raise Refusal(500, 50010000, "internal server error occurred")
    return None


def _misbehave_afterwards(faults: Faults, response: Response) -> Response:
    """Faults that hide an answer although the request was done."""
    facts = {"path": request.path, "method": request.method}
    if fault := faults.take("hang", when="after", **facts):
        return _hang(fault)
    if faults.take("cut", when="after", **facts):
        return cut()
    if fault := faults.take("garble", **facts):
        response.set_data(broken_json(response.get_data(), fault["how"], fault.dice))
    if faults.take("504_after_accept", **facts):
        hidden = jsonify({"code": 50410000, "message": "gateway timeout"})
        hidden.status_code = 504
        hidden.headers.update(g.headers)
        return hidden
    return response


def _hang(fault: Fault) -> Response:
    """Say nothing for as long as the fault says, then go away."""
    fault.holding.append(f"{request.method} {request.path}")
    clock.pause(fault["seconds"], fault.released)
    fault.holding.remove(f"{request.method} {request.path}")
    return cut()


def cut() -> Response:
    """Close the client's connection without an answer; what is returned never arrives."""
    connection: socket.socket = request.environ["simulator.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)
