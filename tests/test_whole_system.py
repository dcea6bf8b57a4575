"""The whole terminal as real processes: a recorded session traded, a crash survived, speed honestly kept."""

import csv
import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE
from system_databse import system_db_manager
from tests.conftest import RECORDED_BARS
from tests.processes import Terminal, running_terminal, until

SEGMENT = "AAPL_2024-01-02_2024-02-29"
DAY = "2024-01-02"
OPEN, END = f"{DAY}T14:30:00Z", f"{DAY}T17:48:00Z"  # as far as the second round trip
SPEED = 100
START_SECONDS = 25.0  # for the processes to be up before the open, on a busy machine too


def decisions(card: int) -> list[dict[str, Any]]:
    rows = system_db_manager.ledger().execute(
        "SELECT * FROM decisions WHERE algorithm_id = ? ORDER BY minute", (card,)
    )
    return [dict(row) for row in rows]


def expected_trades(bars: list[dict[str, Any]], capital: float) -> list[tuple[str, str, int, str]]:
    """Cross by cross in exact integers, straight from the definition: (bar, side, shares, price)."""
    cents = [round(float(bar["close"]) * 10_000) for bar in bars]
    cash, shares, trades = round(capital * 10_000), 0, []
    signs = [
        5 * sum(cents[t - 19 : t + 1]) - 2 * sum(cents[t - 49 : t + 1]) if t >= 49 else 0
        for t in range(len(cents))
    ]
    for t in range(50, len(cents)):
        if signs[t - 1] <= 0 < signs[t] and shares == 0:
            shares = cash // cents[t]
            cash -= shares * cents[t]
            trades.append((bars[t]["timestamp"], "buy", shares, str(bars[t]["close"])))
        elif signs[t - 1] >= 0 > signs[t] and shares > 0:
            trades.append((bars[t]["timestamp"], "sell", shares, str(bars[t]["close"])))
            cash, shares = cash + shares * cents[t], 0
    return trades


def served_bars(terminal: Terminal, ticker: str) -> list[dict[str, Any]]:
    """The session's bars as the exchange itself serves them."""
    path = f"/v2/stocks/bars?symbols={ticker}&timeframe=1Min&start={OPEN}&end={END}&limit=10000"
    found = terminal.exchange("GET", path)["bars"][ticker]
    return [{"timestamp": bar["t"], "close": bar["c"]} for bar in found]


@pytest.fixture
def recorded_day(tmp_path: Path) -> Path | None:
    """A folder with one recorded session of AAPL; None where there are no recordings: generated bars."""
    source = RECORDED_BARS / "AAPL" / f"{DAY}.csv"
    if not source.exists():
        return None
    folder = tmp_path / "bars"
    (folder / "AAPL").mkdir(parents=True)
    shutil.copy(source, folder / "AAPL")
    return folder


def test_a_session_is_traded_as_the_oracle_says(tmp_path: Path, recorded_day: Path | None) -> None:
    with running_terminal(
        tmp_path,
        MARKET_CLOCK_START=f"{DAY}T14:29:00Z",
        MARKET_CLOCK_SPEED=SPEED,
        MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp() + START_SECONDS,
        MARKET_CLOCK_SKIP_CLOSED=False,
        SIMULATOR_BARS=recorded_day or "",
    ) as terminal:
        card = terminal.add_card("AAPL", capital=10_000)
        assert card["created_at"] < OPEN, "the processes were not up before the open"
        terminal.wait_for(lambda: clock.stamp() >= END, 240, "the second round trip is over")
        terminal.wait_for(
            lambda: minutes_of(card["id"])[-1] >= END, 10, "its last minute was asked"
        )
        bars = served_bars(terminal, "AAPL")
        check_every_minute_was_asked(card["id"])
        check_trades(card["id"], bars, recorded_day)
        check_ledger_equals_broker(terminal, card["id"])
        check_profit(terminal, card["id"], bars)
        check_subscriptions_are_shared(terminal, card["id"])


def minutes_of(card: int) -> list[str]:
    return [row["minute"] for row in decisions(card)] or [""]


def check_every_minute_was_asked(card: int) -> None:
    """Each open minute once, none skipped, each on the bar that had just ended."""
    rows = [row for row in decisions(card) if row["minute"] <= END]
    first, last = clock.parse(OPEN), clock.parse(END)
    expected = [clock.stamp(first + n * MINUTE) for n in range((last - first) // MINUTE + 1)]
    assert [row["minute"] for row in rows] == expected
    assert {row["action"] for row in rows} == {"buy", "sell", "hold"}
    for row in rows[1:]:  # the session's first minute has no bar before it
        assert row["bar"] == clock.stamp(clock.parse(row["minute"]) - MINUTE)
        assert row["verdict"] == "bar"


def check_trades(card: int, bars: list[dict[str, Any]], recorded_day: Path | None) -> None:
    until_end = [bar for bar in bars if bar["timestamp"] < END]
    expected = expected_trades(until_end, 10_000)
    made = {row["bar"]: row for row in decisions(card) if row["action"] in ("buy", "sell")}
    transactions = list(reversed(system_db_manager.get_transactions(card)))
    traded = [
        (bar, row["action"], row["shares"], str(transaction["price"]))
        for (bar, row), transaction in zip(sorted(made.items()), transactions, strict=True)
        if bar < END
    ]
    assert traded == expected
    if recorded_day is not None:
        oracle = json.loads((RECORDED_BARS / "oracle_public.json").read_text())
        segment = next(s for s in oracle["segments"] if s["segment"] == SEGMENT)
        assert [(bar, side, shares, float(price)) for bar, side, shares, price in traded] == [
            (t["timestamp"], t["type"], t["shares"], float(t["price"]))
            for t in segment["pnl"]["trades"]
            if t["timestamp"] < END
        ]
        assert len(traded) == 4
    for row, transaction in zip(made.values(), transactions, strict=True):
        filled = datetime.fromisoformat(transaction["timestamp"])
        assert timedelta(0) <= filled - clock.parse(row["minute"]) < MINUTE


def check_ledger_equals_broker(terminal: Terminal, card: int) -> None:
    """Each transaction is a fill in the exchange's own account, and there is no other."""
    orders = terminal.exchange("GET", "/v2/orders?status=all&limit=500&direction=asc")
    fills = [
        (o["side"], int(o["filled_qty"]), float(o["filled_avg_price"]), o["filled_at"][:19] + "Z")
        for o in orders
    ]
    recorded = [
        (row["type"], row["shares"], row["price"], row["timestamp"])
        for row in reversed(system_db_manager.get_transactions(card))
    ]
    assert recorded == fills


def check_profit(terminal: Terminal, card: int, bars: list[dict[str, Any]]) -> None:
    shown = terminal.card(card)
    shares, cash = 0, 10_000.0
    for row in system_db_manager.get_transactions(card):
        signed = row["shares"] if row["type"] == "buy" else -row["shares"]
        shares, cash = shares + signed, cash - signed * row["price"]
    closes = {bar["timestamp"]: bar["close"] for bar in served_bars_at(terminal, shown)}
    expected = shares * closes[shown["last_bar_at"]] + cash - 10_000
    assert shown["pnl"] == pytest.approx(expected, abs=0.005)
    assert (shown["current_shares"], shown["trade_count"]) == (
        shares,
        len(system_db_manager.get_transactions(card)),
    )


def served_bars_at(terminal: Terminal, shown: dict[str, Any]) -> list[dict[str, Any]]:
    at = shown["last_bar_at"]
    path = f"/v2/stocks/bars?symbols={shown['ticker']}&timeframe=1Min&start={at}&end={at}"
    found = terminal.exchange("GET", path)["bars"][shown["ticker"]]
    return [{"timestamp": bar["t"], "close": bar["c"]} for bar in found]


def check_subscriptions_are_shared(terminal: Terminal, first: int) -> None:
    """One ticker, one subscription: for a second card none is added, the last stop drops it."""

    def changes() -> list[tuple[list[str], list[str]]]:
        log = terminal.exchange("GET", "/_subscriptions")["log"]
        return [(e["added"], e["removed"]) for e in log if e["added"] or e["removed"]]

    assert terminal.subscribed() == ["AAPL"]
    before = changes()
    second = terminal.add_card("AAPL", capital=5_000)["id"]
    terminal.wait_for(lambda: len(decisions(second)) >= 2, what="the second card is asked")
    assert changes() == before
    terminal.stop_card(first)
    asked = len(decisions(second))
    terminal.wait_for(lambda: len(decisions(second)) >= asked + 2, what="the second goes on")
    assert changes() == before
    assert terminal.subscribed() == ["AAPL"]
    terminal.stop_card(second)
    terminal.wait_for(lambda: terminal.subscribed() == [], what="the subscription is dropped")


EAGER = """
import system_db_manager

class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        held = sum(t["shares"] * (1 if t["type"] == "buy" else -1)
                   for t in system_db_manager.get_transactions(algo_id))
        return ("sell", held) if held else ("buy", 3)
"""


@pytest.fixture
def eager(tmp_path: Path, configure: Any) -> None:
    """An algorithm that trades in every minute."""
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "eager.py").write_text(EAGER)
    configure(ALGORITHMS_DIR=folder)


def test_killed_in_mid_session_it_resumes_and_trades_nothing_twice(
    tmp_path: Path, eager: None
) -> None:
    with running_terminal(tmp_path, MARKET_CLOCK_START="2024-06-04T13:29:00Z") as terminal:
        cards = [terminal.add_card(t, "eager", 10_000)["id"] for t in ("AAPL", "NVDA", "AAPL")]
        for _ in range(4):
            asked = len(decisions(cards[0]))
            terminal.wait_for(lambda n=asked: len(decisions(cards[0])) >= n + 3)
            terminal.kill("orchestrator")
            back = clock.now() + 2 * MINUTE  # one of them passes whole without a trader
            terminal.wait_for(lambda at=back: clock.now() >= at)
            terminal.start("orchestrator")
        asked = len(decisions(cards[0]))
        terminal.wait_for(lambda: len(decisions(cards[0])) >= asked + 3)
        assert terminal.subscribed() == ["AAPL", "NVDA"]
        terminal.stop("orchestrator")
        terminal.start("orchestrator")  # settles whatever the last kill left open
        terminal.stop("orchestrator")
        check_nothing_was_lost_or_doubled(terminal, cards)
        check_every_minute_is_on_record(cards)


def check_every_minute_is_on_record(cards: list[int]) -> None:
    """Each open minute of each card has its row, or lies between the ends of a downtime's event."""
    messages = system_db_manager.ledger().execute(
        "SELECT message FROM events WHERE kind = 'downtime'"
    )
    downtimes = [re.findall(r"[\d-]{10}T[\d:]{8}Z", row["message"]) for row in messages]
    assert len(downtimes) >= 4
    assert all(len(ends) == 2 for ends in downtimes)
    for card in cards:
        on_record = {row["minute"] for row in decisions(card)}
        minute, last = clock.parse(min(on_record)), clock.parse(max(on_record))
        while minute < last:
            stamp = clock.stamp(minute)
            assert stamp in on_record or any(a <= stamp <= b for a, b in downtimes), (card, stamp)
            minute += MINUTE


def check_nothing_was_lost_or_doubled(terminal: Terminal, cards: list[int]) -> None:
    orders = terminal.exchange("GET", "/v2/orders?status=all&limit=500")
    at_broker = sorted(
        (o["side"], int(o["filled_qty"]), float(o["filled_avg_price"]))
        for o in orders
        if int(o["filled_qty"])
    )
    recorded = sorted(
        (row["type"], row["shares"], row["price"])
        for card in cards
        for row in system_db_manager.get_transactions(card)
    )
    assert recorded == at_broker
    assert len({o["client_order_id"] for o in orders}) == len(orders)
    held: dict[str, int] = {}
    for card in terminal.cards("all"):
        held[card["ticker"]] = held.get(card["ticker"], 0) + card["current_shares"]
    positions = {p["symbol"]: int(p["qty"]) for p in terminal.exchange("GET", "/v2/positions")}
    assert {ticker: shares for ticker, shares in held.items() if shares} == positions


def test_minutes_too_short_for_a_cycle_are_on_record_as_skipped(
    tmp_path: Path, eager: None
) -> None:
    """At 6000x a minute lasts 10 ms: each card has one row for each open minute all the same."""
    day = "2024-06-04"
    with running_terminal(
        tmp_path,
        MARKET_CLOCK_START=f"{day}T13:29:00Z",
        MARKET_CLOCK_SPEED=6000,
        # No longer: at this speed the session before it has ended 11 s earlier
        MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp() + START_SECONDS / 2,
        MARKET_CLOCK_SKIP_CLOSED=False,
    ) as terminal:
        card = terminal.add_card("AAPL", "eager", 10_000)
        assert card["created_at"] < f"{day}T13:30:00Z"
        until(lambda: clock.stamp() > f"{day}T20:30:00Z", 60, terminal.log)
        terminal.stop("orchestrator")
        rows = decisions(card["id"])
        ledger = system_db_manager.ledger()
        found = ledger.execute("SELECT message FROM events WHERE kind = 'downtime'").fetchall()
    downtime = [row[0] for row in found]
    opening = clock.parse(f"{day}T13:30:00Z")
    asked = [row["minute"] for row in rows if row["action"] != "skipped"]
    on_record = {row["minute"] for row in rows}
    expected = {clock.stamp(opening + n * MINUTE) for n in range(390)}
    first = min(on_record)
    assert on_record == {minute for minute in expected if minute >= first}
    if clock.parse(first) > opening:
        assert any(f" to {clock.stamp(clock.parse(first) - MINUTE)} " in told for told in downtime)
    assert 0 < len(asked) < 390
    assert all(row["reason"].startswith("skipped: ") for row in rows if row["action"] == "skipped")


def test_recorded_files_are_what_the_reader_above_takes_them_for(recorded_bars: Path) -> None:
    with (recorded_bars / "AAPL" / f"{DAY}.csv").open() as file:
        bars = list(csv.DictReader(file))
    assert expected_trades(bars, 10_000)[0] == (f"{DAY}T16:08:00Z", "buy", 53, "186.36")
