"""The ledger is lost and a backup restored: what was filled since comes back from the broker, once."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.audit import Audit
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import MINUTE, floor_minute
from orchestra.execution import Execution
from orchestra.simulator import Exchange
from orchestra.trading_loop import run_all_algorithms
from system_databse import (
    card_calculations,
    card_states,
    decision_journal,
    order_journal,
    system_db_manager,
)
from tests.conftest import Configure
from tests.exchange_fixture import change, running_exchange, set_clock
from tests.one_share import ONE_SHARE
from tests.processes import Terminal, running_terminal

SPEED = 150  # market minutes of 0.4 s: a cycle fits
TRADES_ON = timedelta(minutes=30)
IN_AND_OUT = """
import system_db_manager

class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        held = sum(t["shares"] * (1 if t["type"] == "buy" else -1)
                   for t in system_db_manager.get_transactions(algo_id))
        return ("sell", held) if held else ("buy", 3)
"""


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    sqlite.close_kept()
    return subprocess.run(
        [sys.executable, "-m", "orchestra", *arguments],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def lose_the_ledger() -> None:
    sqlite.close_kept()
    ledger = settings.current().system_db_path
    for name in (ledger.name, f"{ledger.name}-wal", f"{ledger.name}-shm"):
        (ledger.parent / name).unlink(missing_ok=True)


def traded(card: int) -> int:
    return card_calculations.calculate_trade_count(card)


def events(kind: str) -> list[str]:
    rows = system_db_manager.ledger().execute("SELECT message FROM events WHERE kind = ?", (kind,))
    return [row["message"] for row in rows]


def fills_at_broker(terminal: Terminal, card: int) -> list[tuple[str, int, float, str]]:
    """What the exchange filled of a card's orders, by the ids it was sent."""
    found, after = {}, "2024-01-01T00:00:00Z"
    while True:
        path = f"/v2/orders?status=all&limit=500&direction=asc&after={after}"
        page = {order["client_order_id"]: order for order in terminal.exchange("GET", path)}
        if page.keys() <= found.keys():
            break
        found |= page
        after = max(order["submitted_at"] for order in page.values())
    return sorted(
        (o["side"], int(o["filled_qty"]), float(o["filled_avg_price"]), o["filled_at"][:19] + "Z")
        for identity, o in found.items()
        if identity.split("-")[2] == str(card) and int(o["filled_qty"])
    )


def recorded(card: int) -> list[tuple[str, int, float, str]]:
    return sorted(
        (row["type"], row["shares"], row["price"], row["timestamp"])
        for row in system_db_manager.get_transactions(card)
    )


def test_every_fill_since_the_backup_comes_back_once(tmp_path: Path, configure: Configure) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "in_and_out.py").write_text(IN_AND_OUT)
    configure(ALGORITHMS_DIR=folder)
    with running_terminal(
        tmp_path, MARKET_CLOCK_START="2024-06-04T13:35:00Z", MARKET_CLOCK_SPEED=SPEED
    ) as terminal:
        cards = [terminal.add_card(t, "in_and_out", 5_000)["id"] for t in ("AAPL", "NVDA", "AAPL")]
        terminal.wait_for(lambda: all(traded(card) >= 3 for card in cards), what="all have traded")
        done = command("backup")
        assert done.returncode == 0, done.stderr
        until = clock.now() + TRADES_ON
        lost_card = terminal.add_card("MSFT", "in_and_out", 5_000)["id"]
        terminal.wait_for(lambda: clock.now() >= until and traded(lost_card) >= 3)
        terminal.kill("orchestrator")
        assert "The terminal is running. Another api" in command("restore").stderr
        terminal.stop("api")
        before = {card: traded(card) for card in cards}

        lose_the_ledger()
        done = command("restore")
        assert done.returncode == 0, done.stderr
        assert all(traded(card) < before[card] for card in cards)
        assert system_db_manager.get_algorithm(lost_card) is None
        terminal.start("api", "orchestrator")
        terminal.wait_for(
            lambda: all(traded(card) >= before[card] + 2 for card in cards), what="they trade on"
        )
        new_card = terminal.add_card("MSFT", "in_and_out", 5_000)["id"]
        terminal.wait_for(lambda: traded(new_card) >= 1, what="the new card has traded")
        for card in (*cards, new_card):  # else the last start would send new orders
            terminal.stop_card(card)
        terminal.stop("orchestrator")
        terminal.start("orchestrator")  # settles what the stop left open, and audits once more
        terminal.wait_for(lambda: not order_journal.open_orders(), what="all orders have their end")
        terminal.stop("orchestrator")

        for card in (*cards, new_card):
            assert recorded(card) == fills_at_broker(terminal, card)
        lost_fills = fills_at_broker(terminal, lost_card)
        assert len(lost_fills) >= 3
        assert new_card == lost_card + 1
        (message,) = events("unknown-card")
        assert f"no card {lost_card}" in message
        assert events("frozen") == []


@pytest.fixture
def market() -> Iterator[Exchange]:
    with running_exchange() as started:
        yield started


@pytest.fixture
def execution(market: Exchange) -> Iterator[Execution]:
    started = Execution(AlpacaWrapper())
    yield started
    started.close()


def new_card(ticker: str = "NVDA", algorithm: str = "sma_crossover") -> int:
    return system_db_manager.create_algorithm(ticker, algorithm, 50_000)


def filled_unrecorded(card: int, side: str, shares: int, *, minutes_ago: int = 0) -> None:
    """An order of ours that the broker filled and this ledger has lost."""
    wrapper = AlpacaWrapper()
    minute = floor_minute(clock.now()) - minutes_ago * MINUTE
    identity = order_journal.client_order_id(card, minute, side)
    wrapper.follow(wrapper.submit("NVDA", side, shares, identity))


def audited(execution: Execution) -> Audit:
    audit = Audit(AlpacaWrapper())
    audit.orders()
    execution.reconcile()
    return audit


def test_an_unknown_cards_orders_are_one_event(execution: Execution) -> None:
    new_card()
    filled_unrecorded(9, "buy", 4, minutes_ago=3)
    filled_unrecorded(9, "sell", 1, minutes_ago=2)
    filled_unrecorded(8, "buy", 2, minutes_ago=1)
    audited(execution)
    of_nine, of_eight = events("unknown-card")
    assert "no card 9" in of_nine and "(buy 4 NVDA; 2 in all)" in of_nine
    assert "no card 8" in of_eight
    filled_unrecorded(9, "buy", 5)  # it may even become known later
    audited(execution)
    assert len(events("unknown-card")) == 2


def test_an_unknown_cards_number_is_not_given_away_though_nothing_was_filled(
    market: Exchange, execution: Execution
) -> None:
    new_card()
    market.faults.add({"name": "reject", "times": 1})
    filled_unrecorded(9, "buy", 4)
    audited(execution)
    assert events("unknown-card") == []
    assert new_card() == 10


def test_a_card_added_before_the_audit_does_not_inherit_a_lost_cards_fills(
    execution: Execution,
) -> None:
    """The page may add a card before the orchestrator has looked at the broker's orders."""
    filled_unrecorded(1, "buy", 4, minutes_ago=30)
    card = new_card()
    assert card == 1
    audited(execution)
    assert card_calculations.calculate_position(card) == 0
    assert len(events("unknown-card")) == 1


def test_a_trade_before_the_first_audit_hides_no_older_fill(
    market: Exchange, execution: Execution
) -> None:
    """Three days of fills are lost, the list of orders fails once, and the card trades meanwhile."""
    card = new_card()
    audited(execution)
    filled_unrecorded(card, "buy", 4)
    set_clock("2024-06-07T14:30:00Z")
    market.faults.add({"name": "500", "path": "/v2/orders", "method": "GET", "times": 1})
    with pytest.raises(ExchangeUnavailable):
        audited(execution)
    order_journal.intend(card, "NVDA", "buy", 1, floor_minute(clock.now()))
    audited(execution)
    assert card_calculations.calculate_position(card) == 4


def test_no_card_trades_on_a_ledger_that_may_lack_fills(market: Exchange, tmp_path: Path) -> None:
    """The list of orders fails at the start: what was bought and is lost would be bought again."""
    (tmp_path / "one_share.py").write_text(ONE_SHARE)
    change(ALGORITHMS_DIR=tmp_path)
    card, stopped = new_card(algorithm="one_share"), new_card(algorithm="one_share")
    filled_unrecorded(card, "buy", 1)
    filled_unrecorded(stopped, "buy", 1)
    card_states.stop_and_sell(stopped)
    market.faults.add({"name": "500", "path": "/v2/orders", "method": "GET", "times": 1})
    set_clock("2024-06-04T14:31:05Z")
    run_all_algorithms()
    assert card_states.all_states()[stopped].reason.startswith("Its sale waits: the broker's list")
    set_clock("2024-06-04T14:32:05Z")
    run_all_algorithms()
    assert AlpacaWrapper().get_positions() == {"NVDA": 1}
    assert [row["shares"] for row in system_db_manager.get_transactions(card)] == [1]
    assert card_calculations.calculate_position(stopped) == 0
    assert card_states.all_states() == {}
    (asked, not_asked), _ = decision_journal.page(card, None, 10)
    assert (asked["action"], not_asked["action"]) == ("hold", "skipped")
    assert not_asked["reason"].startswith(
        "not asked: the broker's list of orders could not be read"
    )


@pytest.mark.parametrize("filled", [True, False])
def test_a_card_that_was_stopped_and_sold_since_the_backup_does_not_trade_again(
    market: Exchange, execution: Execution, filled: bool
) -> None:
    """The restored ledger has it running; the broker has a sale that only a stop can have sent."""
    card = new_card()
    filled_unrecorded(card, "buy", 4)
    if not filled:
        market.faults.add({"name": "reject", "times": 1})
    wrapper = AlpacaWrapper()
    minute = floor_minute(clock.now()) + MINUTE
    identity = order_journal.client_order_id(card, minute, "exit")
    wrapper.follow(wrapper.submit("NVDA", "sell", 3, identity))
    audited(execution)
    audited(execution)
    assert system_db_manager.get_all_algorithms("running") == []
    assert card_states.all_states()[card].state == "stopping"
    assert card_calculations.calculate_position(card) == (1 if filled else 4)
    assert len(events("stopped-again")) == 1


def test_an_order_given_up_too_early_that_is_still_open_is_followed_again(
    market: Exchange, execution: Execution
) -> None:
    card = new_card()
    order = order_journal.intend(card, "NVDA", "buy", 4, floor_minute(clock.now()))
    assert order is not None
    order_journal.close_unfilled(order.client_order_id, "lost", "the broker never had it")
    market.faults.add({"name": "stuck", "times": 1})
    AlpacaWrapper().submit("NVDA", "buy", 4, order.client_order_id)  # it arrived after all
    Audit(AlpacaWrapper()).orders()
    assert execution.unsettled_cards() == {card}
