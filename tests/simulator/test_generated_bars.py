"""Generated bars: pure, consistent, only in open minutes, and as lively as real ones."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import pstdev

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.base.market_calendar import nyse
from orchestra.simulator.assets import listed
from orchestra.simulator.generated_bars import GeneratedBars

ASSETS = listed()
SOURCE = GeneratedBars(2020, nyse(), ASSETS.values())
ALL_MINUTES = 1_260_000  # of the calendar's 1,273,740 less those that half days lack
WITHIN_THE_CALENDAR = (datetime.fromisoformat("2018-01-01"), datetime.fromisoformat("2030-12-30"))

tickers = st.sampled_from(sorted(ASSETS))
starts = st.integers(0, ALL_MINUTES).map(lambda number: unix(nyse().minute_at(number)))


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def at(text: str) -> int:
    return unix(datetime.fromisoformat(text).replace(tzinfo=UTC))


@settings(max_examples=60, deadline=None)
@given(tickers, starts, st.integers(1, 60), st.booleans())
def test_any_page_is_its_minutes_one_by_one(
    ticker: str, first: int, minutes: int, newest_first: bool
) -> None:
    last = first + minutes * 60
    page = SOURCE.bars(ticker, first, last, 10_000, newest_first)
    singles = [SOURCE.minute([ticker], start) for start in range(first, last + 1, 60)]
    one_by_one = [found[ticker] for found in singles if found]
    assert page == (one_by_one[::-1] if newest_first else one_by_one)


@settings(max_examples=60, deadline=None)
@given(tickers, starts)
def test_prices_are_consistent_whole_cents(ticker: str, first: int) -> None:
    for bar in SOURCE.bars(ticker, first, first + 30 * 60, 1000):
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.low <= bar.vwap <= bar.high
        assert bar.low > 0 and bar.volume > 0 and bar.trades > 0
        for price in (bar.open, bar.high, bar.low, bar.close):
            assert price == round(price, 2)


@settings(max_examples=60, deadline=None)
@given(tickers, st.datetimes(*WITHIN_THE_CALENDAR))
def test_no_bar_in_a_closed_minute(ticker: str, moment: datetime) -> None:
    first = unix(moment.replace(second=0, microsecond=0, tzinfo=UTC))
    for bar in SOURCE.bars(ticker, first, first + 86_400, 2000):
        assert nyse().is_open(datetime.fromtimestamp(bar.start, UTC))


def test_a_limit_cuts_from_the_asked_end() -> None:
    day = SOURCE.bars("PPLT", at("2024-06-04T13:30:00"), at("2024-06-04T19:59:00"), 1000)
    assert SOURCE.bars("PPLT", at("2024-06-04T13:30:00"), at("2024-06-04T19:59:00"), 7) == day[:7]
    newest = SOURCE.bars("PPLT", at("2024-06-04T13:30:00"), at("2024-06-04T19:59:00"), 7, True)
    assert newest == day[-1:-8:-1]


def test_a_half_day_ends_at_13_and_a_holiday_has_nothing() -> None:
    half = SOURCE.bars("SPY", at("2024-11-29T00:00:00"), at("2024-11-29T23:59:00"), 1000)
    assert half[0].start == at("2024-11-29T14:30:00")
    assert half[-1].start == at("2024-11-29T17:59:00")
    assert len(half) == 210
    assert SOURCE.bars("SPY", at("2024-11-28T00:00:00"), at("2024-11-28T23:59:00"), 1000) == []


def test_the_seed_and_the_ticker_make_the_prices() -> None:
    first, last = at("2024-06-04T13:30:00"), at("2024-06-04T13:40:00")
    other = GeneratedBars(2021, nyse(), ASSETS.values())
    assert SOURCE.label == "generated:seed=2020"
    assert SOURCE.bars("AAPL", first, last, 10) != other.bars("AAPL", first, last, 10)
    again = GeneratedBars(2020, nyse(), ASSETS.values())
    assert SOURCE.bars("AAPL", first, last, 10) == again.bars("AAPL", first, last, 10)


def test_an_unknown_ticker_has_no_bars() -> None:
    first = at("2024-06-04T13:30:00")
    assert SOURCE.bars("ZZZZ", first, first + 600, 10) == []
    assert SOURCE.minute(["ZZZZ"], first) == {}


def test_thin_tickers_miss_most_minutes_and_liquid_ones_none() -> None:
    first, last = at("2024-06-03T13:30:00"), at("2024-06-28T19:59:00")
    assert len(SOURCE.bars("AAPL", first, last, 10_000)) == 19 * 390
    assert 0.25 < len(SOURCE.bars("PPLT", first, last, 10_000)) / (19 * 390) < 0.33
    assert 0.05 < len(SOURCE.bars("FT", first, last, 10_000)) / (19 * 390) < 0.11


def test_a_liquid_ticker_moves_like_one() -> None:
    """Over 20 sessions: volatility, range, gaps and SMA crosses stay where real ones are."""
    sessions = nyse().sessions_between(date(2024, 6, 3), date(2024, 7, 1))
    assert len(sessions) == 20
    bars = SOURCE.bars("AAPL", unix(sessions[0].open), unix(sessions[-1].close), 10_000)
    closes = [bar.close for bar in bars]
    moves = [after / before - 1 for before, after in pairwise(closes)]
    assert 0.0003 < pstdev(moves) < 0.0008
    gaps = [abs(b.open / a.close - 1) for a, b in pairwise(bars)]
    assert max(gaps) < 0.001
    days = [closes[i : i + 390] for i in range(0, len(closes), 390)]
    ranges = [max(day) / min(day) - 1 for day in days]
    assert 0.008 < sum(ranges) / len(ranges) < 0.025
    assert 1 <= up_crosses([round(close * 100) for close in closes]) / 20 <= 8


def up_crosses(cents: list[int]) -> int:
    """SMA 20 above SMA 50 after not having been: exact, in whole cents."""
    above = [
        5 * sum(cents[i - 20 : i]) > 2 * sum(cents[i - 50 : i]) for i in range(50, len(cents) + 1)
    ]
    return sum(now and not before for before, now in pairwise(above))


def test_no_minute_of_the_calendar_is_out_of_reach() -> None:
    newest = SOURCE.bars("NVDA", 0, at("2031-01-01T00:00:00"), 1, newest_first=True)
    assert newest[0].start == at("2030-12-31T20:59:00")
    oldest = SOURCE.bars("NVDA", 0, at("2031-01-01T00:00:00"), 1)
    assert oldest[0].start == at("2018-01-02T14:30:00")
    assert nyse().sessions[-1].close - timedelta(minutes=1) == datetime(
        2030, 12, 31, 20, 59, tzinfo=UTC
    )
