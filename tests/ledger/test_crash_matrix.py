"""The orchestrator is killed after every step of an order, and the exchange misbehaves in every way:
broker, journal and transactions agree, no order is sent twice, no share is lost, and cards go on.

The table of all cases is printed at the end of the run. Points at the broker are reached by the
simulator's stall or hang, those between two local steps by crash/sitecustomize.py.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import product
from typing import Any

import pytest

from orchestra.base import settings, sqlite
from tests.conftest import Record, forget_settings
from tests.ledger.crash_rig import LOT, OBEDIENT, PART, Order, Rig, Wanted
from tests.ledger.crash_table import PROPERTY
from tests.processes import running_terminal

CASH = 100_000.0  # what a new account of the simulated exchange holds
REPEATS = 3
SIDES, OUTCOMES = ("buy", "sell", "exit"), ("full", "partial", "rejected")
GROUP_OF = {"full": 0, "partial": 1, "rejected": 2}
JOURNAL = "system_databse.order_journal"
Fault = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """A step of an order's way after which the process dies.

    ``local`` names functions for crash/sitecustomize.py; a point without is one at the exchange.
    """

    name: str
    local: tuple[str, ...] = ()
    sent: bool = True  # whether the broker gets to see the order
    alone: bool = False  # inside the write transaction there can only be one order at a time


def closing(when: str) -> tuple[str, ...]:
    return (f"{JOURNAL}:close_filled:{when}", f"{JOURNAL}:close_unfilled:{when}")


BEFORE_INTENT = Point("before the intent", (f"{JOURNAL}:intend:enter",), sent=False)
INTENDED = Point("after the intent's COMMIT", (f"{JOURNAL}:intend:return",), sent=False)
SENDING = Point("before the POST", ("orchestra.alpaca_wrapper:submit:enter",), sent=False)
RECEIVED = Point("after the POST left, it arrives")
LATE = Point("after the POST left, it arrives late")  # after the restart
ACCEPTED = Point("after the broker accepted")
FILLED = Point("after the broker filled or ended it")
ANSWERED = Point("after the broker's answer", ("orchestra.alpaca_wrapper:submit:return",))
MARKED = Point("after it is marked as sent", (f"{JOURNAL}:mark_submitted:return",))
ENDED = Point("before the last transaction", closing("enter"))
INSERTED = Point(
    "in it, transactions row inserted",
    ("system_databse.system_db_manager:insert_transaction:return",),
    alone=True,
)
COMMITTING = Point("in it, right before COMMIT", closing("commit"), alone=True)
COMMITTED = Point("right after COMMIT", closing("return"))
POINTS = (
    BEFORE_INTENT, INTENDED, SENDING, RECEIVED, LATE, ACCEPTED, FILLED,
    ANSWERED, MARKED, ENDED, INSERTED, COMMITTING, COMMITTED,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One crash, and the orders that are at that point when it comes."""

    point: Point
    orders: tuple[tuple[str, str], ...]  # (side, outcome)

    def __str__(self) -> str:
        return f"{self.point.name}: {', '.join(f'{side} {end}' for side, end in self.orders)}"


def cases(point: Point) -> list[Case]:
    """The whole of one point's row: every side with every outcome."""
    if not point.sent:
        return [Case(point, tuple((side, "full") for side in SIDES))]
    pairs = [
        (side, outcome)
        for outcome, side in product(OUTCOMES, SIDES)
        if point is not INSERTED or outcome != "rejected"  # then there is no such row
    ]
    if point.alone:
        return [Case(point, (pair,)) for pair in pairs]
    return [Case(point, tuple(pairs[:8])), Case(point, tuple(pairs[8:]))]  # 8 tickers at once


def single(point: Point, *orders: tuple[str, str]) -> list[Case]:
    return [Case(point, (order,)) for order in orders]


ALL = [case for point in POINTS for case in cases(point)]
CHOSEN = [  # and INTENDED below, where what waits longest waits together
    *(cases(point)[0] for point in (BEFORE_INTENT, LATE, ACCEPTED, FILLED)),
    *single(INSERTED, ("buy", "full"), ("sell", "partial"), ("exit", "full")),
    *single(COMMITTING, ("buy", "partial"), ("sell", "full"), ("exit", "rejected")),
    cases(COMMITTED)[0],
]


def wanted(point: Point, side: str, outcome: str) -> Wanted:
    """What must have become of an order that was killed at a point, as literally as can be."""
    group = GROUP_OF[outcome]
    if point is BEFORE_INTENT:
        states, filled = ((), ()) if side != "exit" else (("filled",), (LOT,))
        return Wanted(side, outcome, group, states, filled, "never written down")
    if not point.sent:
        states, filled = (("lost",), ()) if side != "exit" else (("lost", "filled"), (LOT,))
        return Wanted(side, outcome, group, states, filled, "never sent")
    end = ended(side, outcome, group)
    if point is ACCEPTED and outcome == "rejected":  # what was accepted can stay open instead
        states = ("cancelled", *end.states[1:])
        return Wanted(side, outcome, group, states, end.filled, "stuck in new")
    return end


def ended(side: str, outcome: str, group: int) -> Wanted:
    """An order the broker had; what an exit then still holds is sold in a later minute."""
    states, filled, left = {
        "full": (("filled",), (LOT,), 0),
        "partial": (("partly_filled",), (PART,), LOT - PART),
        "rejected": (("refused",), (0,), LOT),
        "stuck": (("cancelled",), (0,), LOT),
        "lost": (("lost",), (), LOT),
        "turned away": (("refused",), (), LOT),
    }[outcome]
    if side == "exit" and left:
        states, filled = (*states, "filled"), (*filled, left)
    return Wanted(side, outcome, group, states, filled)


def broker_faults(point: Point, outcome: str, symbol: str) -> list[Fault]:
    """What brings an order of one symbol to its point at the exchange, and to its outcome."""
    once = {"symbol": symbol, "times": 1}
    then = "open" if point in (ACCEPTED, MARKED) else "canceled"
    fates: dict[str, list[Fault]] = {
        "full": [],
        "partial": [{"name": "partial_fill", "fraction": PART / LOT, "then": then, **once}],
        "rejected": [{"name": "stuck" if point is ACCEPTED else "reject", **once}],
    }
    at = {RECEIVED: "received", LATE: "received", ACCEPTED: "accepted", FILLED: "filled"}.get(point)
    if at == "received" or (at is not None and outcome == "full"):
        return [*fates[outcome], {"name": "stall", "point": at, **once}]
    return fates[outcome]


@pytest.fixture(scope="module", autouse=True)
def configure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One set of databases and one terminal serve the whole module: it takes the usual one's place."""
    folder = tmp_path_factory.mktemp("terminal")
    with pytest.MonkeyPatch.context() as patch:
        for each in fields(settings.Settings):
            patch.setenv(each.name.upper(), "")
        for name in ("SYSTEM_DB", "STOCKS_DB", "SIMULATOR_DB"):
            patch.setenv(name, str(folder / f"{name.lower()}.db"))
        patch.setenv("LOG_DIR", str(folder / "logs"))
        patch.setenv("ALGORITHMS_DIR", str(folder / "algorithms"))
        patch.setenv("ORDER_OPEN_SECONDS", "1")
        forget_settings()
        yield
        sqlite.close_kept()
    forget_settings()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    algorithms = settings.current().algorithms_dir
    algorithms.mkdir()
    (algorithms / "obedient.py").write_text(OBEDIENT)
    (algorithms / "wishes.json").write_text("{}")
    with running_terminal(algorithms.parent, ("exchange",)) as terminal:
        yield Rig(terminal, algorithms, algorithms.parent / "crash.json")


def conclude(rig: Rig, named: dict[str, list[Order]], record: Record) -> None:
    """Wait until all is settled and hold it against what must be, and again in a later minute."""
    orders = [order for some in named.values() for order in some]
    try:
        rig.await_settled(orders)
        rig.check(orders)
        rig.await_asked(orders)
        rig.await_outcomes(orders)
    finally:
        found = [end for name, some in named.items() for end in rig.found(name, some)]
        record(PROPERTY, [astuple(end) for end in found])
    rig.check(orders)


def crash(rig: Rig, case: Case) -> list[Order]:
    """Bring a case's orders to its point, and the process to its end."""
    orders = rig.prepare(wanted(case.point, *order) for order in case.orders)
    for order in orders:
        if case.point.sent:
            for fault in broker_faults(case.point, order.wanted.outcome, order.ticker):
                rig.terminal.misbehave(**fault)
    if case.point.local:
        rig.arm(orders, *case.point.local)
        rig.give(orders)
        rig.await_death()
        rig.disarm()
    else:
        rig.terminal.misbehave("hang", when="after", path="/v2/orders", method="POST")
        rig.give(orders)
        rig.await_held(len(orders))
        rig.terminal.kill("orchestrator")
        if case.point is not LATE:
            rig.clear("stall", "hang")
    return orders


def run(rig: Rig, case: Case, record: Record) -> None:
    orders = crash(rig, case)
    rig.start()
    rig.clear("stall", "hang")
    conclude(rig, {case.point.name: orders}, record)


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_killed_at_a_step_of_an_order(rig: Rig, case: Case, record_property: Record) -> None:
    run(rig, case, record_property)


@pytest.mark.long
@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("repeat", range(REPEATS))
def test_killed_at_every_step_of_every_order(
    rig: Rig, case: Case, repeat: int, record_property: Record
) -> None:
    run(rig, case, record_property)


def test_killed_again_while_it_recovers(rig: Rig, record_property: Record) -> None:
    (case,) = single(FILLED, ("exit", "partial"))
    orders = crash(rig, case)
    for point in (INSERTED, COMMITTING, COMMITTED):
        rig.arm(orders, *point.local)
        rig.start_and_crash()
    rig.disarm()
    rig.start()
    conclude(rig, {"after the fill, then thrice in recovery": orders}, record_property)


def give_all_sides(rig: Rig, group: int, outcome: str, *faults: Fault) -> list[Order]:
    """Let a buy, a sell and an exit of a group run into these faults; they hit three POSTs."""
    orders = rig.prepare(ended(side, outcome, group) for side in SIDES)
    for fault in faults:
        rig.terminal.misbehave(**fault)
    rig.give(orders)
    rig.terminal.wait_for(
        lambda: all(fault["times"] == 0 for fault in rig.faults()), what="the faults have hit"
    )
    return orders


POSTS: Fault = {"path": "/v2/orders", "method": "POST", "times": 3}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("504 after it was accepted", {"name": "504_after_accept", "times": 3}),
        ("cut in mid-POST, received", {"name": "cut", "when": "after", "times": 3}),
        ("answer past the minute's end", {"name": "delay", "seconds": 1.5, **POSTS}),
        pytest.param(
            "hang of 12 s, the client gives up",
            {"name": "hang", "when": "after", "seconds": 12, **POSTS},
            marks=pytest.mark.long,
        ),
    ],
)
def test_an_answer_that_is_lost_or_late(
    rig: Rig, name: str, fault: Fault, record_property: Record
) -> None:
    orders = give_all_sides(rig, 0, "full", fault)
    conclude(rig, {name: orders}, record_property)


def test_orders_the_broker_ends_otherwise(rig: Rig, record_property: Record) -> None:
    ends: list[tuple[str, str, Fault]] = [
        ("stuck in new", "stuck", {"name": "stuck"}),
        ("cancelled with a part filled", "partial", {"name": "partial_fill", "then": "canceled"}),
        ("rejected after it was accepted", "rejected", {"name": "reject"}),
    ]
    orders = rig.prepare(
        ended(side, outcome, group) for group, (_, outcome, _) in enumerate(ends) for side in SIDES
    )
    for order in orders:
        fault = ends[order.wanted.group][2]
        rig.terminal.misbehave(**fault, symbol=order.ticker, times=1)
    rig.give(orders)
    named = {
        name: [order for order in orders if order.wanted.group == group]
        for group, (name, _, _) in enumerate(ends)
    }
    conclude(rig, named, record_property)


def test_orders_the_broker_never_had(rig: Rig, record_property: Record) -> None:
    """One after the other, then settled together: each is waited for before it is given up."""
    (case,) = cases(INTENDED)
    given = {INTENDED.name: crash(rig, case)}
    rig.start()
    ends: list[tuple[str, str, list[Fault]]] = [
        ("500", "lost", [{"name": "500", **POSTS}]),
        ("cut in mid-POST, not received", "lost", [{"name": "cut", "when": "before", **POSTS}]),
        # The burst hits what is asked, too: nothing is given up before the broker has said so
        (
            "429 burst",
            "turned away",
            [{"name": "429", **POSTS}, {"name": "429", "method": "GET", "times": 20}],
        ),
    ]
    for group, (name, outcome, faults) in enumerate(ends, start=1):
        given[name] = give_all_sides(rig, group, outcome, *faults)
    conclude(rig, given, record_property)


@pytest.mark.long
def test_a_post_that_arrives_after_it_was_given_up(rig: Rig, record_property: Record) -> None:
    """Hung up in the network for longer than any order is waited for: the audit enters the fill."""
    orders = rig.prepare(wanted(RECEIVED, side, "full") for side in ("buy", "sell"))
    for order in orders:
        rig.terminal.misbehave("stall", point="received", symbol=order.ticker, times=1)
    rig.give(orders)
    rig.await_held(len(orders))
    rig.terminal.kill("orchestrator")
    rig.start()
    rig.await_settled(orders)  # as lost
    rig.clear("stall")
    rig.terminal.wait_for(lambda: all(rig.is_recorded(order) for order in orders), what="entered")
    conclude(rig, {"after the POST left, it arrives when given up": orders}, record_property)


def test_at_the_end_every_dollar_is_accounted_for(rig: Rig) -> None:
    rig.prepare([])
    assert rig.differences() == {}
    rig.check_cash(CASH)
