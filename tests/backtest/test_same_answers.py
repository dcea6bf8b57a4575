"""Bars in memory answer as stocks.db does, whatever is asked and whenever."""

from bisect import bisect_right
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import db_manager, gaps, past_bars, schema
from database.past_bars import PastBars
from orchestra.base import clock, sqlite
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import MINUTE, nyse
from tests.backtest.conftest import row

OPENING = clock.parse("2024-06-03T13:30:00Z")  # a Monday's
SPAN = 60 * 24 * 2  # minutes from there, nights and the next day included


def stamp(offset: int, seconds: int = 0) -> str:
    return clock.stamp(OPENING + offset * MINUTE + timedelta(seconds=seconds))


moments = st.builds(stamp, st.integers(-5, SPAN), st.sampled_from([0, 2, 59]))
befores = st.one_of(st.none(), moments, st.just("now"))
counts = st.integers(1, 900)


def ask(name: str, *arguments: Any, **more: Any) -> Callable[[], Any]:
    return lambda: getattr(db_manager, name)(*arguments, **more)


def last_n(ticker: str, n: object, before: object) -> Callable[[], Any]:
    def asked() -> Any:
        given = {} if before is None else {"before_timestamp": before}
        if before == "now":  # the very object the algorithm was given, as nearly all of them ask
            source = db_manager._source
            given = {"before_timestamp": getattr(source, "now", None) or clock.stamp()}
        return db_manager.get_data_for_algorithm(ticker, "last_n_bars", n=n, **given)

    return asked


def ranged(name: str, *before: Any) -> Callable[[str, str, str], Callable[[], Any]]:
    def build(ticker: str, one: str, other: str) -> Callable[[], Any]:
        first, last = sorted((one, other))
        if name == "get_data_for_algorithm":
            return ask(name, ticker, "time_range", start=first, end=last)
        return ask(name, ticker, first, last)

    return build


tickers = st.sampled_from(["AAPL", "MSFT", "NONE"])
questions = st.one_of(
    st.builds(last_n, tickers, counts, befores),
    st.builds(last_n, tickers, st.sampled_from([0, -1, True, 2.0, "5"]), befores),
    *(
        st.builds(ranged(name), tickers, moments, moments)
        for name in (
            "get_data_for_algorithm",
            "get_historical_data",
            "count_bars",
            "check_data_exists",
            "get_bars_frame",
        )
    ),
    st.builds(lambda ticker: ask("get_latest_price", ticker), tickers),
    st.builds(lambda ticker, before: ask("newest_bar", ticker, before), tickers, moments),
    st.builds(lambda ticker, n: ask("newest_bars", ticker, n), tickers, counts),
    st.just(ask("get_data_for_algorithm", "AAPL", "last_n_bars", n=5, limit=3)),
    st.just(ask("get_data_for_algorithm", "AAPL", "anything")),
    st.just(ask("get_data_for_algorithm", "aapl", "last_n_bars", n=5)),
)


def outcome(question: Callable[[], Any]) -> Any:
    try:
        found = question()
    except BadInput as error:
        return str(error)
    return found.to_csv() if hasattr(found, "to_csv") else found


FIRST = gaps.number_of(clock.stamp(OPENING))  # the open minute that offset 0 names


def fill(offsets: dict[str, set[int]]) -> None:
    """Store bars of AAPL and MSFT at these open minutes."""
    connection = schema.stocks()
    with sqlite.transaction(connection):
        connection.execute("DELETE FROM bars")
        schema.add_tickers(connection, ["AAPL", "MSFT", "NONE"])
        for ticker, chosen in offsets.items():
            rows = [row(gaps.stamp_of(FIRST + n), 100 + n % 37) for n in sorted(chosen)]
            connection.executemany(
                "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", [(ticker, *each) for each in rows]
            )


def answer_until(newest: int) -> None:
    """Let the exchange have answered for every minute up to this one, so that none is asked for."""
    connection = schema.stocks()
    with sqlite.transaction(connection):
        connection.execute("DELETE FROM coverage")
        for ticker in ("AAPL", "MSFT", "NONE"):
            gaps.cover(connection, ticker, (0, newest))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stored=st.fixed_dictionaries(
        {name: st.sets(st.integers(0, 779), min_size=1) for name in ("AAPL", "MSFT")}
    ),
    asked=st.lists(st.tuples(st.integers(0, 779), questions), min_size=1, max_size=12),
    copies=st.booleans(),
)
def test_memory_and_database_agree(
    stored: dict[str, set[int]], asked: list[tuple[int, Callable[[], Any]]], copies: bool
) -> None:
    fill(stored)
    rows = {
        ticker: past_bars.read(
            schema.stocks(), ticker, "2018-01-01T00:00:00Z", "2030-01-01T00:00:00Z"
        )
        for ticker in ("AAPL", "MSFT", "NONE")
    }
    begin = clock.stamp(nyse().sessions[0].open)
    bars = PastBars("AAPL", rows["AAPL"], begin, rows.__getitem__, copies)
    for offset, question in sorted(asked, key=lambda each: each[0]):
        newest = nyse().minute_at(FIRST + offset)
        now = newest + MINUTE + timedelta(seconds=2)
        bars.now, bars.ended = clock.stamp(now), bisect_right(bars.stamps, clock.stamp(newest))
        # No database holds a bar of a minute that has not ended
        fill({ticker: {n for n in chosen if n <= offset} for ticker, chosen in stored.items()})
        answer_until(FIRST + offset)
        with clock.held(lambda now=now: now):  # type: ignore[misc]
            expected = outcome(question)
            with db_manager.answered_by(bars):
                assert outcome(question) == expected
    assert bars.unchanged()
