"""Brings the ledger to the broker's figure where a person, not an order, changed a position."""

import logging
import math
import sqlite3
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from database import db_manager
from orchestra.base import clock, logs, sqlite
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import new_york
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
)
from system_databse.corporate_actions import CorporateAction

NOTHING = Decimal(0)
CALLED_OFF = "Its sale was called off: sell its shares again afterwards."
STOCK_DIVIDEND = "stock_dividends"  # the one kind that makes shares more, but for splits

log = logging.getLogger("autotrader.orchestrator")


@dataclass(frozen=True)
class Holding:
    """A card that holds shares of a ticker."""

    algorithm_id: int
    status: str
    initial_capital: float
    shares: int


def holdings() -> dict[str, list[Holding]]:
    """Return by ticker the cards that hold shares, newest card first."""
    sums = card_calculations.all_card_sums()
    found: dict[str, list[Holding]] = {}
    for card in reversed(system_db_manager.get_all_algorithms()):
        shares = sums[card["id"]].shares if card["id"] in sums else 0
        if shares:
            holding = Holding(card["id"], card["status"], card["initial_capital"], shares)
            found.setdefault(card["ticker"], []).append(holding)
    return found


def correction_price(ticker: str, algo_id: int) -> float:
    """The price a correction is made at: the newest one, else that of the card's last transaction."""
    price = db_manager.get_latest_price(ticker)
    return _last_paid(algo_id) if price is None else float(price)


def _last_paid(algo_id: int) -> float:
    return float(system_db_manager.get_transactions(algo_id)[0]["price"])


def take_from(
    connection: sqlite3.Connection, ticker: str, cards: list[Holding], missing: int, kind: str
) -> int:
    """Take missing shares out of these cards, in order, by labelled sells; how many are still missing."""
    for card in cards:
        taken = min(card.shares, missing)
        if taken > 0:
            price = correction_price(ticker, card.algorithm_id)
            note = f"{taken} {ticker} are not at the broker any more"
            labels.correct(connection, card.algorithm_id, "sell", taken, price, kind, note)
            missing -= taken
    return missing


def traded_since(day: date) -> dict[int, int]:
    """Return the shares each card has bought since this day's open, less those sold; splits apart."""
    rows = system_db_manager.get_transactions_since(clock.stamp(new_york(day, "09:30")))
    kinds = labels.kinds_of([row["id"] for row in rows])
    traded: dict[int, int] = {}
    for row in rows:
        if kinds.get(row["id"]) != labels.SPLIT:
            signed = row["shares"] if row["type"] == "buy" else -row["shares"]
            traded[row["algorithm_id"]] = traded.get(row["algorithm_id"], 0) + signed
    return traded


def in_new_shares(cards: list[Holding], day: date, ratio: Fraction) -> list[Fraction]:
    """Return what a split in force since ``day`` makes of each card's shares.

    Those traded since, for its record came late, are new ones already.
    """
    traded = traded_since(day)
    found = []
    for card in cards:
        since = traded.get(card.algorithm_id, 0)
        made = (card.shares - since) * ratio + since
        # Not above zero: the broker's figure of after the split was accepted before its record came
        found.append(made if made > 0 else Fraction(card.shares))
    return found


def accept_broker_figure(ticker: str, at_broker: Decimal) -> None:
    """Take the broker's figure for a frozen ticker into the ledger, and let its cards go on.

    Where a split is what froze it, the cards follow that: their worth stays, and history is adjusted. What
    the broker holds beyond that is the owner's own.
    Raises BadInput where no card of the ticker is frozen, an order for it is under way, today's record of
    splits was not read yet, or the figure is no whole number of shares above or equal to zero.
    """
    if at_broker < 0 or at_broker != int(at_broker):
        raise BadInput(
            f"The broker holds {at_broker:f} {ticker}: only whole shares can be taken into the ledger."
            " Settle the rest at the broker first."
        )
    frozen = frozen_cards(ticker)
    if not frozen:
        raise BadInput(f"No card of {ticker} is frozen: there is nothing to accept.")
    actions = _unsettled(ticker)
    splits = [each for each in actions if each.is_split]
    price = _price_before(ticker, splits) if splits else None
    if splits:
        db_manager.forget_history(ticker)  # it is fetched again, adjusted
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        if is_traded(ticker):  # then the figure may have its shares, and the ledger not
            raise BadInput(f"An order for {ticker} is under way: try again in a moment.")
        if (frozen_cards(ticker), _unsettled(ticker)) != (frozen, actions):
            raise BadInput(f"What froze {ticker} was settled by itself meanwhile: look again.")
        if not actions and not corporate_actions.is_read_today():
            raise BadInput(
                f"Whether {ticker} was split is known from a session's first minute on: accept the"
                " broker's figure then, if it is still frozen."
            )
        _fill_up(connection, ticker)
        cards = holdings().get(ticker, [])
        difference = sum(card.shares for card in cards) - int(at_broker)
        if splits and cards:
            _follow_splits(connection, cards, int(at_broker), splits, price)
        elif difference > 0:
            take_from(connection, ticker, _frozen_first(cards, frozen), difference, labels.ACCEPTED)
        elif difference < 0:
            cards = [card for card in cards if card.algorithm_id in frozen]
            _spread(connection, ticker, cards, _paid_in_shares(cards, actions, -difference))
        corporate_actions.settle(connection, ticker)
        connection.executemany(
            "DELETE FROM card_state WHERE algorithm_id = ? AND state = 'frozen'",
            [(algo_id,) for algo_id in frozen],
        )
        message = f"The broker's {int(at_broker)} {ticker} were accepted."
        heartbeats.insert_event(connection, "accepted", message)


def is_traded(ticker: str) -> bool:
    """Say whether an order for this ticker is under way."""
    return any(order.ticker == ticker for order in order_journal.open_orders())


def freeze(ticker: str, reason: str, *, calls_off_sales: bool = False) -> None:
    """Freeze the cards of a ticker that run or hold shares with this reason, and tell of it once.

    One whose shares are being sold keeps that state; with ``calls_off_sales`` they are kept instead.
    """
    states = card_states.all_states()
    holding = {card.algorithm_id for card in holdings().get(ticker, [])}
    for card in system_db_manager.get_all_algorithms():
        if card["ticker"] != ticker or (card["status"] == "stopped" and card["id"] not in holding):
            continue
        state = states.get(card["id"])
        is_sold = state is not None and state.state == "stopping"
        if (is_sold and not calls_off_sales) or (state and state.reason.startswith(reason)):
            continue
        why = f"{reason} {CALLED_OFF}" if is_sold else reason
        # The event first: after a crash in between it is told twice, not never
        heartbeats.record_event("frozen", why, card["id"])
        card_states.set_state(card["id"], "frozen", why, calls_off_sale=is_sold)
        log.error("%s: frozen: %s", logs.about(card["id"], ticker), why)


def thaw(ticker: str) -> None:
    """Let the frozen cards of a ticker go on, and tell of it."""
    for algo_id in frozen_cards(ticker):
        heartbeats.record_event("thawed", f"{ticker} fits the broker again.", algo_id)
        card_states.clear_state(algo_id, "frozen")
        log.info("%s: no longer frozen", logs.about(algo_id, ticker))


def frozen_cards(ticker: str) -> set[int]:
    """Return the frozen cards of a ticker."""
    states = card_states.all_states()
    return {
        card["id"]
        for card in system_db_manager.get_all_algorithms()
        if card["ticker"] == ticker
        and card["id"] in states
        and states[card["id"]].state == "frozen"
    }


def restate(
    connection: sqlite3.Connection, card: Holding, price: float, shares: int, kind: str, note: str
) -> None:
    """Turn a card's shares into another number of equal value: a labelled pair of transactions."""
    labels.correct(connection, card.algorithm_id, "sell", card.shares, price, kind, note)
    equal = price * card.shares / shares
    labels.correct(connection, card.algorithm_id, "buy", shares, equal, kind, note)


def _unsettled(ticker: str) -> list[CorporateAction]:
    return [each for each in corporate_actions.unsettled() if each.ticker == ticker]


def _paid_in_shares(cards: list[Holding], actions: list[CorporateAction], more: int) -> int:
    """How many of what the broker holds ``more`` were paid on the cards' shares; the rest is the owner's."""
    rates = [Fraction(each.old) for each in actions if each.kind == STOCK_DIVIDEND]
    paid = int(sum(card.shares for card in cards) * sum(rates))
    return min(more, paid) if all(rates) else more  # where the record does not say, all of it


def _fill_up(connection: sqlite3.Connection, ticker: str) -> None:
    """Bring what holds less than nothing to nothing: no figure of the broker's fits it otherwise."""
    for card in holdings().get(ticker, []):
        if card.shares < 0:
            price = correction_price(ticker, card.algorithm_id)
            note = f"it held {card.shares} {ticker}, less than nothing"
            labels.correct(
                connection, card.algorithm_id, "buy", -card.shares, price, labels.ACCEPTED, note
            )


def _price_before(ticker: str, splits: list[CorporateAction]) -> float | None:
    """The price of a share of before the splits; None where no bar is stored.

    By the first bar of after them: only that is in new shares for certain, one of before may have been
    fetched since, adjusted. Without one, as in the first minute, by the last of before.
    """
    since = new_york(splits[-1].day, "09:30")
    until = clock.stamp(max(clock.now(), since))
    after = db_manager.get_historical_data(ticker, clock.stamp(since), until)
    if after:
        ratio = math.prod(each.ratio for each in splits)
        return float(after[0]["close"]) * float(ratio)
    before = db_manager.newest_bar(ticker, new_york(splits[0].day, "09:30"))
    return None if before is None else float(before["close"])


def _follow_splits(
    connection: sqlite3.Connection,
    cards: list[Holding],
    shares: int,
    splits: list[CorporateAction],
    price: float | None,
) -> None:
    """Turn the cards' shares into these, in proportion, each at what the splits have made of its worth.

    What is left of their worth is the cash that the broker pays in lieu of a fraction. Shares beyond what
    the splits make of the cards' are the owner's own.
    """
    ratio = math.prod(each.ratio for each in splits)
    made = in_new_shares(cards, splits[0].day, Fraction(ratio))
    left = sum(made, Fraction(0))
    shares = min(shares, int(left))
    note = ", ".join(each.sentence for each in splits)
    for card, new in zip(cards, made, strict=True):
        given = int(shares * new / left)
        left, shares = left - new, shares - given
        after = (price or _last_paid(card.algorithm_id)) / float(ratio)
        before = after * float(new / card.shares)
        labels.correct(
            connection, card.algorithm_id, "sell", card.shares, before, labels.SPLIT, note
        )
        if given:
            labels.correct(connection, card.algorithm_id, "buy", given, after, labels.SPLIT, note)


def _spread(connection: sqlite3.Connection, ticker: str, cards: list[Holding], more: int) -> None:
    """Give shares the broker holds beyond the ledger to the cards, in proportion, at equal value."""
    held = sum(card.shares for card in cards)
    for index, card in enumerate(cards):
        given = more if index == len(cards) - 1 else more * card.shares // held
        held, more = held - card.shares, more - given
        if given:
            price = correction_price(ticker, card.algorithm_id)
            note = f"the broker holds {given} {ticker} more for it"
            restate(connection, card, price, card.shares + given, labels.ACCEPTED, note)


def _frozen_first(cards: list[Holding], frozen: set[int]) -> list[Holding]:
    return sorted(cards, key=lambda card: card.algorithm_id not in frozen)
