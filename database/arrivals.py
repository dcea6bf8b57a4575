"""How the bars of followed tickers came, and when the cycle asked: one row a minute.

Times are milliseconds of market time after the minute's end. ``streamed`` and ``fetched`` are JSON
objects of them by ticker; a bar's first arrival of each kind stays. ``lacking`` lists who was still
waited for when the cycle asked. History from before a ticker was followed has no arrivals.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from database import schema
from orchestra.base import clock, sqlite
from orchestra.base.market_calendar import MINUTE

Way = Literal["streamed", "fetched"]
Came = Mapping[str, Mapping[str, int]]  # minute: ticker: milliseconds

NOTE: dict[Way, str] = {
    way: f"""INSERT INTO arrivals (minute, {way}) VALUES (?, ?) ON CONFLICT (minute) DO UPDATE
             SET {way} = json_patch(excluded.{way}, {way})"""
    for way in ("streamed", "fetched")
}
ASKED = """INSERT INTO arrivals (minute, asked, lacking) VALUES (?, ?, ?) ON CONFLICT (minute)
           DO UPDATE SET asked = excluded.asked, lacking = excluded.lacking WHERE asked IS NULL"""
BETWEEN = """SELECT minute, asked, lacking, streamed, fetched FROM arrivals
             WHERE minute >= ? AND minute <= ? ORDER BY minute"""


@dataclass(frozen=True)
class Arrival:
    """How one bar came: streamed, or fetched because the stream had not brought it."""

    milliseconds: int
    way: Way


@dataclass(frozen=True)
class MinuteArrivals:
    """One minute: when the cycle asked (None: it did not), who was lacking then, how each bar came."""

    asked: int | None
    lacking: frozenset[str]
    came: dict[str, Arrival]

    def is_behind(self, ticker: str) -> bool:
        """Whether the ticker's bar came, but not over the stream by the time the cycle asked."""
        arrival = self.came.get(ticker)
        return arrival is not None and (arrival.way != "streamed" or self.is_late(ticker))

    def is_late(self, ticker: str) -> bool:
        """Whether the ticker's bar, which is there, came after the cycle had asked."""
        if self.asked is None:
            return False
        arrival = self.came.get(ticker)
        return ticker in self.lacking or (arrival is not None and arrival.milliseconds > self.asked)


def milliseconds(minute: datetime, moment: datetime) -> int:
    """How long after the end of ``minute`` a moment was."""
    return (moment - minute - MINUTE) // timedelta(milliseconds=1)


def note(connection: sqlite3.Connection, way: Way, came: Came) -> None:
    """Enter arrivals, inside the transaction that stores the bars."""
    connection.executemany(
        NOTE[way], [(minute, json.dumps(came[minute])) for minute in sorted(came)]
    )


def note_asked(minute: datetime, lacking: Iterable[str]) -> None:
    """Remember that the cycle waits no longer for that minute's bars, and who is lacking."""
    asked = milliseconds(minute, clock.now())
    row = (clock.stamp(minute), asked, json.dumps(sorted(lacking)))
    with sqlite.transaction(schema.stocks()) as connection:
        connection.execute(ASKED, row)


def between(first: str, last: str) -> dict[str, MinuteArrivals]:
    """What is remembered of each minute within ``first``..``last``."""
    return {
        minute: MinuteArrivals(asked, frozenset(json.loads(lacking)), _first(streamed, fetched))
        for minute, asked, lacking, streamed, fetched in schema.stocks().execute(
            BETWEEN, (first, last)
        )
    }


def prune(before: datetime) -> int:
    """Drop what is remembered of minutes before a moment; how many there were."""
    bound = (clock.stamp(before),)
    with sqlite.transaction(schema.stocks()) as connection:
        connection.execute("DELETE FROM replaced_bars WHERE timestamp < ?", bound)
        return connection.execute("DELETE FROM arrivals WHERE minute < ?", bound).rowcount


def _first(streamed: str, fetched: str) -> dict[str, Arrival]:
    """Each ticker's first arrival."""
    came = {ticker: Arrival(ms, "streamed") for ticker, ms in json.loads(streamed).items()}
    for ticker, ms in json.loads(fetched).items():
        if ticker not in came or ms < came[ticker].milliseconds:
            came[ticker] = Arrival(ms, "fetched")
    return came
