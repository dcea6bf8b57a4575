"""The simulator's own addresses: what it serves, who listens, how it misbehaves. No key is needed."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from orchestra.base.errors import BadInput
from orchestra.simulator.faults import Faults
from orchestra.simulator.refusals import invalid
from orchestra.simulator.rest import body_of_request


def control_routes(
    label: Callable[[], str],
    subscriptions: Callable[[], dict[str, Any]],
    faults: Faults,
    changed: Callable[[], None],
) -> Blueprint:
    """Return ``/_label``, ``/_subscriptions`` and ``/_faults``; ``changed`` is called after a change."""
    routes = Blueprint("control", __name__)

    @routes.get("/_label")
    def show_label() -> Response:
        return jsonify({"label": label()})

    @routes.get("/_subscriptions")
    def show_subscriptions() -> Response:
        return jsonify(subscriptions())

    @routes.get("/_faults")
    def show_faults() -> Response:
        return jsonify({"faults": faults.shown()})

    @routes.post("/_faults")
    def add_fault() -> tuple[Response, int]:
        body = body_of_request()
        if not isinstance(body, dict):
            raise invalid('expected a fault like {"name": "delay", "seconds": 1, "times": 3}')
        try:
            fault = faults.add(body)
        except BadInput as error:
            raise invalid(str(error)) from None
        changed()
        return jsonify(fault.shown()), 201

    @routes.delete("/_faults")
    def clear_faults() -> Response:
        faults.clear(request.args.get("name"))
        changed()
        return jsonify({"faults": faults.shown()})

    return routes
