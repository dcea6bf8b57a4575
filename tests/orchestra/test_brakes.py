"""Brakes: what pauses a card for the day, and what does not."""

from datetime import date, timedelta
from typing import Any

import pytest

from database import db_manager
from orchestra import corrections
from orchestra.base import clock, settings
from orchestra.base.errors import SettingsError
from orchestra.base.market_calendar import MINUTE, Session, floor_minute, nyse
from orchestra.brakes import apply_brakes
from orchestra.live_lock import refuse_unarmed_live
from orchestra.trading_loop import run_all_algorithms
from orchestra.valuation import value_cards
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    labels,
    order_journal,
    system_db_manager,
)
from system_databse.corporate_actions import CorporateAction
from tests.exchange_fixture import set_clock

NOW = "2024-06-04T14:30:02Z"


@pytest.fixture(autouse=True)
def standing_still(configure: Any) -> None:
    set_clock(NOW)


def session() -> Session:
    found = nyse().session_at(clock.now())
    assert found is not None
    return found


def card(ticker: str = "NVDA") -> int:
    return system_db_manager.create_algorithm(ticker, "sma_crossover", 10_000)


def price(ticker: str, close: float) -> None:
    """The newest ended bar closes here, and everything before it is known."""
    last = clock.stamp(floor_minute(clock.now()) - MINUTE)
    db_manager.insert_minute_data(ticker, last, close, close, close, close, 100)


def apply() -> dict[int, str]:
    apply_brakes(system_db_manager.get_all_algorithms("running"), session())
    return {algo_id: state.reason for algo_id, state in card_states.all_states().items()}


def order(algo_id: int, minutes_ago: int) -> None:
    minute = floor_minute(clock.now()) - timedelta(minutes=minutes_ago)
    set_clock(clock.stamp(minute))
    assert order_journal.intend(algo_id, "NVDA", "buy", 1, minute) is not None
    set_clock(NOW)


def test_without_numbers_nothing_brakes() -> None:
    algo_id = card()
    system_db_manager.record_buy(algo_id, 90, 100.0)
    price("NVDA", 1.0)
    assert apply() == {}


def test_a_card_that_orders_too_often_is_paused_until_the_close(configure: Any) -> None:
    configure(BRAKE_ORDERS_PER_HOUR=3)
    busy, calm = card(), card()
    for minutes_ago in (50, 20, 10):
        order(busy, minutes_ago)
    for minutes_ago in (70, 20, 10):  # the first is longer ago than an hour
        order(calm, minutes_ago)
    assert apply() == {busy: "Brake: 3 orders within an hour, 3 are allowed."}
    assert card_states.all_states()[busy].until == "2024-06-04T20:00:00Z"
    set_clock("2024-06-04T19:59:59Z")
    card_states.clear_expired()
    assert set(card_states.all_states()) == {busy}
    set_clock("2024-06-04T20:00:00Z")
    card_states.clear_expired()
    assert card_states.all_states() == {}


def test_a_card_that_lost_too_much_today_is_paused(configure: Any) -> None:
    configure(BRAKE_CARD_DAILY_LOSS=100)
    loser, holder = card("NVDA"), card("AAPL")
    system_db_manager.record_buy(loser, 10, 100.0)
    system_db_manager.record_buy(holder, 10, 100.0)
    price("NVDA", 90.0)
    price("AAPL", 90.1)
    assert apply() == {loser: "Brake: this card lost $100.00 today, $100.00 are allowed."}


def test_all_cards_are_paused_when_they_lost_too_much_together(configure: Any) -> None:
    configure(BRAKE_ACCOUNT_DAILY_LOSS=150)
    first, second = card("NVDA"), card("AAPL")
    for algo_id in (first, second):
        system_db_manager.record_buy(algo_id, 10, 100.0)
    price("NVDA", 92.0)
    price("AAPL", 93.0)
    reason = "Brake: all cards together lost $150.00 today, $150.00 are allowed."
    assert apply() == {first: reason, second: reason}


def test_a_loser_that_was_stopped_today_still_counts(configure: Any) -> None:
    configure(BRAKE_ACCOUNT_DAILY_LOSS=500)
    loser, other = card("NVDA"), card("AAPL")
    system_db_manager.record_buy(loser, 10, 100.0)
    system_db_manager.record_sell(loser, 10, 40.0)
    system_db_manager.stop_algorithm(loser)
    assert apply() == {other: "Brake: all cards together lost $600.00 today, $500.00 are allowed."}


def test_no_brake_acts_on_a_stale_price(configure: Any) -> None:
    configure(BRAKE_CARD_DAILY_LOSS=100, BRAKE_ACCOUNT_DAILY_LOSS=100)
    algo_id = card()
    system_db_manager.record_buy(algo_id, 10, 100.0)
    db_manager.insert_minute_data("NVDA", "2024-06-04T14:00:00Z", 50, 50, 50, 50, 1)
    assert apply() == {}


def test_corrections_are_no_orders(configure: Any) -> None:
    configure(BRAKE_ORDERS_PER_HOUR=1)
    algo_id = card()
    connection = system_db_manager.writable_ledger()
    labels.correct(connection, algo_id, "buy", 5, 10.0, labels.ACCEPTED, "by hand")
    assert apply() == {}


def test_what_a_person_resumed_is_left_alone_for_the_day(configure: Any) -> None:
    configure(BRAKE_CARD_DAILY_LOSS=100, BRAKE_ORDERS_PER_HOUR=1)
    algo_id = card()
    order(algo_id, 10)
    system_db_manager.record_buy(algo_id, 10, 100.0)
    price("NVDA", 50.0)
    assert set(apply()) == {algo_id}
    assert card_states.resume(algo_id)
    assert apply() == {}


def test_who_resumes_a_card_that_had_failed_takes_no_brake_away(configure: Any) -> None:
    configure(BRAKE_CARD_DAILY_LOSS=100)
    algo_id = card()
    card_states.set_state(algo_id, "paused", "Failed 3 times in a row.", file="1-2")
    assert card_states.resume(algo_id)
    system_db_manager.record_buy(algo_id, 10, 100.0)
    price("NVDA", 50.0)
    assert apply() == {algo_id: "Brake: this card lost $500.00 today, $100.00 are allowed."}


def test_a_freeze_that_comes_and_goes_does_not_end_the_pause(configure: Any) -> None:
    configure(BRAKE_ORDERS_PER_HOUR=1)
    algo_id = card()
    order(algo_id, 10)
    paused = apply()
    assert set(paused) == {algo_id}
    corrections.freeze("NVDA", "The broker holds 7 NVDA, the ledger 10.")
    corrections.thaw("NVDA")
    assert card_states.all_states() == {}
    set_clock("2024-06-04T17:30:02Z")  # its orders are hours ago
    assert apply() == paused
    acted = "SELECT COUNT(*) FROM events WHERE kind = 'brake'"
    assert system_db_manager.ledger().execute(acted).fetchone()[0] == 1
    assert card_states.resume(algo_id)
    assert apply() == {}


def test_shares_of_before_a_split_are_no_loss(configure: Any) -> None:
    """Three for two, and the ledger has not followed: all seem to have lost a third."""
    configure(BRAKE_CARD_DAILY_LOSS=100, BRAKE_ACCOUNT_DAILY_LOSS=150)
    split, other = card("NVDA"), card("AAPL")
    system_db_manager.record_buy(split, 7, 120.0)
    price("NVDA", 80.0)
    assert set(apply()) == {split, other}
    for algo_id in (split, other):
        card_states.clear_state(algo_id)
    system_db_manager.ledger().execute("DELETE FROM events")
    apply_brakes(system_db_manager.get_all_algorithms("running"), session(), {"NVDA"})
    assert card_states.all_states() == {}
    corporate_actions.note(CorporateAction("NVDA", date(2024, 6, 4), "forward_splits", "3", "2"))
    assert apply() == {}


def test_no_brake_acts_on_a_day_whose_beginning_is_not_known(configure: Any) -> None:
    """As in a new stocks.db while no history can be fetched: what was lost before is no loss of today."""
    configure(BRAKE_CARD_DAILY_LOSS=100, BRAKE_ACCOUNT_DAILY_LOSS=200)
    set_clock("2024-06-03T15:00:00Z")
    holder, done = card("NVDA"), card("AAPL")
    for algo_id in (holder, done):
        system_db_manager.record_buy(algo_id, 10, 100.0)
    system_db_manager.record_sell(done, 10, 60.0)
    set_clock(NOW)
    price("NVDA", 60.0)
    price("AAPL", 60.0)
    assert apply() == {}
    cards = system_db_manager.get_all_algorithms()
    assert value_cards(cards, card_calculations.all_card_sums())[done].today_pnl == 0.0
    db_manager.insert_minute_data("NVDA", "2024-06-03T19:59:00Z", 75, 75, 75, 75, 1)
    assert apply()[holder] == "Brake: this card lost $150.00 today, $100.00 are allowed."


KEYS = {"ALPACA_API_KEY": "K", "ALPACA_SECRET": "S", "ALPACA_PAPER": "False"}
REAL_TIME = {"MARKET_CLOCK_START": "", "MARKET_CLOCK_SPEED": "", "MARKET_CLOCK_ANCHOR": ""}
BRAKES = {
    "BRAKE_ORDERS_PER_HOUR": "10",
    "BRAKE_CARD_DAILY_LOSS": "100",
    "BRAKE_ACCOUNT_DAILY_LOSS": "500",
}


def test_live_is_locked_until_pin_and_brakes_are_set(configure: Any) -> None:
    configure(**KEYS, **REAL_TIME)
    assert settings.current().mode == "live"
    with pytest.raises(
        SettingsError, match=r"a PIN other than 2020 \(.*\), a number for BRAKE_ORDERS"
    ):
        refuse_unarmed_live()
    with pytest.raises(SettingsError, match="a PIN other than 2020"):
        run_all_algorithms()
    system_db_manager.set_config("pin", "4711")
    with pytest.raises(SettingsError) as caught:
        refuse_unarmed_live()
    assert "PIN" not in str(caught.value)
    configure(**BRAKES)
    refuse_unarmed_live()
    system_db_manager.set_config("pin", "2020")
    with pytest.raises(SettingsError, match=r"until it has a PIN other than 2020 \(.*\)\."):
        refuse_unarmed_live()
