"""What the page draws: bars and equity curves, and the chart library that draws them."""

import re
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, jsonify, request, send_file
from flask.typing import ResponseReturnValue

from database import db_manager
from orchestra import equity
from orchestra.base.tickers import is_ticker
from orchestra.web import assets
from orchestra.web.inputs import card_or_404, whole_argument
from orchestra.web.security import ApiError

SESSION_BARS = 390
LARGEST_BARS = 2000
SUGGESTIONS = 4
MOST_SUGGESTIONS = 50
TYPED_FORM = re.compile(r"[A-Z.]{0,10}")
CHART_LIBRARY = Path("js", "lightweight-charts.js")

blueprint = Blueprint("market", __name__)


@blueprint.get("/api/bars/<ticker>")
def get_bars(ticker: str) -> ResponseReturnValue:
    """Return a ticker's newest stored bars, oldest first; the broker is not asked."""
    if not is_ticker(ticker):
        raise ApiError(404, "not_found", "There is no such ticker.")
    limit = min(whole_argument("limit") or SESSION_BARS, LARGEST_BARS)
    return jsonify({"ticker": ticker, "items": db_manager.newest_bars(ticker, limit)})


@blueprint.get("/api/assets")
def get_assets() -> ResponseReturnValue:
    """Return a few tickers that begin with ``q``, or whose name has a word that does."""
    typed = request.args.get("q", "").upper()
    if not TYPED_FORM.fullmatch(typed):
        raise ApiError(400, "bad_input", "Expected q as at most ten letters and dots.")
    limit = min(whole_argument("limit") or SUGGESTIONS, MOST_SUGGESTIONS)
    return jsonify(assets.suggest(typed, limit))


@blueprint.get("/api/algorithms/<int:algo_id>/equity")
def get_equity(algo_id: int) -> ResponseReturnValue:
    """Return what a card was worth: at each older session's close, then minute by minute."""
    card_or_404(algo_id)
    return jsonify({"items": equity.curve(algo_id)})


@blueprint.get("/lightweight-charts.js")
def chart_library() -> ResponseReturnValue:
    """Return the chart library's file from its package, which is not imported."""
    path = chart_library_path()
    if path is None:
        raise ApiError(404, "no_chart_library", "The package litecharts is not installed.")
    return send_file(path, mimetype="text/javascript")


def chart_library_path() -> Path | None:
    """Find the file beside the package's code; None where the package is missing."""
    spec = find_spec("litecharts")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / CHART_LIBRARY
    return path if path.is_file() else None
