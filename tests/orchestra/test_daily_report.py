"""The daily report, over a session written down by hand: every figure is worked out beside it."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from database import db_manager
from database.calendar import calendar
from orchestra import daily_report
from orchestra.__main__ import main
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE
from system_databse import (
    card_states,
    cycle_journal,
    daily_reports,
    decision_journal,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
    wear,
)
from system_databse.decision_journal import JournalledDecision
from tests.exchange_fixture import set_clock

DAY = date(2024, 11, 29)  # a half day: 09:30 to 13:00 New York, 210 minutes
OPEN, CLOSE = "2024-11-29T14:30:00Z", "2024-11-29T18:00:00Z"
BEFORE, AFTER = "2024-11-29T14:00:00Z", "2024-11-29T18:01:00Z"


def stored(ticker: str, closes: dict[str, float]) -> None:
    db_manager.insert_historical_data(
        ticker,
        [
            {
                "timestamp": at,
                **dict.fromkeys(("open", "high", "low", "close"), price),
                "volume": 1,
            }
            for at, price in closes.items()
        ],
    )


def decided(
    card: int, at: str, action: str = "hold", reason: str = "", bar: str | None = None
) -> None:
    verdict = "missing" if bar is None else "bar"
    decision_journal.record([JournalledDecision(card, at, bar, action, 0, reason, verdict, 1.0)])


def filled(card: int, at: str, side: str, shares: int, price: float) -> None:
    moment = clock.parse(at)
    order = order_journal.intend(card, "NVDA", side, shares, moment)
    assert order is not None
    order_journal.close_filled(order.client_order_id, shares, price, moment + timedelta(seconds=3))


def minute(number: int) -> str:
    return clock.stamp(clock.parse(OPEN) + number * MINUTE)


@pytest.fixture
def card() -> int:
    """A card that was asked in 205 of its 210 minutes, bought 10 and sold 4."""
    set_clock(BEFORE)
    number = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    set_clock(AFTER)
    stored("NVDA", {"2024-11-27T20:59:00Z": 99.0, minute(9): 100.0, minute(19): 110.0})
    stored("NVDA", {"2024-11-29T17:59:00Z": 120.0})
    for n in range(210):
        if n not in (30, 31, 32, 40, 41):
            decided(number, minute(n), bar=minute(9))
            cycle_journal.record(clock.parse(minute(n)), 100.0 if n == 209 else 1.0, 20.0)
    # Two were skipped, and nothing is known of three
    for n in (40, 41):
        decided(number, minute(n), "skipped", "skipped: the cycle before took too long")
    return number


def bought_and_sold(card: int) -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        connection.execute(
            "UPDATE decisions SET action = 'buy', bar = ? WHERE minute = ?", (minute(9), minute(10))
        )
        connection.execute(
            "UPDATE decisions SET action = 'sell', bar = ? WHERE minute = ?",
            (minute(19), minute(20)),
        )
    filled(card, minute(10), "buy", 10, 100.10)  # decided at 100.00: 1.00 worse
    filled(card, minute(20), "sell", 4, 110.05)  # decided at 110.00: 0.20 better
    refused = order_journal.intend(card, "NVDA", "buy", 1, clock.parse(minute(30)))
    assert refused is not None
    order_journal.close_unfilled(refused.client_order_id, "refused", "insufficient buying power")


def made() -> dict[str, Any]:
    assert daily_report.write_missing(clock.now()) == [DAY]
    found = daily_reports.find(DAY)
    assert found is not None
    return found


def test_every_minute_is_run_or_has_its_reason(card: int) -> None:
    found = made()
    assert found["minutes"] == {
        "due": 210,
        "run": 205,
        "missed": {"no trader was running": 3, "skipped: the cycle before took too long": 2},
    }
    assert found["card_minutes"] == {
        "due": 210,
        "decided": 205,
        "not_decided": {
            "skipped: the cycle before took too long": 2,
            "not on record: no trader was running": 3,
        },
    }
    assert found["late_ms"] == {"p50": 1.0, "p99": 1.0, "max": 100.0}


def test_a_card_is_due_only_while_it_runs(card: int) -> None:
    set_clock(minute(100))
    short = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 500)
    set_clock(minute(110))
    system_db_manager.stop_algorithm(short)
    for n in range(100, 110):
        decided(short, minute(n), "failed", "ZeroDivisionError", minute(9))
    set_clock(AFTER)
    found = made()
    assert found["minutes"]["due"] == 210
    assert found["card_minutes"]["due"] == 220
    assert found["card_minutes"]["not_decided"]["failed"] == 10


def test_orders_fills_and_slippage(card: int) -> None:
    bought_and_sold(card)
    found = made()
    assert found["orders"] == {"filled": 2, "refused": 1}
    assert found["fills"] == {
        "buy": {"number": 1, "shares": 10, "dollars": 1001.0},
        "sell": {"number": 1, "shares": 4, "dollars": 440.2},
    }
    # 1.00 - 0.20 on 1000.00 + 440.00 decided
    assert found["slippage"] == {"fills": 2, "dollars": 0.8, "basis_points": 5.56}


def test_profit_of_the_day_and_in_all(card: int) -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        system_db_manager.insert_transaction(
            connection, card, "buy", 5, 90.0, "2024-11-27T20:00:00Z"
        )
    bought_and_sold(card)
    pnl = made()["pnl"]
    # 11 shares at 120 = 1320; paid 450 + 1001 - 440.20 = 1010.80; before: 5 at 99 less 450 = 45
    assert (pnl["total"], pnl["today"]) == (309.2, 264.2)
    assert [(each["id"], each["shares"], each["today"]) for each in pnl["cards"]] == [
        (card, 11, 264.2)
    ]


def test_a_split_before_the_open_is_no_profit(card: int) -> None:
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        system_db_manager.insert_transaction(
            connection, card, "buy", 1, 900.0, "2024-11-27T20:00:00Z"
        )
    # Ten for one; the bars are split-adjusted since, so Wednesday's close is 99
    set_clock(minute(0))
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        labels.correct(connection, card, "sell", 1, 1000.0, labels.SPLIT, "10 for 1")
        labels.correct(connection, card, "buy", 10, 100.0, labels.SPLIT, "10 for 1")
    set_clock(AFTER)
    pnl = made()["pnl"]
    assert (pnl["total"], pnl["today"]) == (300.0, 210.0)  # 10 x 120 - 900, and 10 x (120 - 99)


def test_what_a_person_should_know_is_in_it(card: int) -> None:
    set_clock(minute(50))
    heartbeats.record_event("brake", "Lost 500.00 today", card)
    heartbeats.record_event("paused", "Traceback (most ...\n  File ...\nKeyError: 'clos'\n", card)
    heartbeats.record_event("restarted", "The trader was started again.")
    card_states.set_state(card, "frozen", "The broker holds 3 NVDA, the ledger 6.")
    set_clock(AFTER)
    found = made()
    assert [(event["kind"], event["message"]) for event in found["events"]] == [
        ("brake", f"Card {card} NVDA: Lost 500.00 today"),
        ("paused", f"Card {card} NVDA: KeyError: 'clos'"),
        ("restarted", "The trader was started again."),
    ]
    assert found["restarts"] == 1
    assert [each["reason"] for each in found["drift"]] == ["The broker holds 3 NVDA, the ledger 6."]
    assert found["memory_mb"] > 1
    assert found["databases"]["system"]["mb"] > 0


def test_a_report_is_made_once_and_only_of_sessions_that_ended(card: int) -> None:
    set_clock("2024-11-29T17:59:59Z")
    assert daily_report.write_missing(clock.now()) == []
    set_clock(AFTER)
    assert daily_report.write_missing(clock.now()) == [DAY]
    assert daily_report.write_missing(clock.now()) == []


def test_the_session_is_run_again(card: int) -> None:
    """Every minute was a hold on record; the shelf's crossover with three bars holds as well."""
    again = made()["replay"]
    [of_card] = again["cards"]
    assert (of_card["minutes"], of_card["minutes_equal"]) == (210, 205)
    causes = {each["cause"] for each in of_card["differences"]}
    assert "not on record: no trader was running" in causes
    assert "skipped: the cycle before took too long" in causes
    told = CliRunner().invoke(main, ["report", "2024-11-29"]).output
    assert "Replay         205 of 210 card-minutes equal, 0 fills; P&L" in told


def test_sessions_missed_while_the_machine_was_off_are_reported_as_missed(card: int) -> None:
    set_clock("2024-12-03T22:00:00Z")
    assert daily_report.write_missing(clock.now()) == [DAY, date(2024, 12, 2), date(2024, 12, 3)]
    found = daily_reports.find(date(2024, 12, 2))
    assert found is not None
    assert found["minutes"] == {
        "due": 390,
        "run": 0,
        "missed": {"no trader was running": 390},
    }


def test_bars_are_counted_by_their_verdict(card: int) -> None:
    counts = made()["bars"]
    session = calendar().session_on(DAY)
    assert session is not None
    assert counts["tickers"] == 1
    # insert_historical_data stores bars and answers for no minute between them
    assert (counts["bar"], counts["missing"]) == (3, 207)
    assert counts["delay_seconds"] == {"p50": None, "p99": None, "max": None}


def test_how_bars_came_is_told(card: int) -> None:
    minute = "2024-11-29T15:00:00Z"
    figures = dict.fromkeys(("open", "high", "low", "close"), 99.0)
    bar = {"timestamp": minute, **figures, "volume": 100}
    db_manager.insert_minute_bars([("NVDA", bar)], {minute: {"NVDA": 1250}})
    made()
    told = CliRunner().invoke(main, ["report", "2024-11-29"])
    assert "p50 1.2, p99 1.2, max 1.2 s after the minute; 0 bars fetched" in told.output


def test_the_command_prints_it_and_names_a_day_without_a_session(card: int) -> None:
    bought_and_sold(card)
    made()
    told = CliRunner().invoke(main, ["report", "2024-11-29"])
    assert told.exit_code == 0
    assert "205 of 210 run" in told.output
    assert "1 refused" in told.output
    answer = CliRunner().invoke(main, ["report", "--json"])
    assert json.loads(answer.output)["day"] == "2024-11-29"
    closed = CliRunner().invoke(main, ["report", "2024-11-28"])
    assert closed.exit_code == 1
    assert "no session on 2024-11-28" in closed.output


def test_the_ledger_is_written_with_lots_and_gains(card: int, tmp_path: Path) -> None:
    bought_and_sold(card)
    told = CliRunner().invoke(main, ["report", "--csv", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert "a gain of +$39.80" in told.output
    sales = (tmp_path / "out" / "sales.csv").read_text().splitlines()
    assert sales[1].startswith(f"{card},")
    assert ",4.0,110.05," in sales[1]
    lots = (tmp_path / "out" / "lots.csv").read_text().splitlines()
    assert lots[1].endswith(",6.0,100.1")
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert ledger["gain"] == 39.8
    assert [each["type"] for each in ledger["transactions"]] == ["buy", "sell"]


def test_what_is_written_after_the_close_is_of_that_day_too(
    card: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night's backup, say. The kernel's counter is a file, so another file can stand for it."""
    counter = tmp_path / "io"
    monkeypatch.setattr(wear, "COUNTED_BY", counter)
    counter.write_text("write_bytes: 3000000\n")
    counting = wear.Wear("orchestrator")
    counting.note()
    made()
    set_clock("2024-11-29T23:00:30Z")
    counter.write_text("write_bytes: 8000000\n")
    counting.note()
    assert daily_report.of_day(DAY)["written_mb"] == {"orchestrator": 8.0}
