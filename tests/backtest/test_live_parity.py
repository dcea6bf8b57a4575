"""The same session live and in the past: real processes trade it, then it is run again."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from database import db_manager
from orchestra.backtest.engine import Decided
from orchestra.backtest.fills import FillRule
from orchestra.backtest.play import Past, Wishes, play
from orchestra.backtest.replay import CardReplay
from orchestra.backtest.replay_command import cards_of, report_of, session_of
from orchestra.backtest.schedule import in_each_minute
from orchestra.base import clock, sqlite
from orchestra.subject import Subject
from system_databse import card_calculations, card_days, card_parameters, system_db_manager
from tests.backtest.conftest import shelf
from tests.processes import running_terminal

DAY = "2024-06-04"
OPENING, LAST = f"{DAY}T13:30:00Z", f"{DAY}T19:59:00Z"
TOO_LATE = "dropped: the minute was over before it could be sent"
# All five trade often with these, also within an hour
CHOSEN: dict[str, dict[str, float]] = {
    "buy_and_hold": {"invest": 60},
    "sma_crossover": {"short": 3, "long": 7},
    "rsi_reversion": {"period": 5, "low": 45, "high": 55},
    "breakout_channel": {"entry": 6, "exit": 3},
    "lot_by_lot": {"lots": 6, "step": 0.02, "gain": 0.02},
}
TICKERS = ("AAPL", "MSFT", "NVDA", "SPY", "QQQ")


def add_cards() -> dict[int, Subject]:
    cards = {}
    for ticker, (name, chosen) in zip(TICKERS, CHOSEN.items(), strict=True):
        card = system_db_manager.create_algorithm(ticker, name, 10_000)
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            card_parameters.insert(connection, card, chosen)
        cards[card] = Subject(shelf(name), ticker, 10_000.0, dict(chosen))
    return cards


def again(
    subject: Subject, fill: FillRule, minutes: set[str]
) -> tuple[list[Decided], list[tuple[Any, ...]]]:
    """These minutes of the day once more, with the card's own fills, straight through the engine."""
    session = session_of(date.fromisoformat(DAY))
    begin = "2024-05-01T00:00:00Z"
    bars = db_manager.get_historical_data(subject.ticker, begin, f"{DAY}T20:00:00Z")
    rows = [tuple(bar.values()) for bar in bars]
    journal: list[Decided] = []
    run = play(
        subject,
        Past(rows, begin, lambda ticker: []),
        lambda: (
            (asking for asking in each if f"{asking[1][:17]}00Z" in minutes)
            for each in in_each_minute([session])
        ),
        Wishes(fill=fill, journal=journal),
    )
    return journal, [(trade.type, trade.shares, trade.price) for trade in run.trades]


@pytest.mark.parametrize(
    ("fill", "minutes", "speed"),
    [
        ("close", 24, 50),
        pytest.param("close", 390, 60, marks=pytest.mark.long),
        pytest.param("open", 390, 60, marks=pytest.mark.long),
    ],
)
def test_the_past_comes_out_as_it_was_lived(
    tmp_path: Path, fill: str, minutes: int, speed: int
) -> None:
    """Decisions minute by minute, fills and P&L, of every shipped algorithm."""
    with running_terminal(
        tmp_path,
        ("exchange",),
        ALPACA_DATA_URL="",
        MARKET_CLOCK_START=f"{DAY}T13:25:00Z",
        MARKET_CLOCK_SPEED=speed,
        MARKET_CLOCK_ANCHOR=clock.machine_now().timestamp() + 5,
        MARKET_CLOCK_SKIP_CLOSED=False,
        SIMULATOR_FILL=fill,
        SIMULATOR_SLIPPAGE_BPS=3,
    ) as terminal:
        cards = add_cards()
        terminal.start("orchestrator")
        terminal.wait_for(
            lambda: all(len(lived(card)) >= minutes or lived(card, LAST) for card in cards),
            minutes * 60 / speed + 60,
            "every card was asked often enough",
        )
        terminal.stop("orchestrator")
        for card, subject in cards.items():
            check_again(card, subject, FillRule(fill, 3), 0.8 * minutes)
        check_report(len(cards))


def lived(card: int, since: str = OPENING) -> list[dict[str, Any]]:
    """The minutes in which a card was asked; one that the machine was too slow for is not among them.

    It is too slow as well where an order could not be sent within its minute: it is dropped, with the reason.
    """
    return [
        row
        for row in card_days.decisions(card, since, LAST)
        if row["action"] != "skipped" and TOO_LATE not in row["reason"]
    ]


def check_again(card: int, subject: Subject, fill: FillRule, least: float) -> None:
    live = lived(card)
    assert len(live) >= least
    journal, trades = again(subject, fill, {row["minute"] for row in live})
    assert [(d.moment[:17], d.bar, d.action, d.shares) for d in journal] == [
        (row["minute"][:17], row["bar"], row["action"], row["shares"]) for row in live
    ]
    made = [
        (row["type"], row["shares"], row["price"])
        for row in reversed(system_db_manager.get_transactions(card))
    ]
    assert trades == made
    assert len(trades) >= (1 if subject.path.stem == "buy_and_hold" else 3)
    close = journal[-1].bar
    assert close is not None
    [bar] = db_manager.get_historical_data(subject.ticker, close, close)
    value = card_calculations.calculate_current_value(card, bar["close"], subject.capital)
    cash = subject.capital - sum(n * p * (1 if k == "buy" else -1) for k, n, p in trades)
    held = sum(n if k == "buy" else -n for k, n, _ in trades)
    assert round(value, 2) == round(cash + held * bar["close"], 2)


def check_report(count: int) -> None:
    """replay says the same, from the journals alone."""
    session = session_of(date.fromisoformat(DAY))
    report = report_of(session, [CardReplay(card, session).run() for card in cards_of(session)])
    assert len(report["cards"]) == count
    for card in report["cards"]:
        causes = {each["cause"] for each in card["differences"]}
        assert causes <= {"skipped: the cycle before took too long"}
        unfilled = [each["cause"] for each in card["fill_differences"]]
        assert all(TOO_LATE in cause for cause in unfilled)
        assert (
            card["minutes_equal"] + sum(each["minutes"] for each in card["differences"])
            == (card["minutes"])
        )
        if not causes and not unfilled:
            assert card["equal"]
            assert round(card["pnl_live"], 2) == round(card["pnl_again"], 2)
    assert report["explained"]
    assert sum(card["fills"] for card in report["cards"]) > 10
