"""The answer that the page polls, built once for each change for however many ask.

The cards hang on the two databases, the market's minute and the calendar; nothing of them is worked out
again while those stay as they are. Health and the clock's time are told anew each second.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from database.calendar import calendar
from orchestra.base import clock, settings
from orchestra.base.changes import Watch
from orchestra.base.market_calendar import floor_minute
from orchestra.web import cards, health
from orchestra.web.totals import totals

State = tuple[object, ...]


@dataclass
class _Shown:
    """The cards of one ``status`` as they were in one state, and how they are written."""

    state: State
    cards: list[dict[str, Any]]
    text: str
    told: tuple[object, ...] = ()  # when ``rest`` was made
    rest: str = ""


@dataclass
class Wall:
    """Knows the last answer for each ``status``; one object for the application."""

    _system: Watch = field(default_factory=Watch)
    _stocks: Watch = field(default_factory=Watch)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: dict[str | None, _Shown] = field(default_factory=dict)

    def answer(self, status: str | None) -> str:
        """Return the JSON of the cards, with market and health."""
        state = self._state()
        with self._lock:
            shown = self._shown.get(status)
            if shown is None or shown.state != state:
                shown = self._shown[status] = _build(state, status)
            now = clock.now()
            second = (clock.stamp(now), int(clock.elapsed()))
            if shown.told != second:
                is_open = calendar().is_open(now)
                told = {**market(), "health": health.health(shown.cards, is_open)}
                shown.rest, shown.told = current_app.json.dumps(told), second
            return f"{shown.text[:-1]},{shown.rest[1:]}"

    def _state(self) -> State:
        """What the cards depend on; looked at before they are built, so that no change is missed."""
        chosen = settings.current()
        return (
            self._system.state(chosen.system_db_path),
            self._stocks.state(chosen.stocks_db_path),
            floor_minute(clock.now()),
            calendar(),
            chosen,
        )


def _build(state: State, status: str | None) -> _Shown:
    shown = cards.cards(status)
    everything = totals(shown if status is None else cards.cards())
    answer = {"algorithms": shown, "build": current_app.config["BUILD"], "totals": everything}
    return _Shown(state, shown, current_app.json.dumps(answer))


def market() -> dict[str, Any]:
    """Return the market's state and clock as the page shows it."""
    now, chosen = clock.now(), settings.current()
    next_open, next_close = calendar().next_open(now), calendar().next_close(now)
    return {
        "market_open": calendar().is_open(now),
        "market": {
            "now": clock.stamp(now),
            "next_open": clock.stamp(next_open) if next_open else None,
            "next_close": clock.stamp(next_close) if next_close else None,
            "mode": chosen.mode,
            "speed": clock.speed(),
            "skip_closed": chosen.market_clock_skip_closed,
        },
    }
