"""Calls DEADMAN_URL after each cycle of the open market: when the calls stop, somebody elsewhere notices.

On holidays it is called in the usual hours, for whoever waits for the calls knows none; and never while the
page does not answer: it is the page's process that tells of all else.
The call has a thread of its own and never more than one call waits: what is called cannot delay a cycle.
"""

import logging
import threading
from datetime import datetime

import requests

from orchestra.base import clock, hiding, systemd
from orchestra.base.market_calendar import NEW_YORK, USUAL_CLOSE, USUAL_OPEN, new_york

PART = "deadman"  # of health
PAGE_SECONDS = 5.0  # machine seconds for the page to answer
NO_PAGE = "DEADMAN_URL is not called: the page does not answer, so nobody is told of anything."
TIMEOUTS = (3.0, 5.0)  # machine seconds to connect, and for each part of the answer

log = logging.getLogger("autotrader.orchestrator")


class Deadman:
    """One address; without one nothing is called. ``page`` is the page's own."""

    def __init__(self, url: str, page: str) -> None:
        self._url = url
        self._page = page
        self._cycles = threading.Event()
        self._is_closed = False
        self._trouble = ""
        if url:
            threading.Thread(target=self._run, name="deadman", daemon=True).start()

    @property
    def health(self) -> dict[str, tuple[str, str]]:
        """The part ``deadman``; nothing where no address was given."""
        if not self._url:
            return {}
        return {PART: ("degraded", self._trouble) if self._trouble else ("ok", "")}

    def cycle_done(self) -> None:
        """Have the address called; never waits."""
        self._cycles.set()

    def market_closed(self, moment: datetime) -> None:
        """Have it called if ``moment`` is in a session's usual hours."""
        if is_usually_open(moment):
            self._cycles.set()

    def close(self) -> None:
        """Call no more. A call that is under way is not waited for."""
        self._is_closed = True
        self._cycles.set()

    def _run(self) -> None:
        with requests.Session() as session:
            while self._cycles.wait() and not self._is_closed:
                self._cycles.clear()
                self._call(session)

    def _call(self, session: requests.Session) -> None:
        trouble = NO_PAGE
        if systemd.answers(f"{self._page}/healthz", PAGE_SECONDS):
            trouble = self._called(session)
        if trouble != self._trouble:
            log.log(
                logging.WARNING if trouble else logging.INFO, "%s", trouble or "DEADMAN_URL answers"
            )
        self._trouble = trouble

    def _called(self, session: requests.Session) -> str:
        """Call it; return what went wrong, empty where it answered."""
        try:
            with session.get(self._url, timeout=TIMEOUTS, stream=True) as answer:
                answer.raise_for_status()
        except requests.RequestException as error:
            return f"DEADMAN_URL could not be called: {_why(error)}"
        return ""


def is_usually_open(moment: datetime) -> bool:
    """Whether it would be open then without holidays and early closes."""
    day = moment.astimezone(NEW_YORK).date()
    return day.weekday() < 5 and new_york(day, USUAL_OPEN) <= moment < new_york(day, USUAL_CLOSE)


def _why(error: requests.RequestException) -> str:
    """Name the failure without the address, which may hold a key."""
    if error.response is not None:
        return f"it answered {error.response.status_code} at {clock.stamp()}."
    return hiding.hide(f"{type(error).__name__} at {clock.stamp()}.")
