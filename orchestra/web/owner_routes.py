"""What the owner decides: a card's capital, stop all, resume, the broker's figure, the PIN."""

import logging
import sqlite3

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from orchestra import corrections
from orchestra.base.tickers import is_ticker
from orchestra.web import broker_desk, cards, cash
from orchestra.web.inputs import capital_of, card_or_404
from orchestra.web.security import ApiError, forget_other_tokens, json_object, pin_required
from system_databse import access, card_states

log = logging.getLogger("autotrader.api")
blueprint = Blueprint("owner", __name__, url_prefix="/api")


@blueprint.patch("/algorithms/<int:algo_id>")
@pin_required
def change_capital(algo_id: int) -> ResponseReturnValue:
    """Change a card's allocation; its P&L stays as it is."""
    capital = capital_of(json_object())
    card_or_404(algo_id)
    cash.change_capital(algo_id, capital)
    return jsonify(cards.card(algo_id))


@blueprint.post("/stop-all")
@pin_required
def stop_all() -> ResponseReturnValue:
    """Stop every running card; with liquidate, have all shares sold, kept ones too."""
    liquidate = json_object().get("liquidate")
    if not isinstance(liquidate, bool):
        raise ApiError(400, "bad_input", 'Expected {"liquidate": true} or {"liquidate": false}.')
    # First, without a look at prices: what a card is worth is no condition for stopping it
    stopped = card_states.stop_all(cards.on_the_wall(), sell=liquidate)
    try:
        touched = [cards.card(algo_id) for algo_id in stopped]
    except sqlite3.DatabaseError as error:
        log.error("Stopped, but cannot be shown: %s", error)
        raise ApiError(
            503, "database_damaged", f"{len(stopped)} cards are stopped, but cannot be shown now."
        ) from error
    return jsonify({"algorithms": touched})


@blueprint.post("/algorithms/<int:algo_id>/resume")
@pin_required
def resume(algo_id: int) -> ResponseReturnValue:
    """Let a paused card go on."""
    json_object()  # an empty one: a change is never sent by accident
    card = card_or_404(algo_id)
    if not card_states.resume(algo_id):
        raise ApiError(409, "not_paused", f"{card['display_name']} is not paused.")
    return jsonify(cards.card(algo_id))


@blueprint.post("/positions/<ticker>/accept")
@pin_required
def accept(ticker: str) -> ResponseReturnValue:
    """Take the broker's figure of a ticker into the ledger as a labelled correction."""
    json_object()
    if not is_ticker(ticker):
        raise ApiError(404, "not_found", "There is no such ticker.")
    if not corrections.frozen_cards(ticker):
        raise ApiError(409, "not_frozen", f"No card of {ticker} is frozen.")
    if corrections.is_traded(ticker):  # before the figure is asked for as well
        raise ApiError(
            409, "order_open", f"An order for {ticker} is under way: try again in a moment."
        )
    positions = broker_desk.ask("positions", lambda: cash.broker().get_positions())
    corrections.accept_broker_figure(ticker, positions.get(ticker, corrections.NOTHING))
    touched = [card for card in cards.cards("all") if card["ticker"] == ticker]
    return jsonify({"algorithms": touched})


@blueprint.put("/pin")
@pin_required
def change_pin() -> ResponseReturnValue:
    """Change the PIN; whoever was let in by the old one is let out, but for the caller."""
    pin = json_object().get("pin")
    if not isinstance(pin, str):
        raise ApiError(400, "bad_input", f"Expected a PIN of {access.PIN_WORDS}.")
    access.change_pin(pin)
    forget_other_tokens()
    return jsonify({"changed": True})
