"""A start beside an exchange that brings no history: no minute is used up by asking for each ticker."""

from pathlib import Path

from database import db_manager
from system_databse import system_db_manager
from tests.processes import running_terminal

OPEN_MARKET = "2024-06-04T14:30:00Z"
BEFORE_THE_STOP = "2024-06-04T14:10:00Z"
TICKERS = ("AAPL", "MSFT", "NVDA", "SPY")
FIGURES = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 1000}


def test_cards_are_asked_after_one_vain_question_and_not_after_one_for_each_ticker(
    tmp_path: Path,
) -> None:
    settings = {"MARKET_CLOCK_START": OPEN_MARKET, "MARKET_CLOCK_SPEED": 1}
    with running_terminal(tmp_path, ("exchange", "api"), **settings) as terminal:
        for ticker in TICKERS:  # each was followed before, so that each has a hole to be closed
            terminal.add_card(ticker)
            db_manager.insert_historical_data(ticker, [{"timestamp": BEFORE_THE_STOP, **FIGURES}])
        terminal.misbehave("500", path="/v2/stocks")  # hanging, each question would take seconds
        terminal.start("orchestrator")
        terminal.wait_for(asked, what="the first minute's decisions")
        assert terminal.log().count("ERROR autotrader.orchestrator: The history of") == 1


def asked() -> bool:
    found = system_db_manager.ledger().execute("SELECT COUNT(*) FROM decisions").fetchone()
    return int(found[0]) == len(TICKERS)
