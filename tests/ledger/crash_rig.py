"""A running terminal whose orchestrator is killed and started again, with one order per card in play.

One exchange, one pair of databases and one market clock serve all cases of a module; each case takes
the process that the case before has started, ends it at a point, and starts the next.
"""

import json
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, floor_minute, nyse
from system_databse import (
    card_calculations,
    card_states,
    decision_journal,
    order_journal,
    system_db_manager,
)
from tests.ledger.crash_table import Found
from tests.processes import Terminal

CRASH_FOLDER = Path(__file__).with_name("crash")
LOT = 10
PART = 5  # half of it, which a partial fill gives
STOCK = 60  # a seller's shares at the start, enough for any module
EXIT_CARDS_AT_ONCE = 8
CASE_MINUTES = timedelta(minutes=60)  # a case never runs into the close
# Three tickers a group: two cards that buy and sell in turn, and the cards that are sold off
GROUPS = (
    ("F", "T", "KO"),
    ("PFE", "PLTR", "CSCO"),
    ("INTC", "BAC", "DIS"),
    ("PG", "XOM", "PEP"),
)
OBEDIENT = '''"""Gives one order when the test wishes so: at the first minute it is asked from its time on."""

import json
from pathlib import Path

import system_db_manager

WISHES = Path(__file__).with_name("wishes.json")
GIVEN = (
    "SELECT 1 FROM decisions WHERE algorithm_id = ? AND minute >= ? AND action IN ('buy', 'sell')"
    " AND reason NOT LIKE '%dropped: the minute was over%'"
)


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        wish = json.loads(WISHES.read_text()).get(str(algo_id))
        if wish is None or current_time < wish["from"]:
            return ("hold", 0)
        given = system_db_manager.ledger().execute(GIVEN, (algo_id, wish["from"])).fetchone()
        return ("hold", 0) if given else (wish["action"], wish["shares"])
'''


@dataclass(frozen=True)
class Wanted:
    """One order of a case, and what is to become of it."""

    side: str
    outcome: str
    group: int
    states: tuple[str, ...]  # of the card's new rows in the journal, in order
    filled: tuple[int, ...]  # shares of each of its orders at the broker
    reported_as: str = ""


@dataclass
class Order:
    """A wanted order with the card that gives it, and what was there before."""

    wanted: Wanted
    card: int
    ticker: str
    known: set[str] = field(default_factory=set)
    last_transaction: int = 0


class Rig:
    """Cards with shares, an orchestrator that can be killed, and what broker and ledger hold."""

    def __init__(self, terminal: Terminal, algorithms: Path, plan: Path) -> None:
        self.terminal = terminal
        self._wishes = algorithms / "wishes.json"
        self._plan = plan
        self._environment = {"CRASH_PLAN": str(plan), "PYTHONPATH": str(CRASH_FOLDER)}
        self._exit_cards: dict[int, list[int]] = {group: [] for group in range(len(GROUPS))}
        self.start()
        self._pairs = [
            tuple(self._new_card(ticker) for ticker in tickers[:2]) for tickers in GROUPS
        ]
        self._stock_up({second: STOCK for _, second in self._pairs})

    # --- the process ---

    def start(self) -> None:
        self.terminal.start("orchestrator", **self._environment)

    def start_and_crash(self) -> None:
        """Start an orchestrator that does not get as far as its first cycle."""
        status, log = self.terminal.attempt("orchestrator", **self._environment)
        assert status == -signal.SIGKILL, log

    def is_running(self) -> bool:
        return self.terminal.orchestrator.poll() is None

    def arm(self, orders: Iterable[Order], *points: str) -> None:
        """Let the process die when these orders' ways have come to one of the points."""
        plan = {"points": points, "cards": [order.card for order in orders]}
        _replace(self._plan, json.dumps(plan))

    def disarm(self) -> None:
        self._plan.unlink(missing_ok=True)

    def await_death(self) -> None:
        """Wait until the process has killed itself."""
        self.terminal.wait_for(lambda: not self.is_running(), what="it reaches the point")
        assert self.terminal.orchestrator.returncode == -signal.SIGKILL

    def await_held(self, count: int) -> None:
        """Wait until the exchange holds that many orders up in a stall or a hang."""

        def held() -> bool:
            return sum(len(fault["holding"]) for fault in self.faults()) == count

        self.terminal.wait_for(held, what=f"{count} orders are held: {self.faults()}")

    # --- the exchange ---

    def faults(self) -> list[dict[str, Any]]:
        return list(self.terminal.exchange("GET", "/_faults")["faults"])

    def clear(self, *names: str) -> None:
        """End the faults of these names, or all of them."""
        for name in names:
            self.terminal.exchange("DELETE", f"/_faults?name={name}")
        if not names:
            self.terminal.exchange("DELETE", "/_faults")

    def broker_orders(self, order: Order) -> list[dict[str, Any]]:
        """This case's orders of a card at the broker, oldest first."""
        path = f"/v2/orders?status=all&limit=500&symbols={order.ticker}"
        rows = self.terminal.exchange("GET", path)
        prefix = f"{order_journal.own_prefix()}{order.card}-"
        return [
            row
            for row in reversed(rows)
            if row["client_order_id"].startswith(prefix)
            and row["client_order_id"] not in order.known
        ]

    def differences(self) -> dict[str, int]:
        """Shares at the broker less shares in the ledger, of each ticker where they differ."""
        held = {p["symbol"]: int(p["qty"]) for p in self.terminal.exchange("GET", "/v2/positions")}
        for card in system_db_manager.get_all_algorithms():
            shares = card_calculations.calculate_position(card["id"])
            held[card["ticker"]] = held.get(card["ticker"], 0) - shares
        return {ticker: shares for ticker, shares in held.items() if shares}

    # --- the cards ---

    def prepare(self, wanted: Iterable[Wanted]) -> list[Order]:
        """Choose a card for each wanted order: nothing is in play on it."""
        self.disarm()
        self.clear()
        if not self.is_running():  # a case before failed
            self.start()
        self._reach_a_long_session()
        orders = []
        for each in wanted:
            card = self._card_for(each)
            algorithm = system_db_manager.get_algorithm(card)
            assert algorithm is not None
            orders.append(Order(each, card, algorithm["ticker"]))
        for order in orders:
            order.known = {row["client_order_id"] for row in journal(order.card)}
            rows = system_db_manager.get_transactions(order.card)
            order.last_transaction = max((row["id"] for row in rows), default=0)
        return orders

    def _card_for(self, wanted: Wanted) -> int:
        if wanted.side == "exit":
            if not self._exit_cards[wanted.group]:
                self._buy_exit_cards(wanted.group)
            return self._exit_cards[wanted.group].pop()
        # The one with more shares sells, the other buys: what a pair holds stays about the same
        richer = sorted(self._pairs[wanted.group], key=card_calculations.calculate_position)
        return richer[1] if wanted.side == "sell" else richer[0]

    def _buy_exit_cards(self, group: int) -> None:
        """Buy the next cards to be sold off; they are stopped meanwhile, so nobody asks them."""
        cards = [self._new_card(GROUPS[group][2]) for _ in range(EXIT_CARDS_AT_ONCE)]
        self._stock_up(dict.fromkeys(cards, LOT))
        for card in cards:
            system_db_manager.stop_algorithm(card)
        self._exit_cards[group] = cards

    def give(self, orders: Iterable[Order]) -> None:
        """Let all these orders be decided in the next minute's cycle."""
        orders = list(orders)
        self._await_quiet_moment()
        at = clock.stamp(floor_minute(clock.now()) + MINUTE)
        self._wish(
            {
                order.card: {"from": at, "action": order.wanted.side, "shares": LOT}
                for order in orders
                if order.wanted.side != "exit"
            }
        )
        for order in orders:
            if order.wanted.side == "exit":
                card_states.stop_and_sell(order.card)

    def await_settled(self, orders: list[Order]) -> None:
        """Wait until none of these orders is open, and those to be sold off are."""
        self.terminal.wait_for(lambda: self._is_settled(orders), what="all is settled")

    def await_asked(self, orders: list[Order]) -> None:
        """Wait until each running card was asked in a later minute and wanted nothing."""
        since = clock.stamp()
        self.terminal.wait_for(lambda: self._are_asked(orders, since), what="all are asked again")

    def _is_settled(self, orders: list[Order]) -> bool:
        states = card_states.all_states()
        return (
            all(row["state"] not in ("intended", "submitted") for o in orders for row in new(o))
            and all(len(sent(order)) >= len(order.wanted.states) for order in orders)
            and not any(order.card in states for order in orders)
            and all(
                card_calculations.calculate_position(order.card) == 0
                for order in orders
                if order.wanted.side == "exit"
            )
        )

    def _are_asked(self, orders: list[Order], since: str) -> bool:
        running = [order.card for order in orders if order.wanted.side != "exit"]
        return all(_newest_hold(card) > since for card in running)

    def _new_card(self, ticker: str) -> int:
        return system_db_manager.create_algorithm(ticker, "obedient", 50_000)

    def _stock_up(self, shares: dict[int, int]) -> None:
        """Buy these cards their shares, in peace."""
        lacking = dict(shares)
        while lacking:
            self._await_quiet_moment()
            at = clock.stamp(floor_minute(clock.now()) + MINUTE)
            self._wish(
                {
                    card: {"from": at, "action": "buy", "shares": count}
                    for card, count in lacking.items()
                }
            )
            self.terminal.wait_for(
                lambda: all(_newest_hold(card) > at for card in lacking),  # noqa: B023
                what=f"the cards {sorted(lacking)} have bought",
            )
            lacking = {
                card: count - card_calculations.calculate_position(card)
                for card, count in lacking.items()
                if card_calculations.calculate_position(card) < count
            }

    def _wish(self, wishes: dict[int, dict[str, Any]]) -> None:
        _replace(self._wishes, json.dumps(wishes))

    def _await_quiet_moment(self) -> None:
        """Wait for the second half of a minute: its cycle has begun, and the next is not yet due."""
        self.terminal.wait_for(lambda: 25 <= clock.now().second <= 40, what="a quiet moment")

    def _reach_a_long_session(self) -> None:
        """Wait for an open market that does not close before the case is over."""

        def is_long() -> bool:
            now: datetime = clock.now()
            return nyse().is_open(now) and nyse().is_open(now + CASE_MINUTES)

        self.terminal.wait_for(is_long, CASE_MINUTES / MINUTE + 60, "a long session")

    # --- what came of it ---

    def is_recorded(self, order: Order) -> bool:
        """Whether the ledger has a transaction of this case's order."""
        return bool(transactions(order))

    def found(self, point: str, orders: Iterable[Order]) -> list[Found]:
        """Count what each order left at the broker and in the ledger."""
        differences = self.differences()
        ends = []
        for order in orders:
            at_broker = self.broker_orders(order)
            ends.append(
                Found(
                    point,
                    order.wanted.reported_as or order.wanted.outcome,
                    order.wanted.side,
                    len(at_broker),
                    len(transactions(order)),
                    max(0, len(at_broker) - len(order.wanted.filled)),
                    abs(differences.get(order.ticker, 0)),
                )
            )
        return ends

    def await_outcomes(self, orders: Iterable[Order]) -> None:
        """Each decision says what became of it, one that came to nothing included."""
        self.terminal.wait_for(lambda: not decision_journal.awaiting(), what="outcomes are noted")
        for order in orders:
            if not order.wanted.states:
                assert wishes(order.card)[-1] == "no order was sent: the trader was stopped"

    def check(self, orders: Iterable[Order]) -> None:
        """Broker, journal and transactions tell the same story, and it is the expected one."""
        assert self.differences() == {}
        for order in orders:
            rows, at_broker = sent(order), self.broker_orders(order)
            assert [row["state"] for row in rows] == list(order.wanted.states), (order, rows)
            assert [int(o["filled_qty"]) for o in at_broker] == list(order.wanted.filled), (
                order,
                at_broker,
            )
            journalled = {row["client_order_id"]: row for row in rows}
            assert {o["client_order_id"] for o in at_broker} <= journalled.keys()
            recorded = {row["id"]: row for row in transactions(order)}
            backed = set()
            for one in at_broker:
                row = journalled[one["client_order_id"]]
                if int(one["filled_qty"]) == 0:
                    assert row["transaction_id"] is None
                    continue
                transaction = recorded[row["transaction_id"]]
                backed.add(row["transaction_id"])
                assert transaction["type"] == one["side"] == row["side"]
                assert transaction["shares"] == int(one["filled_qty"])
                assert transaction["price"] == float(one["filled_avg_price"])
                if one["filled_at"]:
                    assert transaction["timestamp"] == one["filled_at"][:19] + "Z"
            assert backed == recorded.keys()  # no transaction without a fill
        check_ledger()

    def check_cash(self, at_first: float) -> None:
        """Every dollar that left the account or came back is in a transaction."""
        rows = system_db_manager.ledger().execute(
            "SELECT SUM(CASE type WHEN 'sell' THEN 1 ELSE -1 END * shares * price) FROM transactions"
        )
        cash = float(self.terminal.exchange("GET", "/v2/account")["cash"])
        fills = (
            system_db_manager.ledger().execute("SELECT COUNT(*) FROM transactions").fetchone()[0]
        )
        # the broker rounds each fill to the cent
        assert abs(at_first + rows.fetchone()[0] - cash) <= 0.005 * fills + 1e-6


def journal(card: int) -> list[dict[str, Any]]:
    """All rows of a card in the order journal."""
    rows = system_db_manager.ledger().execute(
        "SELECT * FROM orders WHERE algorithm_id = ? ORDER BY id", (card,)
    )
    return [dict(row) for row in rows]


def new(order: Order) -> list[dict[str, Any]]:
    """The rows that this case has added to the journal."""
    return [row for row in journal(order.card) if row["client_order_id"] not in order.known]


def sent(order: Order) -> list[dict[str, Any]]:
    """Those of them whose minute was not over before they could be sent, as on a busy machine."""
    return [row for row in new(order) if not row["reason"].startswith("dropped: ")]


def wishes(card: int) -> list[str]:
    """The reasons of a card's decisions to buy or sell, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT reason FROM decisions WHERE algorithm_id = ? AND action IN ('buy', 'sell')"
        " ORDER BY minute",
        (card,),
    )
    return [row["reason"] for row in rows]


def transactions(order: Order) -> list[dict[str, Any]]:
    """The transactions that this case has added."""
    rows = system_db_manager.get_transactions(order.card)
    return [row for row in rows if row["id"] > order.last_transaction]


def check_ledger() -> None:
    """Every transaction belongs to one order that says it was filled, and nothing was guessed."""
    ledger = system_db_manager.ledger()
    loose = (
        "SELECT id FROM transactions EXCEPT SELECT transaction_id FROM orders"
        " WHERE transaction_id IS NOT NULL"
    )
    assert ledger.execute(loose).fetchall() == []
    wrong = (
        "SELECT * FROM orders WHERE (state IN ('filled', 'partly_filled'))"
        " != (transaction_id IS NOT NULL)"
    )
    assert ledger.execute(wrong).fetchall() == []
    events = {row["kind"] for row in ledger.execute("SELECT kind FROM events")}
    assert events <= {"downtime", "restarted"}
    assert {state.state for state in card_states.all_states().values()} <= {"stopping"}


def _newest_hold(card: int) -> str:
    """The newest minute in which a card was asked and wanted nothing."""
    newest = "SELECT MAX(minute) FROM decisions WHERE algorithm_id = ? AND action = 'hold'"
    return str(system_db_manager.ledger().execute(newest, (card,)).fetchone()[0] or "")


def _replace(path: Path, text: str) -> None:
    """Change a file at once: nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
