"""The calls under /api."""

import math
import re
import sqlite3
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from database.calendar import calendar
from orchestra import catalog
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError
from orchestra.web import broker_desk, cards, cash, health
from orchestra.web.inputs import (
    algorithm_of,
    capital_of,
    card_or_404,
    parameters_of,
    ticker_of,
    whole_argument,
)
from orchestra.web.security import (
    TOKEN_SECONDS,
    ApiError,
    is_from_here,
    json_object,
    new_token,
    pin_required,
)
from system_databse import access, decision_journal, system_db_manager

STAMP_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PAGE_ROWS = 50
LARGEST_PAGE = 500
LARGEST_PIN = 64

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.post("/validate-pin")
def validate_pin() -> ResponseReturnValue:
    """Give a token for the PIN; wrong tries are counted and end in a lock-out."""
    pin = json_object().get("pin")
    if not isinstance(pin, str) or not 0 < len(pin) <= LARGEST_PIN or not pin.isprintable():
        raise ApiError(400, "bad_input", 'Expected {"pin": "digits"}.', fields={"valid": False})
    result = access.try_pin(pin, access.WALL if is_from_here() else access.NETWORK)
    if result.valid:
        return jsonify({"valid": True, "token": new_token(), "expires_in": TOKEN_SECONDS})
    if result.locked_seconds > 0:
        seconds = math.ceil(result.locked_seconds)
        raise ApiError(
            429,
            "locked_out",
            f"Too many wrong PINs: locked for {seconds} s.",
            fields={"valid": False, "retry_after": seconds},
            headers={"Retry-After": str(seconds)},
        )
    raise ApiError(
        401, "wrong_pin", "Wrong PIN.", fields={"valid": False, "attempts_left": result.tries_left}
    )


@blueprint.get("/algorithms")
def list_algorithms() -> ResponseReturnValue:
    """Return the cards with market and health."""
    status = request.args.get("status")
    if status not in (None, "running", "stopped", "all"):
        raise ApiError(400, "bad_input", f"Expected status running, stopped or all, was {status}.")
    answer = current_app.extensions["wall"].answer(status)
    return Response(answer, mimetype="application/json")


@blueprint.post("/algorithms")
@pin_required
def create_algorithm() -> ResponseReturnValue:
    """Add a card, if its algorithm exists, its ticker is tradable and its capital is available."""
    body = json_object()
    ticker, algo_type, capital = ticker_of(body), algorithm_of(body), capital_of(body)
    parameters = parameters_of(body, algo_type)
    tradable = broker_desk.ask(f"ticker {ticker}", lambda: cash.broker().validate_ticker(ticker))
    if not tradable:
        raise ApiError(422, "not_tradable", f"{ticker} cannot be traded at this broker.")
    algo_id = cash.create_card(ticker, algo_type, capital, parameters)
    return jsonify(cards.card(algo_id)), 201


@blueprint.get("/algorithms/<int:algo_id>")
def get_algorithm(algo_id: int) -> ResponseReturnValue:
    """Return one card."""
    return jsonify(card_or_404(algo_id))


@blueprint.get("/algorithms/<int:algo_id>/transactions")
def get_transactions(algo_id: int) -> ResponseReturnValue:
    """Return a page of a card's transactions, newest first."""
    card_or_404(algo_id)
    before = whole_argument("cursor")
    limit = min(whole_argument("limit") or PAGE_ROWS, LARGEST_PAGE)
    items, following = system_db_manager.get_transactions_page(algo_id, before, limit)
    return jsonify({"items": items, "next": following})


@blueprint.get("/algorithms/<int:algo_id>/decisions")
def get_decisions(algo_id: int) -> ResponseReturnValue:
    """Return a page of a card's decisions, newest first; the cursor is a minute's stamp.

    ``bar_age`` counts the open minutes that ended after the bar and before the card was asked: 0 is fresh.
    """
    card_or_404(algo_id)
    before = request.args.get("cursor")
    if before is not None and not STAMP_FORM.fullmatch(before):
        raise ApiError(400, "bad_input", "Expected cursor as a stamp like 2024-06-04T14:30:00Z.")
    limit = min(whole_argument("limit") or PAGE_ROWS, LARGEST_PAGE)
    items, following = decision_journal.page(algo_id, before, limit)
    for item in items:
        item["bar_age"] = _bar_age(item)
    return jsonify({"items": items, "next": following})


def _bar_age(decision: dict[str, Any]) -> int | None:
    if decision["bar"] is None:
        return None
    number = calendar().minute_number
    return number(clock.parse(decision["minute"])) - number(clock.parse(decision["bar"])) - 1


@blueprint.get("/available-algorithms")
def available_algorithms() -> ResponseReturnValue:
    """Return what the algorithms folder holds, read and never run."""
    found = [
        {
            "name": entry.name,
            "title": entry.title,
            "description": entry.description,
            "parameters": entry.parameters,
            "error": entry.error,
        }
        for entry in catalog.catalog()
    ]
    return jsonify({"algorithms": found})


@blueprint.get("/account/cash")
def account_cash() -> ResponseReturnValue:
    """Return what a new card may take; 503 where the broker does not answer, never a made-up 0."""
    return jsonify(cash.available_cash())


@blueprint.get("/health")
def get_health() -> ResponseReturnValue:
    """Return how each part is doing; also where no database can tell."""
    try:
        return jsonify(_health(cards.cards("running")))
    except (AutoTraderError, sqlite3.Error) as error:
        return jsonify(health.unreadable(error))


def _health(shown: list[dict[str, Any]]) -> dict[str, Any]:
    return health.health(shown, calendar().is_open(clock.now()))
