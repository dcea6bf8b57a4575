"""The daily report: how well a session's minutes were kept, and what was traded in them.

Made once after each close from journals, ledger and bars, and kept (``system_databse.daily_reports``).
"""

import logging
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import quantiles
from typing import Any

from database import db_manager
from database.calendar import calendar
from database.session_data import session_data
from orchestra import headlines
from orchestra.backtest import parity
from orchestra.base import clock, disk, memory, settings
from orchestra.base.errors import NotFound
from orchestra.base.market_calendar import MINUTE, Session
from system_databse import (
    card_calculations,
    card_states,
    cycle_journal,
    daily_reports,
    day_figures,
    system_db_manager,
    wear,
)
from system_databse.card_calculations import CardSums

SETTLING = timedelta(minutes=5)  # what a close brings to light within this belongs to its session
SESSIONS_LOOKED_BACK = 10
NOT_DECIDED = ("skipped", "failed")

log = logging.getLogger("autotrader.orchestrator")
Card = dict[str, Any]
Report = dict[str, Any]


def write_missing(now: datetime) -> list[date]:
    """Make the reports of the last sessions that ended with cards and have none yet; their days."""
    made = []
    known = set(daily_reports.days(SESSIONS_LOOKED_BACK))
    for session in _ended(now)[-SESSIONS_LOOKED_BACK:]:
        if session.day.isoformat() in known or not _due(session):
            continue
        again = parity.of_session(session, now)
        daily_reports.store(session.day, of_session(session, memory.tree_mb(), again))
        made.append(session.day)
        log.info("The report of %s is written", session.day)
    return made


def of_day(day: date | None) -> Report:
    """Return the kept report of a day, or what can be said of a session that has none yet.

    Without a day: of the newest session, up to now where it is still open. Raises NotFound.
    """
    now = clock.now()
    session = calendar().session_on(day) if day else calendar().latest_session(now)
    if session is None or session.open > now:
        raise NotFound(f"The NYSE has had no session on {day}." if day else "No session has begun.")
    kept = daily_reports.find(session.day) if session.close <= now else None
    # The day was not over when it was made: tonight's backup is written hours later
    return {**kept, "written_mb": _written(session.day)} if kept else of_session(session)


def of_session(
    session: Session, memory_mb: float | None = None, again: Report | None = None
) -> Report:
    """Return the report of a session; of one that is still open, up to now.

    ``memory_mb`` is what trader and workers take, which only they can tell; ``again`` is what came of
    running the session again.
    """
    last = min(session.close, clock.now()) - MINUTE
    due = _due(session)
    decisions = day_figures.decisions(session.open, last)
    late = cycle_journal.lateness(session.open, last)
    fills = day_figures.fills(session.open, last)
    before = _session_before(session)
    since = before.close + SETTLING if before is not None else session.open
    told = day_figures.events(since, session.close + SETTLING)
    return {
        "day": session.day.isoformat(),
        "open": clock.stamp(session.open),
        "close": clock.stamp(session.close),
        "made_at": clock.stamp(),
        "minutes": _minutes(due, decisions, late),
        "card_minutes": _card_minutes(due, decisions),
        "late_ms": _spread(list(late.values())),
        "bars": _bars(session),
        "orders": day_figures.orders_by_state(session.open, last),
        "fills": _fills(fills),
        "slippage": _slippage(fills),
        "pnl": _pnl(session, before),
        "replay": again,
        "drift": _drift(),
        "restarts": _number(told, "restarted"),
        "events": [{**each, "message": headlines.of_event(each)} for each in told],
        "memory_mb": memory_mb,
        "written_mb": _written(session.day),
        "databases": {
            "system": disk.usage(settings.current().system_db_path),
            "stocks": disk.usage(settings.current().stocks_db_path),
        },
    }


def _ended(now: datetime) -> list[Session]:
    newest = calendar().latest_session(now)
    if newest is None:
        return []
    first = newest.day - timedelta(days=2 * SESSIONS_LOOKED_BACK)
    return [each for each in calendar().sessions_between(first, newest.day) if each.close <= now]


def _session_before(session: Session) -> Session | None:
    return calendar().latest_session(session.open - MINUTE)


def _due(session: Session) -> dict[str, set[int]]:
    """The session's minutes so far in which cards were to be asked, each with those cards."""
    ended = (min(session.close, clock.now()) - session.open) // MINUTE
    stamps = [clock.stamp(session.open + n * MINUTE) for n in range(ended + 1)]
    found: dict[str, set[int]] = {}
    for card in _cards_in(session):
        stopped = card["stopped_at"]
        for minute, following in pairwise(stamps):
            # One that was stopped within a minute may have been asked in it; it was not due any more
            if card["created_at"] <= minute and (stopped is None or stopped >= following):
                found.setdefault(minute, set()).add(card["id"])
    return found


def _minutes(
    due: dict[str, set[int]], decisions: list[dict[str, Any]], late: dict[str, float]
) -> Report:
    recorded: dict[str, str] = {}
    for row in decisions:
        if row["action"] == "skipped" and row["reason"].startswith("skipped"):
            recorded[row["minute"]] = row["reason"]
    missed = [minute for minute in due if minute not in late]
    reasons: dict[str, int] = {}
    for minute in missed:
        reason = recorded.get(minute, "no trader was running")
        reasons[reason] = reasons.get(reason, 0) + 1
    return {"due": len(due), "run": len(due) - len(missed), "missed": reasons}


def _card_minutes(due: dict[str, set[int]], decisions: list[dict[str, Any]]) -> Report:
    reasons: dict[str, int] = {}
    decided, answered = 0, set()
    for row in decisions:
        answered.add((row["minute"], row["algorithm_id"]))
        if row["action"] not in NOT_DECIDED:
            decided += 1
            continue
        reason = "failed" if row["action"] == "failed" else row["reason"].partition(",")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    pairs = {(minute, card) for minute, cards in due.items() for card in cards}
    unrecorded = len(pairs - answered)
    if unrecorded:
        reasons["not on record: no trader was running"] = unrecorded
    return {"due": len(pairs | answered), "decided": decided, "not_decided": reasons}


def _spread(values: list[float]) -> Report:
    """p50, p99 and max of some milliseconds; None where there are none."""
    if not values:
        return {"p50": None, "p99": None, "max": None}
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


def _bars(session: Session) -> Report:
    """How the session's bars came, of the tickers that have had cards in it."""
    tickers = {card["ticker"] for card in _cards_in(session)}
    found = session_data(tickers, session)
    return {
        "tickers": len(tickers),
        "bar": found.on_time,
        "late": found.late,
        "no trade": found.no_trade,
        "missing": found.missing,
        "gaps_closed": found.gaps_closed,
        "corrected": found.corrected,
        "delay_seconds": {
            "p50": found.delay_median,
            "p99": found.delay_p99,
            "max": found.delay_longest,
        },
    }


def _cards_in(session: Session) -> list[Card]:
    opened, closed = clock.stamp(session.open), clock.stamp(session.close)
    return [
        card
        for card in system_db_manager.get_all_algorithms()
        if card["created_at"] < closed and (card["stopped_at"] or closed) >= opened
    ]


def _fills(fills: list[dict[str, Any]]) -> Report:
    of_side: dict[str, list[dict[str, Any]]] = {"buy": [], "sell": []}
    for fill in fills:
        of_side[fill["side"]].append(fill)
    return {
        side: {
            "number": len(rows),
            "shares": sum(row["shares"] for row in rows),
            "dollars": round(sum(row["shares"] * row["price"] for row in rows), 2),
        }
        for side, rows in of_side.items()
    }


def _slippage(fills: list[dict[str, Any]]) -> Report:
    """What fills cost beyond the close of the bar that was decided on; above zero is worse."""
    dollars = turnover = 0.0
    measured = 0
    for fill in fills:
        if fill["bar"] is None or fill["action"] != fill["side"]:
            continue  # a stop's sale was decided by a person, not on a bar
        bars = db_manager.get_historical_data(fill["ticker"], fill["bar"], fill["bar"])
        if bars:
            sign = 1 if fill["side"] == "buy" else -1
            decided_at = float(bars[0]["close"])
            dollars += sign * fill["shares"] * (fill["price"] - decided_at)
            turnover += fill["shares"] * decided_at
            measured += 1
    basis_points = round(dollars / turnover * 10_000, 2) if turnover else None
    return {"fills": measured, "dollars": round(dollars, 2), "basis_points": basis_points}


def _pnl(session: Session, before: Session | None) -> Report:
    """Each card's P&L of the session and since it was added, at the session's last prices."""
    at_close = day_figures.sums_before(session.close)
    at_open = day_figures.sums_before(session.open, session.close)
    cards, today, total = [], 0.0, 0.0
    for card in system_db_manager.get_all_algorithms():
        held = at_close.get(card["id"], CardSums())
        if card["created_at"] >= clock.stamp(session.close) or (
            card["stopped_at"] is not None
            and card["stopped_at"] < clock.stamp(session.open)
            and held.shares == 0
        ):
            continue
        worth = _profit(card, held, session.close)
        gained = worth - _profit(card, at_open.get(card["id"], CardSums()), session.open)
        cards.append(
            {
                "id": card["id"],
                "display_name": card["display_name"],
                "ticker": card["ticker"],
                "shares": held.shares,
                "today": round(gained, 2),
                "total": round(worth, 2),
            }
        )
        today, total = today + gained, total + worth
    return {"today": round(today, 2), "total": round(total, 2), "cards": cards}


def _profit(card: Card, sums: CardSums, moment: datetime) -> float:
    """P&L at the newest bar before a moment; the allocation cancels out."""
    if sums.shares == 0:
        return -sums.invested
    bar = db_manager.newest_bar(card["ticker"], moment)
    price = bar["close"] if bar else system_db_manager.get_transactions(card["id"])[0]["price"]
    return card_calculations.value_of(sums, float(price), 0.0)


def _drift() -> list[Report]:
    """The cards that are frozen, for the broker's figure and the ledger's differ."""
    return [
        {"id": algo_id, "reason": state.reason, "since": state.since}
        for algo_id, state in card_states.all_states().items()
        if state.state == "frozen"
    ]


def _written(day: date) -> dict[str, float]:
    """MB that each part has had written to the disk on a day (UTC), as far as noted."""
    return {part: round(count / 1e6, 1) for part, count in wear.written(day).items()}


def _number(told: list[dict[str, Any]], kind: str) -> int:
    return sum(event["kind"] == kind for event in told)
