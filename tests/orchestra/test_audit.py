"""The ledger held against the broker: lost rows come back, missing shares freeze or are charged."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal

import pytest

from orchestra import corrections
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock, settings
from orchestra.base.errors import BadInput, ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, floor_minute
from orchestra.execution import Execution
from orchestra.simulator import Exchange
from system_databse import (
    card_calculations,
    card_states,
    corporate_actions,
    labels,
    order_journal,
    system_db_manager,
)
from tests.exchange_fixture import OPEN_MARKET, running_exchange, set_clock
from tests.ledger_rows import labelled


@pytest.fixture
def market() -> Iterator[Exchange]:
    with running_exchange() as started:
        yield started


@pytest.fixture
def wrapper(market: Exchange) -> AlpacaWrapper:
    """On a day whose record of splits has been read."""
    corporate_actions.note_read(date(2024, 6, 4))
    return AlpacaWrapper()


@pytest.fixture
def execution(wrapper: AlpacaWrapper) -> Iterator[Execution]:
    started = Execution(wrapper)
    yield started
    started.close()


def bought(wrapper: AlpacaWrapper, ticker: str, shares: int, *, minutes_ago: int = 0) -> int:
    """A card that bought shares, recorded as the terminal does it."""
    card = system_db_manager.create_algorithm(ticker, "sma_crossover", 50_000)
    minute = floor_minute(clock.now()) - timedelta(minutes=minutes_ago)
    order = order_journal.intend(card, ticker, "buy", shares, minute)
    assert order is not None
    filled = wrapper.follow(wrapper.submit(ticker, "buy", shares, order.client_order_id))
    assert filled.filled_price is not None and filled.filled_at is not None
    order_journal.close_filled(
        order.client_order_id, filled.filled_shares, filled.filled_price, filled.filled_at
    )
    return card


def sold_by_hand(wrapper: AlpacaWrapper, ticker: str, shares: int) -> None:
    wrapper.place_market_sell(ticker, shares)


def look(audit: Audit) -> None:
    """Twice: a difference must stand to count."""
    audit.positions()
    audit.positions()


def position(card: int) -> int:
    return card_calculations.calculate_position(card)


def events(kind: str) -> list[str]:
    rows = system_db_manager.ledger().execute("SELECT message FROM events WHERE kind = ?", (kind,))
    return [row["message"] for row in rows]


def test_what_fits_and_what_the_owner_holds_beside_it_is_fine(wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, "NVDA", 10)
    wrapper.place_market_buy("NVDA", 5)  # the owner's own
    look(Audit(wrapper))
    assert card_states.all_states() == {}
    assert position(card) == 10


def test_missing_shares_freeze_the_running_cards_and_say_so(wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, "NVDA", 10)
    other = bought(wrapper, "AAPL", 4)
    sold_by_hand(wrapper, "NVDA", 3)
    audit = Audit(wrapper)
    assert audit.positions() is True  # it wants another look first
    assert card_states.all_states() == {}
    audit.positions()
    states = card_states.all_states()
    assert set(states) == {card}
    assert states[card].state == "frozen"
    assert states[card].reason.startswith("The broker holds 7 NVDA, the ledger 10.")
    assert len(events("frozen")) == 1
    look(audit)
    assert len(events("frozen")) == 1
    assert position(card) == 10 and position(other) == 4


def test_it_thaws_when_it_fits_again(wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, "NVDA", 10)
    sold_by_hand(wrapper, "NVDA", 3)
    audit = Audit(wrapper)
    look(audit)
    wrapper.place_market_buy("NVDA", 3)
    audit.positions()
    assert card_states.all_states() == {}
    assert position(card) == 10


def test_the_owner_accepts_the_brokers_figure(wrapper: AlpacaWrapper) -> None:
    card = bought(wrapper, "NVDA", 10)
    sold_by_hand(wrapper, "NVDA", 3)
    look(Audit(wrapper))
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert position(card) == 7
    assert card_states.all_states() == {}
    assert [algo_id for algo_id, _ in labelled(labels.ACCEPTED)] == [card]
    look(Audit(wrapper))
    assert card_states.all_states() == {}


def test_kept_shares_of_stopped_cards_are_charged_first(wrapper: AlpacaWrapper) -> None:
    running = bought(wrapper, "NVDA", 10)
    stopped = bought(wrapper, "NVDA", 5)
    system_db_manager.stop_algorithm(stopped)
    sold_by_hand(wrapper, "NVDA", 5)
    look(Audit(wrapper))
    assert (position(running), position(stopped)) == (10, 0)
    assert card_states.all_states() == {}
    assert [algo_id for algo_id, _ in labelled(labels.SOLD_BY_HAND)] == [stopped]
    assert len(events("sold-by-hand")) == 1


def test_only_the_rest_freezes(wrapper: AlpacaWrapper) -> None:
    running = bought(wrapper, "NVDA", 10)
    stopped = bought(wrapper, "NVDA", 5)
    system_db_manager.stop_algorithm(stopped)
    sold_by_hand(wrapper, "NVDA", 8)
    look(Audit(wrapper))
    assert (position(running), position(stopped)) == (10, 0)
    assert card_states.all_states()[running].reason.startswith(
        "The broker holds 7 NVDA, the ledger 10."
    )


def test_there_is_nothing_to_accept_where_nothing_is_frozen(wrapper: AlpacaWrapper) -> None:
    bought(wrapper, "NVDA", 10)
    with pytest.raises(BadInput, match="nothing to accept"):
        corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])


def test_fractions_are_not_accepted(wrapper: AlpacaWrapper) -> None:
    bought(wrapper, "NVDA", 10)
    sold_by_hand(wrapper, "NVDA", 3)
    look(Audit(wrapper))
    with pytest.raises(BadInput, match="only whole shares"):
        corrections.accept_broker_figure("NVDA", Decimal("6.5"))


def test_no_figure_is_accepted_while_an_order_is_under_way(wrapper: AlpacaWrapper) -> None:
    """The broker may have sold already what the ledger still has."""
    card, sold = bought(wrapper, "NVDA", 10), bought(wrapper, "NVDA", 5)
    sold_by_hand(wrapper, "NVDA", 3)
    look(Audit(wrapper))
    card_states.stop_and_sell(sold)
    minute = floor_minute(clock.now())
    order = order_journal.intend(sold, "NVDA", "sell", 5, minute, exit=True)
    assert order is not None
    filled = wrapper.follow(wrapper.submit("NVDA", "sell", 5, order.client_order_id))
    with pytest.raises(BadInput, match="An order for NVDA is under way"):
        corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert (position(card), position(sold)) == (10, 5)
    assert filled.filled_price is not None and filled.filled_at is not None
    order_journal.close_filled(order.client_order_id, 5, filled.filled_price, filled.filled_at)
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert (position(card), position(sold)) == (7, 0)


def test_accepting_ends_what_a_card_below_nothing_froze(wrapper: AlpacaWrapper) -> None:
    below, other = bought(wrapper, "NVDA", 10), bought(wrapper, "NVDA", 10)
    system_db_manager.record_sell(below, 14, 100.0)
    sold_by_hand(wrapper, "NVDA", 12)
    audit = Audit(wrapper)
    look(audit)
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    assert (position(below), position(other)) == (0, 8)
    look(audit)
    assert card_states.all_states() == {}


def test_what_the_owner_accepts_while_it_is_compared_is_not_charged_again(
    wrapper: AlpacaWrapper,
) -> None:
    frozen = bought(wrapper, "NVDA", 10)
    sold_by_hand(wrapper, "NVDA", 3)
    audit = Audit(wrapper)
    look(audit)
    kept = bought(wrapper, "NVDA", 5, minutes_ago=1)
    system_db_manager.stop_algorithm(kept)
    compared = corrections.holdings()["NVDA"]
    corrections.accept_broker_figure("NVDA", wrapper.get_positions()["NVDA"])
    audit._charge("NVDA", compared, 3, 15)
    assert (position(frozen), position(kept)) == (7, 5)
    assert events("sold-by-hand") == []


@pytest.mark.parametrize("stopped", [True, False])
def test_no_freeze_and_no_correction_goes_untold(wrapper: AlpacaWrapper, stopped: bool) -> None:
    """A crash between a state, or a correction, and its event: the next look makes both."""
    card = bought(wrapper, "NVDA", 10)
    if stopped:
        system_db_manager.stop_algorithm(card)
    sold_by_hand(wrapper, "NVDA", 3)
    ledger = system_db_manager.ledger()
    ledger.execute(
        "CREATE TRIGGER crash BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, ''); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        look(Audit(wrapper))
    ledger.execute("DROP TRIGGER crash")
    look(Audit(wrapper))
    assert len(events("sold-by-hand" if stopped else "frozen")) == 1
    assert position(card) == (7 if stopped else 10)


def settle(audit: Audit, execution: Execution) -> None:
    audit.orders()
    execution.reconcile()


def test_fills_the_journal_lost_are_entered_once(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    card = bought(wrapper, "NVDA", 10, minutes_ago=1)
    identity = order_journal.client_order_id(card, floor_minute(clock.now()), "buy")
    lost = wrapper.follow(wrapper.submit("NVDA", "buy", 4, identity))
    audit = Audit(wrapper)
    for _ in range(3):
        settle(audit, execution)
    assert position(card) == 14
    newest = system_db_manager.get_transactions(card)[0]
    assert (newest["shares"], newest["price"]) == (4, lost.filled_price)
    assert len(system_db_manager.get_transactions(card)) == 2


def test_an_order_given_up_too_early_is_entered_when_the_broker_says_so(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    order = order_journal.intend(card, "NVDA", "buy", 4, floor_minute(clock.now()))
    assert order is not None
    order_journal.close_unfilled(order.client_order_id, "lost", "the broker never had it")
    wrapper.follow(wrapper.submit("NVDA", "buy", 4, order.client_order_id))
    settle(Audit(wrapper), execution)
    assert position(card) == 4


def test_a_look_goes_back_to_the_last_one_and_a_far_look_a_day_further_until_it_succeeds(
    market: Exchange, wrapper: AlpacaWrapper, execution: Execution
) -> None:
    card = bought(wrapper, "NVDA", 10)
    audit = Audit(wrapper)
    settle(audit, execution)
    lose(wrapper, card, 1, minute=1)
    settle(audit, execution)
    assert position(card) == 11
    lose(wrapper, card, 2, minute=2, listed_hours_ago=20)
    settle(audit, execution)
    assert position(card) == 11  # the price of asking every few minutes
    market.faults.add({"name": "500", "path": "/v2/orders"})
    with pytest.raises(ExchangeUnavailable):
        audit.orders(look_far=True)
    market.faults.clear()
    settle(audit, execution)
    assert position(card) == 13
    lose(wrapper, card, 4, minute=3, listed_hours_ago=20)
    settle(audit, execution)
    assert position(card) == 13  # the far look is done
    settle(Audit(wrapper), execution)  # a new start
    assert position(card) == 17


def lose(
    wrapper: AlpacaWrapper, card: int, shares: int, *, minute: int, listed_hours_ago: int = 0
) -> None:
    """Have an order filled that the journal lacks; the broker may list it under an earlier time."""
    asked = floor_minute(clock.now()) + minute * MINUTE
    identity = order_journal.client_order_id(card, asked, "buy")
    wrapper.follow(wrapper.submit("NVDA", "buy", shares, identity))
    if listed_hours_ago:
        listed = f"{clock.now() - timedelta(hours=listed_hours_ago):%Y-%m-%dT%H:%M:%S.%fZ}"
        with closing(sqlite3.connect(settings.current().simulator_db)) as account, account:
            account.execute(
                "UPDATE orders SET submitted_at = ? WHERE client_order_id = ?", (listed, identity)
            )


def test_orders_of_an_unknown_card_are_an_event_and_its_number_stays_unused(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    bought(wrapper, "NVDA", 10)
    identity = order_journal.client_order_id(7, floor_minute(clock.now()), "buy")
    wrapper.follow(wrapper.submit("NVDA", "buy", 4, identity))
    audit = Audit(wrapper)
    for _ in range(3):
        settle(audit, execution)
    (message,) = events("unknown-card")
    assert "no card 7" in message and "buy 4 NVDA" in message
    assert system_db_manager.create_algorithm("AAPL", "sma_crossover", 1000) == 8


def test_a_lost_cards_order_is_no_matter_of_the_card_that_took_its_number(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    bought(wrapper, "NVDA", 10)
    number = system_db_manager.create_algorithm("MSFT", "sma_crossover", 1000)
    identity = order_journal.client_order_id(number, floor_minute(clock.now()), "buy")
    wrapper.follow(wrapper.submit("NVDA", "buy", 4, identity))
    earlier = floor_minute(clock.now()) - timedelta(hours=1)
    before = order_journal.client_order_id(number, earlier, "buy")
    wrapper.follow(wrapper.submit("MSFT", "buy", 1, before))  # from before the card was added
    settle(Audit(wrapper), execution)
    assert position(number) == 0
    assert len(events("unknown-card")) == 1


def test_a_card_below_nothing_freezes_its_ticker(wrapper: AlpacaWrapper) -> None:
    card, other = bought(wrapper, "NVDA", 10), bought(wrapper, "NVDA", 10)
    system_db_manager.record_sell(card, 20, 1.0)
    sold_by_hand(wrapper, "NVDA", 20)
    Audit(wrapper).positions()
    assert set(card_states.all_states()) == {card, other}


def test_a_short_position_freezes_cards_without_shares(wrapper: AlpacaWrapper) -> None:
    """The owner sold by hand what the card then sold too: an account that may short is short now."""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    with closing(sqlite3.connect(settings.current().simulator_db)) as account, account:
        account.execute("INSERT INTO positions (symbol, qty, cost) VALUES ('NVDA', '-10', '-1000')")
    look(Audit(wrapper))
    assert card_states.all_states()[card].reason.startswith(
        "The broker holds -10 NVDA, the ledger 0."
    )


def test_a_short_position_is_told_of_once_where_no_card_is_left_to_be_frozen(
    wrapper: AlpacaWrapper,
) -> None:
    sold = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    system_db_manager.stop_algorithm(sold)
    with closing(sqlite3.connect(settings.current().simulator_db)) as account, account:
        account.executemany(
            "INSERT INTO positions (symbol, qty, cost) VALUES (?, '-10', '-1000')",
            [("NVDA",), ("TSLA",)],  # the second is no matter of any card
        )
    look(Audit(wrapper))
    look(Audit(wrapper))
    (message,) = events("short")
    assert message.startswith("The broker is short 10 NVDA, and no card holds any")
    assert card_states.all_states() == {}


def test_other_programs_orders_are_none_of_ours(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    card = bought(wrapper, "NVDA", 10)
    wrapper.place_market_buy("NVDA", 5)
    wrapper.submit("NVDA", "buy", 1, "apac-ffffffff-1-20240604T1430Z-buy")  # another ledger's
    settle(Audit(wrapper), execution)
    assert position(card) == 10
    assert events("unknown-card") == []


def test_an_order_of_the_owners_that_makes_no_sense_here_hides_none_of_ours(
    wrapper: AlpacaWrapper, execution: Execution
) -> None:
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 50_000)
    lost = order_journal.client_order_id(card, floor_minute(clock.now()), "buy")
    wrapper.follow(wrapper.submit("NVDA", "buy", 4, lost))
    wrapper.follow(wrapper.submit("NVDA", "buy", 1, "a-spread"))
    with closing(sqlite3.connect(settings.current().simulator_db)) as account, account:
        account.execute(
            "UPDATE orders SET filled_avg_price = '-0.5' WHERE client_order_id = 'a-spread'"
        )
    settle(Audit(wrapper), execution)
    assert position(card) == 4


def test_what_is_filled_after_an_order_had_ended_is_entered_once(
    market: Exchange, wrapper: AlpacaWrapper, execution: Execution
) -> None:
    """A cancel is confirmed, and the report of a fill from before it comes after that."""
    market.faults.add({"name": "partial_fill", "fraction": 0.3, "then": "canceled", "times": 1})
    card = bought(wrapper, "NVDA", 10)
    assert position(card) == 3
    [first] = system_db_manager.get_transactions(card)
    audit = Audit(wrapper)
    for late, price in ((2, "1150.00"), (1, "1160.50")):
        [order] = market.account.orders(None, "", "9", False)
        market.account.fill(order, Decimal(late), Decimal(price), clock.now())
        market.account.change_order(order.id, clock.now(), status="canceled")
        for _ in range(3):
            settle(audit, execution)
    assert position(card) == 6
    recorded = {(row["type"], row["shares"]) for row in system_db_manager.get_transactions(card)}
    assert recorded == {("buy", 3), ("buy", 2), ("buy", 1)}
    spent = 3 * first["price"] + 2 * 1150 + 1160.5
    assert card_calculations.card_sums(card).invested == pytest.approx(spent, abs=1e-4)
    assert [algo_id for algo_id, _ in labelled(labels.LATE_FILL)] == [card, card]
    assert len(events("late-fill")) == 2
    assert wrapper.get_positions()["NVDA"] == 6


def test_a_late_fill_of_an_old_order_is_not_taken_for_a_sale_by_hand(
    market: Exchange, wrapper: AlpacaWrapper
) -> None:
    card = bought(wrapper, "NVDA", 10)
    order = order_journal.intend(card, "NVDA", "sell", 10, floor_minute(clock.now()) + MINUTE)
    assert order is not None
    market.faults.add({"name": "partial_fill", "fraction": 0.5, "then": "canceled", "times": 1})
    sold = wrapper.follow(wrapper.submit("NVDA", "sell", 10, order.client_order_id))
    assert sold.filled_price is not None
    order_journal.close_filled(order.client_order_id, 5, sold.filled_price, clock.now())
    system_db_manager.stop_algorithm(card)
    audit = Audit(wrapper)
    audit.orders()
    set_clock("2024-06-04T15:30:00Z")
    audit.orders()  # an order of an hour ago is not listed any more
    [newest] = market.account.orders(["canceled"], "", "9", False)
    market.account.fill(newest, Decimal(3), Decimal("1150"), clock.now())
    market.account.change_order(newest.id, clock.now(), status="canceled")
    for _ in range(3):
        audit.orders()
        audit.positions()
    assert [algo_id for algo_id, _ in labelled(labels.LATE_FILL)] == [card]
    assert labelled(labels.SOLD_BY_HAND) == []
    assert position(card) == wrapper.get_positions()["NVDA"] == 2


def test_orders_are_listed_page_by_page(
    wrapper: AlpacaWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra.alpaca_wrapper.ORDERS_A_PAGE", 3)
    set_clock(OPEN_MARKET, speed=1)  # orders of their own moments
    since = clock.now() - timedelta(days=1)
    expected = [wrapper.submit("NVDA", "buy", 1, f"own-{n}").client_order_id for n in range(8)]
    found = wrapper.orders_since(since)
    assert [order.client_order_id for order in found] == expected
    assert [each.client_order_id for each in wrapper.orders_since(since, "own-7")] == ["own-7"]
