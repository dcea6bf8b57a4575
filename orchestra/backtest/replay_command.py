"""``python -m orchestra replay``: would the day come out the same again?"""

import json
import multiprocessing
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import click

from database.calendar import calendar
from orchestra.backtest import child
from orchestra.backtest.output import silence
from orchestra.backtest.replay import Answer, CardDay, CardReplay
from orchestra.base import clock, settings
from orchestra.base.errors import AlgorithmFailed, AutoTraderError, NotFound
from orchestra.base.market_calendar import MINUTE, Session
from orchestra.money import gain
from system_databse import card_days, system_db_manager

MOST_SHOWN = 10  # of a card's differences; --json has them all
BROKEN = 1  # the exit code where our own code has raised: an algorithm's failures are answers

_context = multiprocessing.get_context("fork")  # nothing is imported again, and no thread runs here
Report = dict[str, Any]


def replay(day: datetime | None, as_json: bool) -> bool:
    """Run a day again and print how it compares; whether every difference has a cause."""
    try:
        session = session_of(day.date() if day else None)
        cards = cards_of(session)
        with (
            click.progressbar(cards, label="Running again", file=sys.stderr) as bar,
            silence(),
        ):
            report = report_of(session, [_run(card, session) for card in bar])
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(report) if as_json else "\n".join(lines(report)))
    return bool(report["explained"])


def session_of(day: date | None) -> Session:
    """The session of a day, by default the newest one that has begun. Raises NotFound."""
    now = clock.now()
    session = calendar().session_on(day) if day else calendar().latest_session(now)
    if session is None or session.open > now:
        raise NotFound(f"The NYSE has had no session on {day}." if day else "No session has begun.")
    return session


def cards_of(session: Session) -> list[Report]:
    """The cards on record in a session."""
    span = clock.stamp(session.open), clock.stamp(session.close - MINUTE)
    found = (system_db_manager.get_algorithm(algo_id) for algo_id in card_days.cards_asked(*span))
    return [card for card in found if card is not None]


def report_of(session: Session, days: list[CardDay | Report]) -> Report:
    """The one object that ``--json`` prints; money in dollars."""
    cards = [day if isinstance(day, dict) else _card(day) for day in days]
    return {
        "day": session.day.isoformat(),
        "equal": all(card["equal"] for card in cards),
        "explained": all(card["explained"] for card in cards),
        "cards": cards,
    }


def _run(card: Report, session: Session) -> CardDay | Report:
    """Run a card's day in a process of its own: if it hangs or dies there, the others have theirs."""
    with tempfile.TemporaryDirectory(prefix="replay-", ignore_cleanup_errors=True) as folder:
        ours, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=_send_day, args=(theirs, card, session, folder))
        process.start()
        theirs.close()
        try:
            found: CardDay | Report | AutoTraderError = ours.recv()
        except EOFError:
            process.join()
            return _not_run(card, _how_it_ended(process.exitcode or 0), process.exitcode != BROKEN)
        finally:
            child.end(process)
            process.join()
            ours.close()
    if isinstance(found, AlgorithmFailed):
        return _not_run(card, str(found))
    if isinstance(found, AutoTraderError):
        raise found
    return found


def _send_day(connection: Connection, card: Report, session: Session, folder: str) -> None:
    child.begin(folder)
    seconds = settings.current().algorithm_deadline_seconds
    announce = partial(signal.setitimer, signal.ITIMER_REAL, seconds)  # SIGALRM ends what hangs
    announce()
    try:
        with silence(errors=True):
            day = CardReplay(card, session, announce).run()
        connection.send(day)
    except AutoTraderError as error:
        connection.send(error)


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"a run took longer than {settings.current().algorithm_deadline_seconds:g} s"
    return f"its process died (exit code {status})"


def _not_run(card: Report, error: str, explained: bool = True) -> Report:
    names = {name: card[name] for name in ("id", "display_name", "ticker")}
    return {**names, "equal": False, "explained": explained, "error": error}


def _card(day: CardDay) -> Report:
    found = asdict(day)
    return {
        "id": found.pop("id"),
        "display_name": found.pop("display_name"),
        "ticker": found.pop("ticker"),
        "equal": day.is_equal,
        "explained": day.is_explained,
        "minutes_equal": found.pop("equal"),
        **found,
    }


def lines(report: Report) -> list[str]:
    """The report for a person."""
    if not report["cards"]:
        return [f"{report['day']}: no card is on record."]
    found = []
    for card in report["cards"]:
        if "error" in card:
            found.append(f"{card['display_name']}: cannot be run again: {card['error']}")
            continue
        found.append(
            f"{card['display_name']}: {card['minutes_equal']} of {card['minutes']} minutes equal,"
            f" {card['fills'] - len(card['fill_differences'])} of {card['fills']} fills equal;"
            f" P&L {gain(card['pnl_live'])} live, {gain(card['pnl_again'])} again"
        )
        told = [_difference(each) for each in card["differences"]]
        told += [_fill(each) for each in card["fill_differences"]]
        found += [f"  {each}" for each in told[:MOST_SHOWN]]
        if len(told) > MOST_SHOWN:
            found.append(f"  {len(told) - MOST_SHOWN} more are in --json.")
    verdict = "Equal." if report["equal"] else "Each difference has its cause."
    return [*found, f"{report['day']}: {verdict if report['explained'] else 'NOT ALL EXPLAINED.'}"]


def _difference(each: Report) -> str:
    span = each["first"][11:16]
    if each["minutes"] > 1:
        span += f" to {each['last'][11:16]} ({each['minutes']} minutes)"
    return f"{span}: {_words(each['live'])}, again {_words(each['again'])}: {each['cause']}"


def _words(answer: Answer) -> str:
    action, shares = answer
    return f"{action} {shares}" if shares else action


def _fill(each: Report) -> str:
    (shares, price), (again, expected) = each["live"], each["again"]
    live = f"{shares} at {price:.4f}" if price is not None else "none"
    return (
        f"{each['minute'][11:16]}: {each['side']} filled {live}, again {again} at {expected:.4f}:"
        f" {each['cause']}"
    )
