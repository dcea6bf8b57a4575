"""Tells somebody far from the wall, through the services that NOTIFY_URLS names.

It lives in the page's server: it reads what happened from the ledger, so no service can hold up a cycle,
and it notices when the trader falls silent. Each service has a thread and a mark of its own up to where
it was told, so one that is out of reach is told later, in one message, and holds up no other.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from orchestra import headlines
from orchestra.base import clock, hiding, settings
from orchestra.silence import LEDGER_FAILS, Silence
from orchestra.troubles import Troubles
from system_databse import heartbeats, news, system_db_manager

PART = "notifications"  # of health
NOT_INSTALLED = (
    "NOTIFY_URLS is set, but the package apprise is not installed:"
    " .venv/bin/pip install --require-hashes -r requirements-notify.txt"
)
POLL_SECONDS = 2.0
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 15.0, 600.0
MOST_LINES, LONGEST_LINE = 20, 500  # of one message; characters
SAID_AGAIN_SECONDS = (
    3600.0  # after which the same sentence is news again, with another stamp in it or not
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z")

log = logging.getLogger("autotrader.api")


class Messenger:
    """Tells one service."""

    def __init__(self, service: Any, name: str, listener: str) -> None:
        self._service = service
        self.name = name
        self._listener = listener
        self._mark: news.Mark | None = None
        self._ledger: str | None = None  # that the mark is of
        self._silence, self._troubles = Silence(), Troubles()
        self._own: list[tuple[str, str]] = []  # topic and sentence of what is in no database
        self._said: dict[str, float] = {}
        self._retry_seconds = RETRY_SECONDS
        self._not_before = 0.0  # on clock.elapsed's scale
        self.trouble = ""  # why it could not be told last, empty where it could

    def listen(self) -> None:
        """Hear of everything from now on, or from where it was told last."""
        self._ledger = system_db_manager.get_config("ledger")
        self._mark = news.mark_of(self._listener)

    def look(self) -> None:
        """Tell what is new, if anything is; where it cannot be told, later.

        Raises where the ledger cannot be read, once what is known without it is told, or not written.
        """
        self._own += self._heard_here()
        if clock.elapsed() < self._not_before:
            return
        try:
            # Another one in its place counts its events and fills from one
            if self._mark is None or self._ledger != system_db_manager.get_config("ledger"):
                self.listen()
            assert self._mark is not None
            items, mark = news.since(self._mark)
        except LEDGER_FAILS:
            if self._own and self._send(self._own):
                self._own = []
            raise
        told = self._own + self._worth_telling(items)
        if told and not self._send(told):
            return
        # First: that it is told may not be written down for days, and is no reason to tell it again
        self._mark, self._own = mark, []
        if told:
            news.keep_mark(self._listener, mark)

    def _heard_here(self) -> list[tuple[str, str]]:
        """What is told by the signs of life alone; of a trader that is silent nothing else is known."""
        told = [("stopped", sentence) for sentence in self._silence.look()]
        if not self._silence.lasts:
            told += [("problems", sentence) for sentence in self._troubles.look()]
        return [each for each in told if each[0] in _wanted()]

    def _worth_telling(self, items: list[news.Item]) -> list[tuple[str, str]]:
        """Of what happened, what was asked for, and the same sentence once in a while only."""
        now, found = clock.elapsed(), []
        for item in items:
            topic, sentence = headlines.headline(item)
            if topic not in _wanted():
                continue
            if item.kind in ("event", "refusal"):
                same = STAMP.sub("", sentence)
                if now - self._said.get(same, -SAID_AGAIN_SECONDS) < SAID_AGAIN_SECONDS:
                    continue
                self._said[same] = now
            found.append((topic, sentence))
        self._said = {s: at for s, at in self._said.items() if now - at < SAID_AGAIN_SECONDS}
        return found

    def _send(self, told: list[tuple[str, str]]) -> bool:
        urgent = any(topic in headlines.URGENT for topic, _ in told)
        text = fitting([sentence for _, sentence in told], self._service.body_maxlen)
        failure = send(self._service, text, urgent=urgent)
        if failure:
            self.trouble = f"{self.name} could not be told since {clock.stamp()}: {failure}"
            self._not_before = clock.elapsed() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
            for _, sentence in told:
                self._said.pop(STAMP.sub("", sentence), None)
            log.warning("%s", self.trouble)
            return False
        self.trouble, self._retry_seconds = "", RETRY_SECONDS
        return True


def _wanted() -> Collection[str]:
    return settings.current().notify_about or settings.NOTIFY_TOPICS


def fitting(sentences: list[str], longest: int) -> str:
    """Return a message of as many sentences as a service takes, a line each; the others are counted.

    One beyond the ``longest`` characters would be refused today, and at each later try.
    """
    room = longest // 2  # the rest is for the title, and what the service's own form makes of signs
    widest = min(room, LONGEST_LINE)
    lines: list[str] = []
    for sentence in sentences[:MOST_LINES]:
        line = hiding.hide(sentence)  # whole: half a key could not be told
        line = line if len(line) <= widest else f"{line[: widest - 3]}..."
        if len(line) > room:
            break
        lines.append(line)
        room -= len(line) + 1
    if len(lines) < len(sentences):
        lines.append(f"and {len(sentences) - len(lines)} more.")
    return "\n".join(lines)


def send(service: Any, text: str, *, urgent: bool = False) -> str:
    """Send one message; return what went wrong, empty where it was taken."""
    title = f"AutoTrader {settings.current().mode.upper()}"
    kind = "warning" if urgent else "info"
    try:
        taken = service.notify(title=title, body=hiding.hide(text), notify_type=kind)
    except Exception as error:  # a service's plug-in may raise anything
        return hiding.hide(f"{type(error).__name__}: {error}")
    return "" if taken else "it did not take the message"


def services() -> list[tuple[str, Any]]:
    """Return name and service of each of NOTIFY_URLS; None for an address that apprise does not know.

    Raises ImportError where apprise is not installed.
    """
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold addresses
    found = []
    for number, url in enumerate(settings.current().notify_urls or (), 1):
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        name = f"{service.service_name} ({number})" if service else f"Address {number}"
        found.append((name, service))
    return found


def start(stop: threading.Event | None = None) -> None:
    """Begin to tell in the background, until ``stop``; without NOTIFY_URLS nothing is begun."""
    if settings.current().notify_urls:
        _in_background(_tell, stop or threading.Event())


def _tell(stop: threading.Event) -> None:
    """Begin to tell each service, and keep health told of how that goes."""
    try:
        known = services()
    except ImportError:
        log.error("%s", NOT_INSTALLED)
        heartbeats.beat({PART: ("degraded", NOT_INSTALLED)})
        return
    unknown = [f"{name} is none that apprise knows." for name, service in known if service is None]
    urls = settings.current().notify_urls or ()
    messengers = [
        Messenger(service, name, hashlib.sha256(url.encode()).hexdigest()[:8])
        for (name, service), url in zip(known, urls, strict=True)
        if service is not None
    ]
    for messenger in messengers:
        with _ledger_may_fail():
            messenger.listen()
        _in_background(_keep_looking, messenger, stop)
    said = None
    while True:
        troubles = unknown + [each.trouble for each in messengers if each.trouble]
        names = ", ".join(each.name for each in messengers)
        state = ("degraded", " ".join(troubles)) if troubles else ("ok", f"{names}.")
        if state != said:
            with _ledger_may_fail():
                heartbeats.beat({PART: state})
                said = state
        if not clock.pause(POLL_SECONDS, stop):
            return


def _keep_looking(messenger: Messenger, stop: threading.Event) -> None:
    while True:
        with _ledger_may_fail():
            messenger.look()
        if not clock.pause(POLL_SECONDS, stop):
            return


def _in_background(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, name="messenger", daemon=True).start()


@contextmanager
def _ledger_may_fail() -> Iterator[None]:
    """Go on where the ledger cannot be read or written at the moment: health tells of that."""
    try:
        yield
    except LEDGER_FAILS as error:
        log.warning("Nothing can be told at the moment: %s", error)
