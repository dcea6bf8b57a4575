"""A card as the page shows it: the ledger's figures at the newest price, and how far to trust them."""

from datetime import datetime
from typing import Any

from database import db_manager
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, Session, nyse
from system_databse import card_calculations, card_states, decision_journal, system_db_manager
from system_databse.card_calculations import CardSums, value_of, with_calculations

SPARK_STEP = 5  # minutes between two points of the sparkline: at most 78 in a session
STALE_AFTER = 3  # open minutes of which nothing is known

Card = dict[str, Any]
Bar = dict[str, Any]


def cards(status: str | None = None) -> list[Card]:
    """Return the cards: by default running ones and stopped ones that still hold shares.

    ``status`` is None, ``running``, ``stopped`` or ``all``.
    """
    sums = card_calculations.all_card_sums()
    rows = system_db_manager.get_all_algorithms(None if status in (None, "all") else status)
    if status is None:
        rows = [row for row in rows if row["status"] == "running" or _holds(sums, row["id"])]
    return _complete(rows, sums)


def card(algo_id: int) -> Card | None:
    """Return one card, None where there is no such card."""
    row = system_db_manager.get_algorithm(algo_id)
    if row is None:
        return None
    return _complete([row], {algo_id: card_calculations.card_sums(algo_id)})[0]


def _complete(rows: list[Card], sums: dict[int, CardSums]) -> list[Card]:
    states = card_states.all_states()
    decisions = decision_journal.last_decisions([row["id"] for row in rows])
    now = clock.now()
    session = nyse().latest_session(now)
    tickers = {ticker: _Ticker(ticker, session) for ticker in {row["ticker"] for row in rows}}
    today = _transactions_since(session)
    completed = []
    for row in rows:
        algo_id, of_card = row["id"], sums.get(row["id"], CardSums())
        ticker = tickers[row["ticker"]]
        state = states.get(algo_id)
        price, stale = _price(row, of_card, ticker)
        shown = with_calculations(row, of_card, price)
        day = _Day(row, of_card, ticker, today.get(algo_id, []), session)
        completed.append(
            {
                **shown,
                "cash": round(row["initial_capital"] - of_card.invested, 6),
                "invested": of_card.invested,
                "today_pnl": round(shown["current_value"] - day.value_before(), 6),
                "last_bar_at": ticker.newest["timestamp"] if ticker.newest else None,
                "price_stale": stale,
                "state": state.state if state else row["status"],
                "state_reason": state.reason if state else "",
                "last_decision": decisions.get(algo_id),
                "spark": day.spark(),
            }
        )
    return completed


class _Ticker:
    """What is known of one ticker today."""

    def __init__(self, ticker: str, session: Session | None) -> None:
        self.newest = db_manager.newest_bar(ticker)
        self.bars: list[Bar] = []
        self.before: Bar | None = None
        if session is not None:
            opening, closing = clock.stamp(session.open), clock.stamp(session.close)
            self.bars = db_manager.get_historical_data(ticker, opening, closing)
            self.before = db_manager.newest_bar(ticker, opening)
        self.unknown_minutes = self._unknown_minutes(ticker)

    def _unknown_minutes(self, ticker: str) -> int:
        """How many open minutes since the newest bar nobody has answered for."""
        if self.newest is None:
            return 0
        last = clock.stamp(clock.now() - MINUTE)
        if last < self.newest["timestamp"]:
            return 0
        gaps = db_manager.check_data_exists(ticker, self.newest["timestamp"], last)
        return sum(nyse().open_minutes(clock.parse(a), clock.parse(b)) for a, b in gaps)


class _Day:
    """One card through today's session: what it was worth before, and since."""

    def __init__(
        self,
        row: Card,
        sums: CardSums,
        ticker: _Ticker,
        today: list[dict[str, Any]],
        session: Session | None,
    ) -> None:
        self._row = row
        self._ticker = ticker
        self._today = today
        self._session = session
        bought = sum(_signed(t) for t in today)
        spent = sum(_signed(t) * t["price"] for t in today)
        self._at_open = CardSums(sums.shares - bought, sums.invested - spent)

    def value_before(self) -> float:
        """Its value at the last bar before today's open; its capital where it was born today."""
        born = clock.parse(self._row["created_at"])
        before = self._ticker.before
        if self._session is None or born >= self._session.open or before is None:
            return float(self._row["initial_capital"])
        return value_of(self._at_open, before["close"], self._row["initial_capital"])

    def spark(self) -> list[list[Any]]:
        """``[minute, value]`` every five minutes since the open, or since the card was added."""
        points: list[list[Any]] = []
        shares, invested = self._at_open.shares, self._at_open.invested
        waiting = list(self._today)
        for bar in self._ticker.bars[SPARK_STEP - 1 :: SPARK_STEP]:
            ended = clock.stamp(clock.parse(bar["timestamp"]) + MINUTE)
            while waiting and waiting[0]["timestamp"] < ended:
                bought = waiting.pop(0)
                shares += _signed(bought)
                invested += _signed(bought) * bought["price"]
            if ended >= self._row["created_at"]:
                at_minute = CardSums(shares, invested)
                value = value_of(at_minute, bar["close"], self._row["initial_capital"])
                points.append([bar["timestamp"], value])
        return points


def _price(row: Card, sums: CardSums, ticker: _Ticker) -> tuple[float, bool]:
    """The price a card is valued at, and whether it is too old to be trusted."""
    if ticker.newest is not None:
        return float(ticker.newest["close"]), ticker.unknown_minutes > STALE_AFTER
    if sums.shares == 0:
        return 0.0, False
    return float(system_db_manager.get_transactions(row["id"])[0]["price"]), True


def _transactions_since(session: Session | None) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    moment: datetime | None = session.open if session else None
    if moment is not None:
        for row in system_db_manager.get_transactions_since(clock.stamp(moment)):
            found.setdefault(row["algorithm_id"], []).append(row)
    return found


def _signed(transaction: dict[str, Any]) -> int:
    return int(transaction["shares"]) * (1 if transaction["type"] == "buy" else -1)


def _holds(sums: dict[int, CardSums], algo_id: int) -> bool:
    return algo_id in sums and sums[algo_id].shares != 0
