"""``python -m orchestra fetch``: years of minutes from the exchange, or recorded ones from files."""

import json
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from database import db_manager
from database.calendar import calendar
from database.historical_pull import HistoricalFetcher
from database.recorded_files import files_in, load_csv_folder
from orchestra.base import clock
from orchestra.base.errors import AutoTraderError

DEFAULT_DAYS = 365


def fetch(
    tickers: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Fill stocks.db from the exchange or a folder, with progress on stderr and a summary on stdout."""
    if bool(tickers) == bool(folder):
        raise click.UsageError("Name tickers, or a folder with --csv.")
    try:
        db_manager.initialize_database()
        answer = _from_files(folder) if folder else _from_exchange(tickers, start, end)
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(answer) if as_json else "\n".join(_lines(answer)))


def _from_files(folder: Path) -> dict[str, Any]:
    with _bar("Loading", len(files_in(folder))) as bar:
        return asdict(load_csv_folder(folder, bar.update))


def _from_exchange(
    tickers: tuple[str, ...], start: datetime | None, end: datetime | None
) -> dict[str, Any]:
    now = clock.now()
    first = f"{start or now - timedelta(days=DEFAULT_DAYS):%Y-%m-%d}T00:00:00Z"
    last = min(f"{end or now:%Y-%m-%d}T23:59:00Z", clock.stamp(now - timedelta(minutes=1)))
    summaries = []
    for ticker in dict.fromkeys(tickers):
        missing = _minutes(db_manager.check_data_exists(ticker, first, last))
        with _bar(f"Fetching {ticker}", missing) as bar:
            stored = HistoricalFetcher(patient=True).fetch(ticker, first, last, bar.update)
        summaries.append(_summary(ticker, first, last, stored))
    return {"tickers": summaries}


def _summary(ticker: str, first: str, last: str, stored: int) -> dict[str, Any]:
    """What stocks.db now holds of a ticker within the days asked for."""
    begin, end = clock.parse(first), clock.parse(last)
    bars = db_manager.count_bars(ticker, first, last)
    holes = _minutes(db_manager.check_data_exists(ticker, first, last))
    sessions = calendar().sessions_between(begin.date(), end.date())
    return {
        "ticker": ticker,
        "sessions": len(sessions),
        "fetched": stored,
        "bars": bars,
        "empty_minutes": calendar().open_minutes(begin, end) - bars - holes,
        "missing_minutes": holes,
    }


def _minutes(ranges: list[tuple[str, str]]) -> int:
    return sum(
        calendar().open_minutes(clock.parse(first), clock.parse(last)) for first, last in ranges
    )


def _bar(label: str, length: int) -> AbstractContextManager[Any]:
    bar: AbstractContextManager[Any] = click.progressbar(
        length=length, label=label, file=sys.stderr
    )
    return bar


def _lines(answer: dict[str, Any]) -> list[str]:
    if "sessions" in answer:
        lines = [
            f"{answer['bars']:,} bars of {', '.join(answer['tickers'])}"
            f" in {answer['sessions']:,} sessions; {answer['empty_minutes']:,} minutes had no trade."
        ]
        if answer["left_out"]:
            lines.append(f"{answer['left_out']} files left out: not a session of 2018-2030.")
        return lines
    return [
        f"{each['ticker']}: {each['fetched']:,} bars fetched; {each['bars']:,} bars in"
        f" {each['sessions']:,} sessions, {each['empty_minutes']:,} minutes without a trade,"
        f" {each['missing_minutes']:,} still missing."
        for each in answer["tickers"]
    ]
