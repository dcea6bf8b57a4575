"""A day run again: equal where nothing went wrong, else each difference with its cause."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from database import arrivals, db_manager, schema
from orchestra.__main__ import main
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE
from system_databse import decision_journal, labels, order_journal, system_db_manager
from system_databse.decision_journal import JournalledDecision
from tests.backtest.conftest import Write, row
from tests.conftest import Configure
from tests.orchestra.test_left_behind import is_running

OPENING = clock.parse("2024-06-04T13:30:00Z")
COUNT = 30  # minutes that were lived
TRADES = {5: ("buy", 4), 12: ("sell", 4), 20: ("buy", 2)}  # by the minute they are decided in
BODY = """
minute = int(current_time[14:16]) - 30
held = card_calculations.calculate_position(algo_id)
if minute in (5, 20) and not held: return ('buy', 4 if minute == 5 else 2)
return ('sell', held) if minute == 12 and held else ('hold', 0)
""".strip()


def stamp(minute: int, seconds: int = 0) -> str:
    return clock.stamp(OPENING + minute * MINUTE + timedelta(seconds=seconds))


def close_of(minute: int) -> float:
    """What a share costs in a minute: the close of the bar before it."""
    return 100 + (minute - 1) / 4


@pytest.fixture
def card(write: Write, configure: Configure) -> int:
    """A card of a simulated terminal, 50 bars, and nothing on record yet."""
    path = write(BODY)
    configure(ALGORITHMS_DIR=path.parent, MARKET_CLOCK_START=stamp(COUNT, 10))
    configure(MARKET_CLOCK_SPEED=1e-6, MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp())
    with clock.held(lambda: OPENING + 100 * MINUTE):
        for n in range(-10, 40):
            moment = OPENING + n * MINUTE
            if n < 0:
                moment = clock.parse("2024-06-03T20:00:00Z") + n * MINUTE
            bar = dict(zip(FIELDS, row(clock.stamp(moment), close_of(n + 1)), strict=True))
            db_manager.insert_historical_data("AAPL", [bar])
    with clock.held(lambda: OPENING - timedelta(hours=1)):
        return system_db_manager.create_algorithm("AAPL", "guest", 10_000)


HELD = {"action": "hold", "shares": 0}
FIELDS = ("timestamp", "open", "high", "low", "close", "volume")


def live(card: int, **changed: Any) -> None:
    """Put on record what the terminal does in these minutes, but for ``changed`` ones (m5=..., f12=...)."""
    for minute in range(COUNT):
        action, shares = TRADES.get(minute, ("hold", 0))
        facts = {"action": action, "shares": shares, "reason": "", "verdict": "bar"}
        change = changed.get(f"m{minute}", {})
        if change is None:
            continue
        facts |= change
        seen = clock.parse("2024-06-03T20:00:00Z") - MINUTE if minute == 0 else moment(minute - 1)
        decided = JournalledDecision(
            card, stamp(minute), facts.get("bar", clock.stamp(seen)), facts["action"],
            facts["shares"], facts["reason"], facts["verdict"], 1.0,
        )  # fmt: skip
        decision_journal.record([decided])
        if facts["action"] in ("buy", "sell"):
            fill(card, minute, facts, changed.get(f"f{minute}", {}))


def moment(minute: int) -> datetime:
    return OPENING + minute * MINUTE


def fill(card: int, minute: int, facts: dict[str, Any], change: dict[str, Any] | None) -> None:
    if change is None:
        return
    with clock.held(lambda: moment(minute) + timedelta(seconds=3)):
        order = order_journal.intend(card, "AAPL", facts["action"], facts["shares"], moment(minute))
        assert order is not None
        if "state" in change:
            order_journal.close_unfilled(order.client_order_id, change["state"], change["reason"])
            return
        order_journal.close_filled(
            order.client_order_id,
            change.get("shares", facts["shares"]),
            change.get("price", close_of(minute)),
            clock.now(),
        )


def replayed(code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["replay", "2024-06-04", "--json"])
    assert done.exit_code == code, done.output
    [found] = json.loads(done.stdout)["cards"]
    assert isinstance(found, dict)
    return found


def told() -> list[str]:
    return CliRunner().invoke(main, ["replay", "2024-06-04"]).stdout.splitlines()


def test_a_day_without_trouble_is_equal(card: int) -> None:
    live(card)
    found = replayed()
    assert (found["minutes"], found["minutes_equal"], found["fills"]) == (COUNT, COUNT, 3)
    assert (found["differences"], found["fill_differences"], found["equal"]) == ([], [], True)
    # 4 x (102.75 - 101), and two bought at 104.75 that end at the last stored close, 109.75
    assert (found["pnl_live"], found["pnl_again"]) == (17.0, 17.0)
    assert told() == [
        f"{system_db_manager.get_all_algorithms()[0]['display_name']}: 30 of 30 minutes equal,"
        " 3 of 3 fills equal; P&L +$17.00 live, +$17.00 again",
        "2024-06-04: Equal.",
    ]


def skipped(reason: str) -> dict[str, Any]:
    return {"action": "skipped", "shares": 0, "reason": reason, "verdict": "missing", "bar": None}


def test_paused_minutes_are_told_together(card: int) -> None:
    reason = "not asked: paused, Brake: this card lost $50.00 today."
    live(card, **{f"m{n}": skipped(reason) for n in range(18, 23)})
    found = replayed()
    assert [
        (d["first"], d["last"], d["minutes"], d["again"], d["cause"]) for d in found["differences"]
    ] == [
        (stamp(18), stamp(19), 2, ["hold", 0], reason),
        (stamp(20), stamp(20), 1, ["buy", 2], reason),
        (stamp(21), stamp(22), 2, ["hold", 0], reason),
    ]
    assert (found["pnl_live"], found["pnl_again"]) == (7.0, 17.0)
    assert f"  13:50: skipped, again buy 2: {reason}" in told()
    assert told()[-1] == "2024-06-04: Each difference has its cause."


def test_minutes_that_nobody_kept(card: int) -> None:
    live(card, m8=None, m9=None)
    [found] = replayed()["differences"]
    assert (found["first"], found["minutes"]) == (stamp(8), 2)
    assert found["cause"] == "not on record: no trader was running"


def test_a_failure_of_the_day(card: int) -> None:
    live(card, m20={"action": "failed", "shares": 0, "reason": "guest.py line 3: OSError: no"})
    [found] = replayed()["differences"]
    assert (found["live"], found["again"]) == (["failed", 0], ["buy", 2])
    assert found["cause"] == "failed: guest.py line 3: OSError: no"


def arrive(minute: int, asked: int, came: int) -> None:
    """The minute's bar came so many ms after its end, and the cycle asked after so many."""
    with sqlite.transaction(schema.stocks()) as connection:
        arrivals.note(connection, "streamed", {stamp(minute): {"AAPL": came}})
    with clock.held(lambda: moment(minute + 1) + timedelta(milliseconds=asked)):
        arrivals.note_asked(moment(minute), [])


def test_a_late_bar_is_named(card: int) -> None:
    """In minute 5 the bar of minute 3 had not come yet: it decided without it."""
    live(card, m5=HELD, m12=HELD)
    arrive(4, 2100, 900)
    arrive(3, 2100, 65_000)
    found = replayed()
    assert found["differences"][0] == {
        "first": stamp(5),
        "last": stamp(5),
        "minutes": 1,
        "live": ["hold", 0],
        "again": ["buy", 4],
        "cause": f"late bar: {stamp(3)} came after it was asked",
    }


def test_a_late_bar_is_seen_by_what_was_the_newest(card: int) -> None:
    live(card, m5={**HELD, "bar": stamp(2), "verdict": "missing"}, m12=HELD)
    cause = replayed()["differences"][0]["cause"]
    assert cause == f"late bar: it saw {stamp(2)} as the newest, {stamp(4)} is there now"


def test_the_brokers_price_and_number(card: int) -> None:
    live(card, f5={"price": 101.02}, f20={"shares": 1})
    found = replayed()
    assert found["differences"] == []
    assert [
        (f["minute"], f["live"], f["again"], f["cause"]) for f in found["fill_differences"]
    ] == [
        (stamp(5), [4, 101.02], [4, 101.0], "broker price"),
        (stamp(20), [1, 104.75], [2, 104.75], "partly filled: by the broker"),
    ]
    assert (found["pnl_live"], found["pnl_again"]) == (round(11.92, 2), 17.0)
    assert not found["equal"] and found["explained"]


def test_an_order_that_the_broker_refused(card: int) -> None:
    """What follows from it is no difference: each minute is asked with what the card really held."""
    live(
        card,
        f5={"state": "refused", "reason": "insufficient buying power"},
        m12=HELD,
    )
    found = replayed()
    assert found["differences"] == []
    [missed] = found["fill_differences"]
    assert (missed["live"], missed["again"]) == ([0, None], [4, 101.0])
    assert missed["cause"] == "refused: insufficient buying power"


def test_a_changed_capital_and_a_changed_file(card: int, write: Write, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "guest.py"
    live(card, m20=HELD)
    assert replayed(code=1)["differences"][0]["cause"] == "not explained"
    assert told()[-1] == "2024-06-04: NOT ALL EXPLAINED."
    os.utime(path)
    assert replayed()["differences"][0]["cause"] == "its file has changed since"
    with clock.held(lambda: moment(200)), sqlite.transaction(system_db_manager.ledger()) as ledger:
        labels.add(ledger, card, labels.CAPITAL, "10000.00 -> 12000.00")
    cause = replayed()["differences"][0]["cause"]
    assert cause == "its figures were changed since: capital"


def test_what_was_held_from_before(card: int) -> None:
    with clock.held(lambda: clock.parse("2024-06-03T19:00:00Z")):
        system_db_manager.record_buy(card, 3, 90.0)
    live(card, m5=HELD, m12={"action": "sell", "shares": 3})
    found = replayed()
    assert (found["differences"], found["equal"]) == ([], True)
    # 3 x (102.75 - 99.75, the close before), and 2 x (109.75 - 104.75)
    assert (found["pnl_live"], found["pnl_again"]) == (19.0, 19.0)


BACK = "2024-04-24T19:30:00Z"  # 40 days before
LOOKS_BACK = """
asked = [card_calculations.calculate_position(algo_id)]
if current_time[11:16] == '13:35':
    asked = {question}
    if asked and asked[0]['close'] == 50: return ('buy', 4)
return ('hold', 0)
""".strip()


@pytest.mark.parametrize(
    "question",
    [
        "db_manager.get_data_for_algorithm('AAPL', 'last_n_bars', n=16, before_timestamp=current_time)",
        "db_manager.get_data_for_algorithm('AAPL', 'last_n_bars', n=16)",
        f"db_manager.get_historical_data('AAPL', {BACK!r}, {BACK!r})",
        f"db_manager.get_historical_data('MSFT', {BACK!r}, {BACK!r})",
    ],
)
def test_what_is_looked_up_from_long_ago_is_there_again(
    card: int, write: Write, question: str
) -> None:
    bar = dict(zip(FIELDS, row(BACK, 50), strict=True))
    for ticker in ("AAPL", "MSFT"):
        db_manager.insert_historical_data(ticker, [bar])
    write(LOOKS_BACK.format(question=question))
    live(card, m12=HELD, m20=HELD)
    found = replayed()
    assert (found["differences"], found["equal"]) == ([], True)
    assert (found["pnl_live"], found["pnl_again"]) == (4 * 8.75, 4 * 8.75)


def test_a_file_that_is_gone(card: int, tmp_path: Path) -> None:
    live(card)
    (tmp_path / "mine" / "guest.py").unlink()
    done = CliRunner().invoke(main, ["replay", "2024-06-04", "--json"])
    [found] = json.loads(done.stdout)["cards"]
    assert found["error"].startswith("There is no file guest.py in ")
    assert not found["equal"]


def test_a_card_that_hangs_or_dies_leaves_the_others_their_day(
    card: int, write: Write, configure: Configure
) -> None:
    configure(ALGORITHM_DEADLINE_SECONDS=1)
    live(card)
    for name, body in (("hangs", "while True: pass"), ("dies", "import os; os._exit(3)")):
        write(body, name=name)
        with clock.held(lambda: OPENING - timedelta(hours=1)):
            guest = system_db_manager.create_algorithm("AAPL", name, 10_000)
        decided = JournalledDecision(guest, stamp(3), None, "failed", 0, "", "bar", 1.0)
        decision_journal.record([decided])
    done = CliRunner().invoke(main, ["replay", "2024-06-04", "--json"])
    good, hangs, dies = json.loads(done.stdout)["cards"]
    assert (good["minutes_equal"], good["equal"]) == (COUNT, True)
    assert hangs["error"] == "a run took longer than 1 s"
    assert dies["error"] == "its process died (exit code 3)"


@pytest.mark.parametrize("raised", ["asyncio.CancelledError('late')", "KeyboardInterrupt('late')"])
def test_whatever_a_run_raises_fails_its_minute_again(card: int, write: Write, raised: str) -> None:
    write(f"import asyncio\nif current_time[14:16] == '38': raise {raised}\n{BODY}")
    name = raised.partition("(")[0].rpartition(".")[2]
    reason = f"guest.py line 11: {name}: late"
    live(card, m8={"action": "failed", "shares": 0, "reason": reason})
    found = replayed()
    assert (found["minutes"], found["minutes_equal"], found["equal"]) == (COUNT, COUNT, True)
    assert (found["pnl_live"], found["pnl_again"]) == (17.0, 17.0)


def test_what_an_algorithm_starts_ends_with_its_day(
    card: int, write: Write, tmp_path: Path
) -> None:
    write(
        "import pathlib, subprocess\n"
        f"path = pathlib.Path({str(tmp_path / 'pid')!r})\n"
        "if not path.exists(): path.write_text(str(subprocess.Popen(['sleep', '300']).pid))\n"
        f"{BODY}"
    )
    live(card)
    assert replayed()["equal"]
    pid = int((tmp_path / "pid").read_text())
    deadline = clock.elapsed() + 10
    while is_running(pid):
        assert clock.elapsed() < deadline
        clock.pause(0.02)


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        ("2024-06-08", "The NYSE has had no session on 2024-06-08."),
        ("2024-06-05", "The NYSE has had no session on 2024-06-05."),  # not yet
    ],
)
def test_a_day_without_a_session(card: int, day: str, sentence: str) -> None:
    done = CliRunner().invoke(main, ["replay", day])
    assert (done.exit_code, done.stdout) == (1, "")
    assert sentence in done.stderr


def test_a_day_without_cards(card: int) -> None:
    done = CliRunner().invoke(main, ["replay"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "2024-06-04: no card is on record."
