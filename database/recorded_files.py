"""Recorded bars from files: a folder of TICKER/YYYY-MM-DD.csv, one regular session each."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from database import bars, checks, contents, gaps, schema
from database.bars import Bar, Row
from database.calendar import calendar
from orchestra.base import sqlite
from orchestra.base.errors import BadInput
from orchestra.base.market_calendar import MINUTE, Session

SOURCE = "csv"


@dataclass
class Summary:
    """What was loaded. ``left_out`` counts files of days that are no session of the calendar."""

    tickers: list[str]
    sessions: int = 0
    bars: int = 0
    empty_minutes: int = 0
    left_out: int = 0


def files_in(folder: Path) -> list[tuple[str, date, Path]]:
    """List (ticker, day, file) in order; whatever is not named TICKER/YYYY-MM-DD.csv is no bar file."""
    found = []
    for path in sorted(folder.glob("*/*.csv")):
        try:
            found.append((checks.ticker(path.parent.name), date.fromisoformat(path.stem), path))
        except ValueError:
            continue
    return found


def load_csv_folder(folder: Path, progress: Callable[[int], None] | None = None) -> Summary:
    """Store a folder's bars and mark their sessions covered; an empty stocks.db becomes source ``csv``.

    One transaction a file: of a bad one nothing is kept, and BadInput names it and the line.
    ``progress`` is told after each file. Raises ForeignContents where stocks.db has another source.
    """
    files = files_in(folder)
    if not files:
        raise BadInput(f"There is no file TICKER/YYYY-MM-DD.csv in {folder}.")
    contents.claim_source(SOURCE)
    summary = Summary(sorted({ticker for ticker, _, _ in files}))
    for ticker, day, path in files:
        session = calendar().session_on(day)
        if session is None:
            summary.left_out += 1
        else:
            stored = _load(ticker, session, path)
            summary.sessions += 1
            summary.bars += stored
            summary.empty_minutes += session.minutes - stored
        if progress is not None:
            progress(1)
    return summary


def _load(ticker: str, session: Session, path: Path) -> int:
    rows = {row[1]: row for row in _rows(ticker, session, path)}
    whole = gaps.within(session.open, session.close - MINUTE)
    connection = schema.stocks()
    with sqlite.transaction(connection):
        schema.add_tickers(connection, [ticker])
        stored = bars.store(connection, [rows[stamp] for stamp in sorted(rows)])
        if whole is not None:
            gaps.cover(connection, ticker, whole)
    return stored


def _rows(ticker: str, session: Session, path: Path) -> Iterator[Row]:
    """The file's bars of its regular session. Raises BadInput naming file and line."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            if tuple(reader.fieldnames or ()) != checks.FIELDS:
                raise BadInput(f"Expected the columns {','.join(checks.FIELDS)}")
            for line in reader:
                yield from bars.rows_of([(ticker, _bar(line, session))])
        except (ValueError, csv.Error) as error:
            raise BadInput(f"{path}, line {max(reader.line_num, 1)}: {error}") from None


def _bar(line: dict[str, str], session: Session) -> Bar:
    if None in line or None in line.values():
        raise BadInput(f"Expected {len(checks.FIELDS)} values.")
    bar: Bar = {"timestamp": checks.minute(line["timestamp"])}
    for name in checks.FIELDS[1:]:
        try:
            bar[name] = float(line[name])
        except ValueError:
            raise BadInput(f"Expected {name} as a number, found {line[name]!r}.") from None
    fault = checks.fault_of(bar)
    if fault:
        raise BadInput(fault)
    if bar["timestamp"][:10] != session.day.isoformat():
        raise BadInput(f"{bar['timestamp']} is not on the file's day {session.day}.")
    return bar
