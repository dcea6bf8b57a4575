"""History over REST: asks the exchange for the minutes that were never asked for, and only for those."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame

from database import arrivals, bars, checks, gaps, schema
from database.bars import Bar, Row
from database.calendar import calendar
from database.contents import claim_source
from orchestra import exchange
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.market_calendar import GRID_MINUTES

SLOW_SECONDS = 1.0  # machine seconds; algorithms leave an exchange that fails so slowly alone
GAP_SESSIONS = 10  # how far back a cycle closes gaps; older ones are closed when they are read
CHUNK_SESSIONS = 20  # so many sessions of one ticker fit on one page of 10,000 bars

log = logging.getLogger("autotrader.database")
Progress = Callable[[int], None]  # is told how many more open minutes have been answered

_labels: dict[str, str] = {}  # by data address; asked again after the exchange was out of reach


class HistoricalFetcher:
    """Fetches missing history into stocks.db.

    Patient, it waits while the rate limit's reserve is kept for orders; else it raises
    ExchangeUnavailable. All its functions raise ForeignContents where stocks.db has another source.
    """

    def __init__(self, patient: bool = False) -> None:
        self._patient = patient

    def fetch(self, ticker: str, start: str, end: str, progress: Progress | None = None) -> int:
        """Fetch what is missing within ``start``..``end``; the number of bars stored.

        The end is cut to the last ended minute, the start to 2018-01-02. Each chunk is stored in one
        transaction with its coverage, so an interrupted fetch goes on where it stopped.
        """
        checks.ticker(ticker)
        wanted = _ended(*checks.span(start, end))
        if wanted is None:
            return 0
        stored = 0
        lacking = gaps.missing(schema.stocks(), ticker, wanted)
        for part in gaps.joined(lacking, slack=GRID_MINUTES - 1):
            for chunk in _chunks(part):
                stored += self.fetch_range([ticker], chunk)
                if progress is not None:
                    progress(chunk[1] - chunk[0] + 1)
        return stored

    def close_gaps(self, tickers: Iterable[str], last: datetime) -> int:
        """Fetch what the tickers lack up to the minute ``last``, as far back as they were followed.

        A ticker's gaps begin at the oldest minute that was answered for, at most ``GAP_SESSIONS`` back.
        Tickers whose gaps begin within a session of each other share one request.
        """
        connection = schema.stocks()
        newest = calendar().minute_number(last)
        oldest = max(0, newest + 1 - GAP_SESSIONS * GRID_MINUTES)
        begins: dict[str, int] = {}
        for ticker in tickers:
            since = max(oldest, min(newest, gaps.known_from(connection, ticker, newest)))
            lacking = gaps.missing(connection, checks.ticker(ticker), (since, newest))
            if lacking:
                begins[ticker] = lacking[0][0]
        stored = 0
        while begins:
            first = min(begins.values())
            together = [each for each in begins if begins[each] < first + GRID_MINUTES]
            stored += self.fetch_range(together, (first, newest), followed=True)
            begins = {each: begins[each] for each in begins if each not in together}
        return stored

    def fetch_range(self, tickers: list[str], wanted: gaps.Range, *, followed: bool = False) -> int:
        """Ask for a range of ended minutes in one request and store the answer with its coverage.

        Of tickers that were ``followed`` all this time it is noted that the stream did not bring them.
        """
        self._await_budget()
        answer = _answer(tickers, wanted)
        rows_of = {ticker: _rows(ticker, answer.get(ticker) or [], wanted) for ticker in tickers}
        connection = schema.stocks()
        stored = 0
        with sqlite.transaction(connection):
            schema.add_tickers(connection, tickers)
            for ticker, rows in rows_of.items():
                _note_arrivals(ticker, wanted, rows, followed)
                stored += bars.store(connection, rows)
                _note_answer(ticker, wanted, rows)
        return stored

    def _await_budget(self) -> None:
        while (seconds := exchange.history_budget.seconds_to_wait()) > 0:
            if not self._patient:
                raise ExchangeUnavailable(
                    f"The rate limit's last requests are kept for orders for {seconds:.0f} s more."
                )
            clock.pause(seconds)


def _ended(first: datetime, last: datetime) -> gaps.Range | None:
    """The open minutes within ``first``..``last`` that have ended."""
    return gaps.within(first, min(last, bars.newest_visible()))


def _chunks(wanted: gaps.Range) -> list[gaps.Range]:
    """Cut a range into whole sessions, so that each day is stored at once."""
    hours = calendar()
    first, last = map(hours.minute_at, wanted)
    sessions = hours.sessions_between(first.date(), last.date())
    found = []
    for n in range(0, len(sessions), CHUNK_SESSIONS):
        part = sessions[n : n + CHUNK_SESSIONS]
        low, high = hours.minute_number(part[0].open), hours.minute_number(part[-1].close) - 1
        found.append((max(low, wanted[0]), min(high, wanted[1])))
    return found


def _label() -> str:
    address = settings.current().data_url
    if address not in _labels:
        _labels[address] = exchange.source_label()
    return _labels[address]


def _answer(tickers: list[str], wanted: gaps.Range) -> dict[str, Any]:
    """Ask for bars of our own source; raw bars by ticker."""
    begun = clock.elapsed()
    try:
        claim_source(_label())
        return _ask(tickers, wanted)
    except ExchangeUnavailable:
        _labels.clear()  # another exchange may stand there when it is back
        if clock.elapsed() - begun > SLOW_SECONDS:
            gaps.note_hung(schema.stocks())
        raise


def _ask(tickers: list[str], wanted: gaps.Range) -> dict[str, Any]:
    """Send one request, which alpaca-py pages."""
    request = StockBarsRequest(
        symbol_or_symbols=tickers,
        timeframe=TimeFrame.Minute,
        start=calendar().minute_at(wanted[0]),
        end=calendar().minute_at(wanted[1]),
        feed=DataFeed(settings.current().alpaca_feed),
        adjustment=Adjustment.SPLIT,  # one history across a split: see db_manager.forget_history
    )
    with exchange.answering():
        return dict(exchange.data_client().get_stock_bars(request))


def _rows(ticker: str, answer: list[dict[str, Any]], wanted: gaps.Range) -> list[Row]:
    """The answer's bars of the regular session within ``wanted``; unusable ones are logged and left out."""
    first, last = gaps.stamps(wanted)
    usable: list[Bar] = []
    for raw in answer:
        try:
            bar = bars.from_exchange(raw, checks.minute(_stamp(raw["t"])))
            fault = checks.fault_of(bar)
        except (KeyError, TypeError, ValueError) as error:
            bar, fault = {}, f"It is not usable: {error}."
        if fault:
            log.warning("A bar of %s from the exchange is left out. %s %.200r", ticker, fault, raw)
        elif first <= bar["timestamp"] <= last:
            usable.append(bar)
    return bars.rows_of((ticker, bar) for bar in usable)


def _stamp(text: str) -> str:
    if len(text) == 20 and text[19] == "Z":
        return text
    return clock.stamp(datetime.fromisoformat(text))


def _note_arrivals(ticker: str, wanted: gaps.Range, rows: list[Row], followed: bool) -> None:
    """Note when those bars came that a cycle was lacking, or, of a followed ticker, all new ones."""
    connection, now = schema.stocks(), clock.now()
    newest = calendar().minute_number(now)
    recent = (max(wanted[0], newest - GAP_SESSIONS * GRID_MINUTES), wanted[1])
    if recent[0] > recent[1] or not rows:
        return
    holes = [gaps.stamps(hole) for hole in gaps.missing(connection, ticker, recent)]
    new = [row[1] for row in rows if any(low <= row[1] <= high for low, high in holes)]
    if new and not followed:
        asked = arrivals.between(new[0], new[-1])
        new = [minute for minute in new if minute in asked and ticker in asked[minute].lacking]
    came = {minute: {ticker: arrivals.milliseconds(clock.parse(minute), now)} for minute in new}
    arrivals.note(connection, "fetched", came)


def _note_answer(ticker: str, wanted: gaps.Range, rows: list[Row]) -> None:
    """Cover what is settled of an answered range and note the rest as asked for."""
    connection = schema.stocks()
    settled = gaps.settled(wanted, max((row[1] for row in rows), default=None))
    if settled is not None:
        gaps.cover(connection, ticker, settled)
    open_from = wanted[0] if settled is None else settled[1] + 1
    if open_from <= wanted[1]:
        gaps.note_asked(connection, ticker, (open_from, wanted[1]))
