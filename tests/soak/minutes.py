"""Every minute that a card was due: asked, skipped with its reason, or inside a break that is on record."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from orchestra.base import clock
from tests.soak.books import connect
from tests.soak.form import MINUTE, Session
from tests.soak.journal import Row

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TOO_LONG = "skipped: the cycle before took too long"
ASKED = ("buy", "sell", "hold")
BREAKS = ("downtime", "disk")  # events that name the minutes from which to which nothing was asked
BROKEN = ("the full disk", "the damaged stocks.db")
GRACE_SECONDS = 6.0  # machine seconds in which what a fault has held up is worked off
DAMAGE_SECONDS = 20.0  # in which stocks.db is made anew


@dataclass(frozen=True)
class Window:
    """A stretch of market time in which something was wrong on purpose."""

    start: datetime
    end: datetime
    cause: str


@dataclass
class Day:
    """The card-minutes of one session."""

    session: Session
    minutes: int = 0
    due: int = 0
    asked: int = 0
    why_not: Counter[str] = field(default_factory=Counter)
    refused_on_old_data: int = 0
    unexplained: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Card:
    id: int
    first: datetime
    last: datetime


def account(
    system_db: Path, sessions: list[Session], end: datetime, windows: list[Window]
) -> list[Day]:
    """Account for each card-minute that began before ``end`` (the minute in progress excluded)."""
    ledger = connect(system_db)
    try:
        cards = [
            _Card(row["id"], _after(row["created_at"]), _before(row["stopped_at"], end))
            for row in ledger.execute("SELECT * FROM algorithm_instances")
        ]
        decided = {
            (row["algorithm_id"], row["minute"]): (row["action"], row["reason"])
            for row in ledger.execute("SELECT algorithm_id, minute, action, reason FROM decisions")
        }
        breaks = [
            (clock.parse(stamps[0]), clock.parse(stamps[1]), row["kind"])
            for row in ledger.execute("SELECT kind, message FROM events ORDER BY id")
            if row["kind"] in BREAKS and len(stamps := STAMP.findall(row["message"])) >= 2
        ]
    finally:
        ledger.close()
    return [_day(session, cards, decided, breaks, windows, end) for session in sessions]


def _day(
    session: Session,
    cards: list[_Card],
    decided: dict[tuple[int, str], tuple[str, str]],
    breaks: list[tuple[datetime, datetime, str]],
    windows: list[Window],
    end: datetime,
) -> Day:
    day = Day(session)
    for number in range(session.minutes):
        minute = session.open + number * MINUTE
        if minute + MINUTE > end:
            break
        day.minutes += 1
        stamp = clock.stamp(minute)
        for card in cards:
            if not card.first <= minute <= card.last:
                continue
            day.due += 1
            action, reason = decided.get((card.id, stamp), ("", ""))
            if action in ASKED:
                day.asked += 1
                day.refused_on_old_data += "refused: nothing is known" in reason
                continue
            why = _why(action, reason, minute, breaks, windows)
            day.why_not[why or "NOT EXPLAINED"] += 1
            if not why:
                day.unexplained.append(f"card {card.id} at {stamp}: {reason or 'no record'}")
    return day


def _why(
    action: str,
    reason: str,
    minute: datetime,
    breaks: list[tuple[datetime, datetime, str]],
    windows: list[Window],
) -> str:
    """Why a card was not asked, in few words; empty where nothing on record explains it."""
    cause = _cause(minute, windows)
    if action == "failed" and "process died" in reason:
        return "its worker was killed"
    if action == "failed":
        return f"the algorithm failed ({cause})" if cause else ""
    if reason == TOO_LONG:
        return f"the minute before took too long ({cause})" if cause else ""
    if action == "skipped":
        words = reason.removeprefix("skipped: ").removeprefix("not asked: ")
        return re.split(r"[,:;]", words)[0]
    for start, until, kind in breaks:
        if start.replace(second=0) <= minute <= until:
            return "no orchestrator was running" if kind == "downtime" else "the disk was full"
    return ""


def _cause(minute: datetime, windows: list[Window]) -> str:
    return next((w.cause for w in windows if w.start - MINUTE <= minute <= w.end), "")


def windows_of(rows: list[Row], speed: float) -> list[Window]:
    """When something was wrong on purpose, from the soak's own journal; kills and storage first."""
    found: list[Window] = []
    began: dict[tuple[str, str], Row] = {}
    grace = timedelta(seconds=GRACE_SECONDS * speed)
    for row in rows:
        what, at = row["what"], clock.parse(row["at"])
        if what == "kill":
            found.append(Window(at, at + grace, "a kill"))
        elif what == "down":
            began["down", row["part"]] = row
        elif what == "up" and ("down", row["part"]) in began:
            start = clock.parse(began.pop(("down", row["part"]))["at"])
            found.append(Window(start, at + grace, "a kill"))
        elif what in ("fault", "disk") and row.get("seconds"):
            began[what, str(row["number"])] = row
        elif what in ("fault over", "disk over"):
            first = began.pop((what.removesuffix(" over"), str(row["number"])), None)
            if first is not None:
                cause = "the full disk" if what == "disk over" else f"fault {first['name']}"
                found.append(Window(clock.parse(first["at"]), at + grace, cause))
        elif what == "damage":
            until = at + timedelta(seconds=DAMAGE_SECONDS * speed)
            found.append(Window(at, until, "the damaged stocks.db"))
    last = clock.parse(rows[-1]["at"])
    for (_, name), row in began.items():  # what the run's end found still standing
        found.append(Window(clock.parse(row["at"]), last, f"{row['what']} {name}"))
    order = dict.fromkeys(BROKEN, 0) | {"a kill": 1}
    return sorted(found, key=lambda window: order.get(window.cause, 2))


def _after(stamp: str) -> datetime:
    """The first minute that begins after a moment."""
    return clock.parse(stamp).replace(second=0) + MINUTE


def _before(stamp: str | None, end: datetime) -> datetime:
    """The last minute that a card was running throughout."""
    return end if stamp is None else clock.parse(stamp).replace(second=0) - MINUTE
