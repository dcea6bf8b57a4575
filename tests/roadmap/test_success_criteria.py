"""The roadmap's "Success Criteria", one test each."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from algorithms.sma_crossover import Algorithm
from database import db_manager
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, nyse
from orchestra.simulator import Exchange
from orchestra.trading_loop import run_all_algorithms
from orchestra.websocket_manager import WebSocketManager
from system_databse import card_calculations, system_db_manager
from tests.exchange_fixture import OPEN_MARKET, set_clock
from tests.frontend.wire import CLOSED_MARKET, FakeApi
from tests.frontend.wire import OPEN_MARKET as OPEN_WIRE
from tests.processes import Terminal, running_terminal, until
from tests.wall import Wall, in_front_of
from tests.web.conftest import close_logs, new_api

CYCLE = re.compile(r"cycle started at (\d{4}-\d\d-\d\d \d\d:\d\d):(\d\d)(?:\.\d+)?\+00:00")
TRADERS = ("exchange", "orchestrator")


def decided(card: int) -> list[str]:
    """The minutes in which a card was asked, oldest first."""
    rows = system_db_manager.ledger().execute(
        "SELECT minute FROM decisions WHERE algorithm_id = ? ORDER BY minute", (card,)
    )
    return [row["minute"] for row in rows]


def open_minutes(first: str, last: str) -> list[str]:
    """Every open minute from ``first`` to ``last``, both of them open ones."""
    calendar = nyse()
    numbers = [calendar.minute_number(clock.parse(stamp)) for stamp in (first, last)]
    return [clock.stamp(calendar.minute_at(n)) for n in range(numbers[0], numbers[1] + 1)]


def assert_ledger_equals_broker(terminal: Terminal) -> None:
    """Each transaction is an order that the exchange has filled, and none is missing."""
    rows = system_db_manager.ledger().execute(
        "SELECT type, shares, price FROM transactions ORDER BY type, shares, price"
    )
    filled, after = [], ""
    page = "/v2/orders?status=all&limit=500&direction=asc"
    while orders := terminal.exchange("GET", page + after):
        after = f"&after={orders[-1]['submitted_at']}"
        filled += [
            (order["side"], int(order["filled_qty"]), float(order["filled_avg_price"]))
            for order in orders
            if order["filled_avg_price"] is not None
        ]
    assert [tuple(row) for row in rows] == sorted(filled)


def test_orchestrator_consistently_runs_algorithms_2_3_seconds_after_the_top_of_each_minute(
    tmp_path: Path,
) -> None:
    """Timing Success: Orchestrator consistently runs algorithms 2-3 seconds after the top of each minute
    during market hours."""
    cards = [
        system_db_manager.create_algorithm(ticker, "sma_crossover", 10_000)
        for ticker in ("AAPL", "NVDA", "SPY")
    ]
    in_the_morning = {"MARKET_CLOCK_START": OPEN_MARKET, "MARKET_CLOCK_SPEED": 40}
    with running_terminal(tmp_path, TRADERS, **in_the_morning) as terminal:
        terminal.wait_for(lambda: len(decided(cards[0])) >= 6, what="six minutes were decided")
        terminal.stop("orchestrator")
        starts = CYCLE.findall(terminal.log())
        minutes = [f"{minute.replace(' ', 'T')}:00Z" for minute, _ in starts]
        assert minutes == open_minutes(minutes[0], minutes[-1])  # each once, and none left out
        # None before its time; the first one is whenever the process was ready
        assert all(int(second) >= 2 for _, second in starts[1:])
        planned = re.findall(r"Sleeping for .* until \S+ \d\d:\d\d:(\S+)", terminal.log())
        assert planned and set(planned) == {"02+00:00"}
        for card in cards:
            assert decided(card) == open_minutes(decided(card)[0], decided(card)[-1])


def test_trades_execute_correctly(exchange: Exchange, algorithms: Path) -> None:
    """Trades execute correctly"""
    card = system_db_manager.create_algorithm("AAPL", "round_trip", 10_000)
    run_all_algorithms()
    set_clock("2024-06-04T14:31:05Z")
    run_all_algorithms()
    close_logs()
    sold, bought = system_db_manager.get_transactions(card)
    assert (bought["type"], bought["shares"], bought["price"]) == ("buy", 5, 211.54)
    assert (sold["type"], sold["shares"]) == ("sell", 5)
    orders = exchange.account.orders(None, "", "9", newest_first=False)
    fills = [
        (order.side, int(order.filled_qty), float(order.filled_avg_price or 0)) for order in orders
    ]
    assert fills == [("buy", 5, 211.54), ("sell", 5, sold["price"])]
    assert sold["price"] == db_manager.get_latest_price("AAPL")
    assert exchange.account.positions() == []
    assert float(exchange.account.cash()) == round(100_000 - 5 * 211.54 + 5 * sold["price"], 2)


def test_pnl_calculations_match_expected_values_current_value_minus_initial_allocation() -> None:
    """P&L calculations match expected values (current value - initial allocation)"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    system_db_manager.record_buy(card, 100, 150.50)
    system_db_manager.record_buy(card, 50, 145.25)
    system_db_manager.record_sell(card, 25, 155.75)
    shown = card_calculations.get_algorithm_with_calculations(card, 152.00)
    assert shown is not None
    assert (shown["current_shares"], shown["trade_count"]) == (125, 3)
    assert (shown["current_value"], shown["pnl"]) == (10581.25, 581.25)  # the roadmap's own example


def test_available_cash_for_new_algorithms_is_alpaca_cash_minus_sum_of_allocations(
    exchange: Exchange,
) -> None:
    """Available cash for new algorithms = Alpaca cash - sum of allocations"""
    api = new_api()
    api.enter_pin()
    for capital in (30_000, 20_000.25):
        api.added(initial_capital=capital)
    assert api.read("/api/account/cash")["available"] == 49999.75
    assert api.add(initial_capital=49_999.76).status_code == 409
    assert api.add(initial_capital=49_999.75).status_code == 201
    assert api.read("/api/account/cash")["available"] == 0.0
    close_logs()


@pytest.fixture
def manager(exchange: Exchange) -> Iterator[WebSocketManager]:
    started = WebSocketManager()
    yield started
    started.stop()


def cards_on(*tickers: str) -> list[dict[str, object]]:
    return [{"id": number, "ticker": ticker} for number, ticker in enumerate(tickers, 1)]


def streamed(exchange: Exchange, *tickers: str) -> None:
    """Wait until exactly these tickers' bars are streamed."""
    wanted = sorted(tickers)
    until(lambda: exchange.stream.subscriptions()["current"] == wanted, what=f"streamed {wanted}")


def test_websockets_open_and_close_intelligently_based_on_algorithm_needs(
    exchange: Exchange, manager: WebSocketManager
) -> None:
    """WebSockets open/close intelligently based on algorithm needs"""
    assert exchange.stream.subscriptions()["connections"] == 0  # no card, no connection
    manager.update_subscriptions(cards_on("AAPL"))
    streamed(exchange, "AAPL")
    manager.update_subscriptions(cards_on("AAPL", "NVDA"))
    streamed(exchange, "AAPL", "NVDA")
    manager.update_subscriptions(cards_on("NVDA"))
    streamed(exchange, "NVDA")
    manager.update_subscriptions([])
    until(lambda: exchange.stream.subscriptions()["connections"] == 0, what="no connection")


def test_websockets_automatically_restore_after_system_restart(tmp_path: Path) -> None:
    """WebSockets automatically restore after system restart"""
    for ticker in ("AAPL", "NVDA", "AAPL"):
        system_db_manager.create_algorithm(ticker, "sma_crossover", 10_000)
    with running_terminal(tmp_path, TRADERS, MARKET_CLOCK_START=OPEN_MARKET) as terminal:
        both = ["AAPL", "NVDA"]
        terminal.wait_for(lambda: terminal.subscribed() == both, what="both are streamed")
        terminal.kill("orchestrator")
        terminal.wait_for(lambda: terminal.subscribed() == [], what="nothing is streamed")
        terminal.start("orchestrator")
        terminal.wait_for(lambda: terminal.subscribed() == both, what="both are streamed again")


def test_multiple_algorithms_can_share_same_ticker_websocket(
    exchange: Exchange, manager: WebSocketManager
) -> None:
    """Multiple algorithms can share same ticker WebSocket"""
    manager.update_subscriptions(cards_on("AAPL", "AAPL", "AAPL"))
    streamed(exchange, "AAPL")
    assert manager.active_tickers == {"AAPL": 3}
    manager.update_subscriptions(cards_on("AAPL", "AAPL"))
    assert manager.active_tickers == {"AAPL": 2}
    manager.update_subscriptions(cards_on("AAPL"))
    found = exchange.stream.subscriptions()
    assert (found["connections"], found["current"]) == (1, ["AAPL"])
    assert [event["added"] for event in found["log"] if event["added"]] == [["AAPL"]]


def test_algorithms_fetch_their_own_data_with_auto_download_if_missing(exchange: Exchange) -> None:
    """Algorithms fetch their own data with auto-download if missing"""
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)
    session = ("2024-06-04T13:30:00Z", OPEN_MARKET)
    assert db_manager.count_bars("NVDA", *session) == 0
    _, _, reason = Algorithm("NVDA", 10_000).run(clock.stamp(), card)
    assert "of 51 bars" not in reason
    assert db_manager.count_bars("NVDA", *session) == 60  # 09:30 to 10:29


def test_database_has_correct_market_hours_390_bars_per_day(exchange: Exchange) -> None:
    """Database has correct market hours (390 bars per day)"""
    day = {"start": "2024-06-03T00:00:00Z", "end": "2024-06-03T23:59:00Z"}
    bars = db_manager.get_data_for_algorithm("AAPL", "time_range", **day)
    stamps = [bar["timestamp"] for bar in bars]
    assert len(stamps) == 390
    assert (stamps[0], stamps[-1]) == ("2024-06-03T13:30:00Z", "2024-06-03T19:59:00Z")
    four_pm = "2024-06-03T20:00:00Z"
    assert db_manager.insert_minute_data("AAPL", four_pm, 1, 1, 1, 1, 1) == 0


def test_survives_raspberry_pi_restart(tmp_path: Path, algorithms: Path) -> None:
    """Survives Raspberry Pi restart"""
    everything = ("exchange", "api", "orchestrator")
    with running_terminal(tmp_path, MARKET_CLOCK_START=OPEN_MARKET) as terminal:
        card = terminal.add_card("AAPL", "one_share")["id"]
        terminal.wait_for(lambda: terminal.card(card)["current_shares"] == 1, what="it has bought")
        terminal.kill(*everything)  # as when the plug is pulled
        before = decided(card)
        terminal.start("exchange")
        terminal.start("api", "orchestrator")
        terminal.wait_for(lambda: len(decided(card)) > len(before) + 1, what="it goes on")
        (shown,) = terminal.cards()
        assert (shown["current_shares"], shown["trade_count"]) == (1, 1)  # and not bought again
        assert terminal.subscribed() == ["AAPL"]
        assert_ledger_equals_broker(terminal)
        assert decided(card)[: len(before)] == before


def run_unattended(tmp_path: Path, start: str, close: str, last: str) -> None:
    """Run two cards from ``start`` over a ``close`` to the minute ``last``: each minute is decided."""
    cards = [
        system_db_manager.create_algorithm(ticker, algorithm, 10_000)
        for ticker, algorithm in (("AAPL", "round_trip"), ("NVDA", "one_share"))
    ]
    with running_terminal(tmp_path, TRADERS, MARKET_CLOCK_START=start) as terminal:
        process = terminal.orchestrator
        end = clock.due(clock.parse(last) + 2 * MINUTE) - clock.elapsed()
        terminal.wait_for(lambda: max(decided(cards[0]), default="") >= last, end + 60, last)
        terminal.stop("orchestrator")
        assert terminal.orchestrator is process
        for card in cards:
            minutes = decided(card)
            assert minutes[0] < close, "the processes took too long to start"
            assert minutes == open_minutes(minutes[0], minutes[-1])
        rows = system_db_manager.ledger().execute("SELECT DISTINCT action FROM decisions")
        assert {row["action"] for row in rows} <= {"buy", "sell", "hold"}  # none skipped or failed
        assert_ledger_equals_broker(terminal)
        assert " ERROR " not in terminal.log() and "Traceback" not in terminal.log()


def test_runs_30_days_without_intervention(tmp_path: Path, algorithms: Path) -> None:
    """Runs 30 days without intervention (here: the end of a Friday and the Monday after it)"""
    start, close = "2024-06-28T19:53:00Z", "2024-06-28T20:00:00Z"
    run_unattended(tmp_path, start, close, "2024-07-01T13:32:00Z")


@pytest.mark.long
def test_runs_30_days_without_intervention_over_whole_sessions(
    tmp_path: Path, algorithms: Path
) -> None:
    """Runs 30 days without intervention (the long form: a half day, a holiday and a whole session)"""
    start, close = "2024-07-03T13:25:00Z", "2024-07-03T17:00:00Z"
    run_unattended(tmp_path, start, close, "2024-07-05T19:59:00Z")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the real server serves the page; no answer of its API is used here."""
    with running_terminal(tmp_path, ("api",)) as terminal:
        yield terminal.api_url


def test_dashboard_updates_every_30_seconds_during_market_hours(address: str) -> None:
    """Dashboard updates every 30 seconds during market hours"""
    api = FakeApi()

    def story(wall: Wall) -> None:
        for polls in range(2, 6):
            wall.pass_seconds(29)
            assert api.polls == polls - 1
            wall.pass_seconds(1)
            assert api.polls == polls

    in_front_of(address, story, api, frozen_at="2024-01-02T15:42:05Z")


def test_frontend_polling_adjusts_based_on_market_status_flag(address: str) -> None:
    """Frontend polling adjusts based on market status flag"""
    api = FakeApi()
    api.market_open, api.market = False, CLOSED_MARKET

    def story(wall: Wall) -> None:
        wall.pass_seconds(3590)
        assert api.polls == 1
        api.market_open, api.market = True, OPEN_WIRE
        wall.pass_seconds(10)  # 60 minutes: it hears that the market is open
        assert api.polls == 2
        wall.pass_seconds(30)
        assert api.polls == 3
        expect(wall.find("[data-market]")).to_contain_text("OPEN")

    in_front_of(address, story, api, frozen_at="2024-01-05T21:30:00Z")
