"""What an algorithm would have made of the newest sessions, for the add dialog."""

from typing import cast

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from orchestra.web.backtests import BacktestDesk
from orchestra.web.inputs import algorithm_of, capital_of, parameters_of, ticker_of
from orchestra.web.security import ApiError, json_object

DESK = "backtests"  # its name among the application's extensions

blueprint = Blueprint("backtests", __name__, url_prefix="/api/backtests")


@blueprint.post("")
def start_backtest() -> ResponseReturnValue:
    """Start a backtest of a card that is not there yet; 429 while another one is running."""
    body = json_object()
    algo_type = algorithm_of(body)
    request = {
        "ticker": ticker_of(body),
        "algorithm_type": algo_type,
        "initial_capital": capital_of(body),
        "parameters": parameters_of(body, algo_type),
    }
    return jsonify(_desk().start(request).as_dict()), 202


@blueprint.get("/<int:backtest_id>")
def get_backtest(backtest_id: int) -> ResponseReturnValue:
    """Return how a backtest is doing, and what came of it."""
    found = _desk().find(backtest_id)
    if found is None:
        raise ApiError(404, "not_found", "There is no such backtest, or it is too long ago.")
    return jsonify(found.as_dict())


def _desk() -> BacktestDesk:
    return cast(BacktestDesk, current_app.extensions[DESK])
