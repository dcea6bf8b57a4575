"""What cards are worth now, and what they were worth before today's open."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from database import db_manager
from database.calendar import calendar
from orchestra.base import clock
from orchestra.base.market_calendar import MINUTE, Session, floor_minute
from orchestra.decision import STALE_AFTER
from system_databse import labels, system_db_manager
from system_databse.card_calculations import CardSums, value_of

SPARK_STEP = 5  # minutes between two points of the sparkline: at most 78 in a session

Card = dict[str, Any]
Bar = dict[str, Any]


class _Ticker:
    """What is known of one ticker today."""

    def __init__(self, ticker: str, session: Session | None) -> None:
        self._name, self._session = ticker, session
        self.newest = db_manager.newest_bar(ticker)
        self.before: Bar | None = None
        if session is not None:
            self.before = db_manager.newest_bar(ticker, clock.stamp(session.open))
        self.is_stale = unknown_minutes(ticker, self.newest, clock.now()) > STALE_AFTER

    @cached_property
    def bars(self) -> list[Bar]:
        """The session's bars so far: read only where a line is drawn of them."""
        if self._session is None:
            return []
        opening, closing = clock.stamp(self._session.open), clock.stamp(self._session.close)
        return db_manager.get_historical_data(self._name, opening, closing)


@dataclass(frozen=True)
class CardValue:
    """One card now: dollars, and through today's session."""

    card: Card
    sums: CardSums
    price: float
    price_stale: bool
    ticker: _Ticker
    session: Session | None
    # Its transactions since the open, oldest first, splits apart; ``label`` is None but for corrections
    today: list[dict[str, Any]]

    @property
    def value(self) -> float:
        return value_of(self.sums, self.price, self.card["initial_capital"])

    @property
    def today_pnl(self) -> float:
        """Value now less the value at the last bar before today's open, or the capital if born today."""
        return round(self.value - self._value_before(), 6)

    @property
    def last_bar_at(self) -> str | None:
        return self.ticker.newest["timestamp"] if self.ticker.newest else None

    def spark(self) -> list[list[Any]]:
        """``[minute, value]`` every five minutes since the open, or since the card was added."""
        bars = self.ticker.bars[SPARK_STEP - 1 :: SPARK_STEP]
        return values_after(bars, self._at_open, self.today, self.card, self.card["created_at"])

    def marks(self) -> list[list[str]]:
        """``[minute, "buy" or "sell"]`` of today's trades, one of a kind for each minute."""
        made = {
            (clock.stamp(floor_minute(clock.parse(row["timestamp"]))), row["type"]): None
            for row in self.today
            if row["label"] is None
        }
        return [[minute, kind] for minute, kind in made]

    @property
    def _at_open(self) -> CardSums:
        bought = sum(_signed(t) for t in self.today)
        spent = sum(_signed(t) * t["price"] for t in self.today)
        return CardSums(self.sums.shares - bought, self.sums.invested - spent)

    @property
    def is_today_known(self) -> bool:
        """Whether today's figure is one: what was held at the open needs a price from before it."""
        return self._born_today or self.ticker.before is not None or self._at_open.shares == 0

    @property
    def _born_today(self) -> bool:
        return self.session is None or clock.parse(self.card["created_at"]) >= self.session.open

    def _value_before(self) -> float:
        capital = float(self.card["initial_capital"])
        if self._born_today:
            return capital
        if self.ticker.before is not None:
            return value_of(self._at_open, self.ticker.before["close"], capital)
        before = self._at_open
        return value_of(before, 0.0, capital) if before.shares == 0 else capital


def value_cards(cards: list[Card], sums: dict[int, CardSums]) -> dict[int, CardValue]:
    """Value cards at the newest prices; each ticker is looked up once."""
    session = calendar().latest_session(clock.now())
    tickers = {ticker: _Ticker(ticker, session) for ticker in {card["ticker"] for card in cards}}
    today = _transactions_since(session)
    found = {}
    for card in cards:
        of_card, ticker = sums.get(card["id"], CardSums()), tickers[card["ticker"]]
        price, stale = _price(card, of_card, ticker)
        found[card["id"]] = CardValue(
            card, of_card, price, stale, ticker, session, today.get(card["id"], [])
        )
    return found


def traded_today() -> set[int]:
    """Return the ids of the cards with a transaction since the latest session's open."""
    return set(_transactions_since(calendar().latest_session(clock.now())))


def values_after(
    bars: list[Bar], before: CardSums, transactions: list[dict[str, Any]], card: Card, since: str
) -> list[list[Any]]:
    """Return ``[minute, value]`` of a card at the end of each bar that ended at or after ``since``.

    ``before`` is what the card held before these transactions, which are ordered oldest first.
    """
    points: list[list[Any]] = []
    shares, invested = before.shares, before.invested
    # A bar ends a minute after its stamp: all else is moved back by that minute, once, instead
    waiting = deque((_minute_before(each["timestamp"]), each) for each in transactions)
    since = _minute_before(since)
    for bar in bars:
        stamp = bar["timestamp"]
        while waiting and waiting[0][0] < stamp:
            _, done = waiting.popleft()
            shares += _signed(done)
            invested += _signed(done) * done["price"]
        if stamp >= since:
            value = value_of(CardSums(shares, invested), bar["close"], card["initial_capital"])
            points.append([stamp, value])
    return points


def unknown_minutes(ticker: str, newest: Bar | None, now: datetime) -> int:
    """Count the open minutes from the newest bar to the last ended one that nobody answered for.

    A minute known to have had no trade does not age a ticker, nor do closed hours.
    """
    last = clock.stamp(now - MINUTE)
    if newest is None or last < newest["timestamp"]:
        return 0
    gaps = db_manager.check_data_exists(ticker, newest["timestamp"], last)
    return sum(calendar().open_minutes(clock.parse(a), clock.parse(b)) for a, b in gaps)


def _price(card: Card, sums: CardSums, ticker: _Ticker) -> tuple[float, bool]:
    """The price a card is valued at, and whether it is too old to be trusted."""
    if ticker.newest is not None:
        return float(ticker.newest["close"]), ticker.is_stale
    if sums.shares == 0:
        return 0.0, False
    return float(system_db_manager.get_transactions(card["id"])[0]["price"]), True


def _transactions_since(session: Session | None) -> dict[int, list[dict[str, Any]]]:
    """Each card's transactions of the session; a split's belong to the night, as its bars do."""
    found: dict[int, list[dict[str, Any]]] = {}
    if session is not None:
        rows = system_db_manager.get_transactions_since(clock.stamp(session.open))
        kinds = labels.kinds_of([row["id"] for row in rows])
        for row in rows:
            label = kinds.get(row["id"])
            if label != labels.SPLIT:
                found.setdefault(row["algorithm_id"], []).append({**row, "label": label})
    return found


def _minute_before(stamp: str) -> str:
    return clock.stamp(clock.parse(stamp) - MINUTE)


def _signed(transaction: dict[str, Any]) -> int:
    return int(transaction["shares"]) * (1 if transaction["type"] == "buy" else -1)
