"""A session run again for its daily report, in a process of its own: it runs algorithms' files."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from typing import Any

from database.calendar import calendar
from orchestra.base import clock, systemd
from orchestra.base.market_calendar import MINUTE, Session
from orchestra.base.settings import ROOT
from orchestra.money import gain
from system_databse import card_days

LONGEST_SECONDS = 60.0  # machine seconds
MARGIN_SECONDS = 2.0  # so long before the next minute is due it has ended
KEPT = 20  # of a card's differences, in the report

log = logging.getLogger("autotrader.orchestrator")
Report = dict[str, Any]


def of_session(session: Session, now: datetime) -> Report | None:
    """Return what ``replay`` says of a session; None without cards, in market hours or without success."""
    following = calendar().next_open(now)
    span = clock.stamp(session.open), clock.stamp(session.close - MINUTE)
    if calendar().is_open(now) or not card_days.cards_asked(*span):
        return None
    seconds = LONGEST_SECONDS
    if following is not None:
        seconds = min(seconds, clock.due(following) - clock.elapsed() - MARGIN_SECONDS)
    answer = _answer(session, clock.elapsed() + seconds)
    for card in answer["cards"] if answer else ():
        for kind in ("differences", "fill_differences"):
            card[kind] = card.get(kind, [])[:KEPT]
    return answer


def _answer(session: Session, deadline: float) -> Report | None:
    command = [sys.executable, "-m", "orchestra", "replay", session.day.isoformat(), "--json"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                systemd.alive()
                if clock.elapsed() > deadline:
                    log.warning("Running %s again took too long and was ended.", session.day)
                    return None
        found: Report = json.loads(output)
        return found
    except ValueError:
        log.warning("%s could not be run again: %s", session.day, errors.strip())
        return None
    finally:
        process.kill()
        process.wait()


def line(found: Report | None) -> str:
    """The report's line for a person."""
    if found is None:
        return "not run again"
    cards = [card for card in found["cards"] if "error" not in card]
    minutes, fills = (sum(card[name] for card in cards) for name in ("minutes", "fills"))
    pnl = [sum(card[name] for card in cards) for name in ("pnl_live", "pnl_again")]
    told = f"{sum(card['minutes_equal'] for card in cards)} of {minutes} card-minutes equal"
    told += f", {fills} fills; P&L {gain(pnl[0])} live, {gain(pnl[1])} again"
    causes = {
        each["cause"]
        for card in cards
        for each in (*card["differences"], *card["fill_differences"])
    }
    causes |= {
        f"{card['display_name']}: {card['error']}" for card in found["cards"] if "error" in card
    }
    return told + "".join(f"; {cause}" for cause in sorted(causes))
