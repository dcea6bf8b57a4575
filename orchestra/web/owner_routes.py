"""What the owner decides: a card's capital, stop, resume, the broker's figure, the PIN.

What a card is worth is no condition for stopping it: that comes first, without a look at prices.
"""

import logging
import sqlite3

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from orchestra import corrections
from orchestra.base.tickers import is_ticker
from orchestra.web import broker_desk, cards, cash
from orchestra.web.inputs import LARGEST_ID, capital_of, card_or_404
from orchestra.web.security import ApiError, forget_other_tokens, json_object, pin_required
from system_databse import (
    access,
    card_calculations,
    card_states,
    order_journal,
    system_db_manager,
)

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


@blueprint.delete("/algorithms/<int:algo_id>")
@pin_required
def stop_algorithm(algo_id: int) -> ResponseReturnValue:
    """Stop a card; ``?liquidate=true`` has its shares sold, else they are kept."""
    liquidate = request.args.get("liquidate", "false")
    if liquidate not in ("true", "false"):
        raise ApiError(400, "bad_input", f"Expected liquidate true or false, was {liquidate}.")
    row = system_db_manager.get_algorithm(algo_id) if algo_id <= LARGEST_ID else None
    if row is None:
        raise ApiError(404, "not_found", "Algorithm not found")
    # One without shares is sold too: a buy of this minute may be on its way
    if liquidate == "true" and (row["status"] == "running" or _is_left_to_sell(algo_id)):
        card_states.stop_and_sell(algo_id)
    elif not system_db_manager.stop_algorithm(algo_id):
        raise ApiError(409, "nothing_to_do", f"{row['display_name']} is stopped already.")
    return jsonify(_stopped([algo_id])[0])


@blueprint.post("/stop-all")
@pin_required
def stop_all() -> ResponseReturnValue:
    """Stop every running card; with liquidate, have all shares sold, kept ones too."""
    liquidate = json_object().get("liquidate")
    if not isinstance(liquidate, bool):
        raise ApiError(400, "bad_input", 'Expected {"liquidate": true} or {"liquidate": false}.')
    stopped = card_states.stop_all(cards.on_the_wall(), sell=liquidate)
    return jsonify({"algorithms": _stopped(stopped)})


def _is_left_to_sell(algo_id: int) -> bool:
    """Whether a stopped card holds shares, or may get some, that nobody has asked to be sold."""
    state = card_states.all_states().get(algo_id)
    if state is not None and state.state == "stopping":
        return False
    holds = card_calculations.calculate_position(algo_id) > 0
    return holds or algo_id in order_journal.cards_with_open_orders()


def _stopped(algo_ids: list[int]) -> list[cards.Card | None]:
    """Return the cards that were stopped, as the page shows them."""
    try:
        return [cards.card(algo_id) for algo_id in algo_ids]
    except sqlite3.DatabaseError as error:
        log.error("Stopped, but cannot be shown: %s", error)
        many = "1 card is" if len(algo_ids) == 1 else f"{len(algo_ids)} cards are"
        raise ApiError(
            503, "database_damaged", f"{many} stopped, but cannot be shown now."
        ) from error


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
