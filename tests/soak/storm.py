"""What goes wrong when, drawn from a seed before the run: faults, kills, a full disk, a damaged file.

Every fault the simulated exchange knows has its variants here; each stands for a bounded time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from orchestra.base.market_calendar import NEW_YORK
from orchestra.simulator.garbling import HOWS
from tests.soak.form import MINUTE, SPLIT_TICKER, TICKERS, Form, Session

TARGETS = ("orchestrator", "gunicorn", "gunicorn's worker", "an algorithm's worker", "exchange")
FAULTS_A_SESSION = 12
FACTS = ("early_close", "split")  # of the market: they stand for good, whoever is killed
EARLY_CLOSE = timedelta(hours=1)  # before the regular one
PATHS = ("", "/v2/orders", "/v2/positions", "/v2/stocks", "/v2/account")


@dataclass(frozen=True)
class Event:
    """Something to be done at a market time; ``seconds`` (machine time) is how long it stands."""

    at: datetime
    kind: str  # fault, kill, disk, damage
    subject: str
    seconds: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)


def _some(rng: Random) -> list[str]:
    return rng.sample(TICKERS, rng.randint(1, len(TICKERS)))


def _garbled(rng: Random) -> dict[str, Any]:
    """Any nonsense but a figure that might be true: no reader could tell that one."""
    hows = [how for how in HOWS if how not in ("any", "types")]
    return {"how": rng.choice(hows), "seed": rng.randint(0, 999), "times": rng.randint(1, 6)}


Variant = Callable[[Random], dict[str, Any]]
VARIANTS: dict[str, tuple[Variant, ...]] = {
    "delay": (lambda r: {"seconds": round(r.uniform(0.05, 0.5), 2), "path": r.choice(PATHS)},),
    "hang": (
        lambda r: {"when": "before", "times": r.randint(1, 3), "path": r.choice(PATHS)},
        lambda r: {"when": "after", "times": r.randint(1, 3), "path": r.choice(PATHS)},
    ),
    "429": (lambda r: {"reset": r.choice((1.0, 3.0, 60.0)), "path": r.choice(PATHS)},),
    "500": (lambda r: {"path": r.choice(PATHS)},),
    "unauthorized": (lambda r: {"path": r.choice(PATHS)},),
    "504_after_accept": (lambda r: {"times": r.randint(1, 4)},),
    "cut": (
        lambda r: {"when": "before", "times": r.randint(1, 4)},
        lambda r: {"when": "after", "times": r.randint(1, 4)},
        lambda r: {"when": "before", "path": "", "method": ""},
    ),
    "reject": (lambda r: {"times": r.randint(1, 4)},),
    "orders_barred": (lambda r: {"times": r.randint(1, 4)},),
    "stuck": (lambda r: {"symbol": r.choice(TICKERS)}, lambda r: {"times": 1}),
    "partial_fill": (
        lambda r: {"fraction": round(r.uniform(0.1, 0.9), 2), "then": "open"},
        lambda r: {"fraction": round(r.uniform(0.1, 0.9), 2), "then": "canceled"},
    ),
    "stall": tuple(
        lambda r, point=point: {"point": point, "times": r.randint(1, 2)}  # type: ignore[misc]
        for point in ("received", "accepted", "filled")
    ),
    "garble": (lambda r: {**_garbled(r), "path": r.choice(PATHS)},),
    "echo_headers": (lambda r: {"path": r.choice(PATHS)},),
    "garble_stream": (_garbled,),
    "drop": (lambda r: {"times": r.randint(1, 3)},),
    "freeze": (lambda r: {},),
    "mute": (lambda r: {},),
    "406": (lambda r: {"times": r.randint(1, 2)},),
    "auth_failed": (lambda r: {"times": r.randint(1, 2)},),
    "late_bars": (
        lambda r: {"seconds": float(r.randint(2, 50)), "where": "stream", "symbols": _some(r)},
        lambda r: {"seconds": float(r.randint(20, 150)), "where": "both", "symbols": _some(r)},
    ),
    "missing_bars": (
        lambda r: {"probability": 0.5, "seed": r.randint(0, 999), "where": "stream"},
        lambda r: {"probability": 1.0, "where": "rest", "symbols": _some(r)},
        lambda r: {"probability": 0.7, "seed": r.randint(0, 999), "where": "both"},
    ),
    "updated_bars": (lambda r: {"seconds": float(r.randint(10, 50)), "symbols": _some(r)},),
    "clock_skew": (lambda r: {"seconds": r.choice((-3600.0, -20.0, 20.0, 3600.0))},),
    "early_close": (),  # placed on their days below
    "split": (),
}
RECONNECTING = ("406", "auth_failed")  # only a new connection meets them


def storm(form: Form) -> tuple[list[Event], list[Session]]:
    """Everything that goes wrong, by time; and the sessions as they then are, early close included."""
    rng = Random(form.seed)
    sessions = form.sessions()
    facts, sessions = _facts(form, sessions)
    events = [*facts, *_faults(rng, form, sessions), *_kills(rng, form, sessions)]
    events += _broken_storage(rng, form, sessions)
    return sorted(events, key=lambda event: event.at), sessions


def _facts(form: Form, sessions: list[Session]) -> tuple[list[Event], list[Session]]:
    """An unscheduled early close and a split, announced the session before."""
    if len(sessions) < 2:
        return [], sessions
    early, split = (len(sessions) - 1, len(sessions) - 1) if form.edge else _places(sessions)
    shortened = list(sessions)
    at = sessions[early]
    close = at.close if form.edge else at.close - EARLY_CLOSE
    shortened[early] = Session(at.day, at.open, close)
    wall_time = f"{close.astimezone(NEW_YORK):%H:%M}"
    told = {
        "early_close": (early, {"day": at.day.isoformat(), "time": wall_time}),
        "split": (
            split,
            {"symbol": SPLIT_TICKER, "day": sessions[split].day.isoformat(), "ratio": 2},
        ),
    }
    return [
        Event(_middle(sessions[index - 1]), "fault", name, parameters=parameters)
        for name, (index, parameters) in told.items()
    ], shortened


def _places(sessions: list[Session]) -> tuple[int, int]:
    """The sessions of early close and split: neither the first nor, where possible, the same."""
    early = max(1, len(sessions) // 2)
    return early, max(1, len(sessions) // 3)


def _middle(session: Session) -> datetime:
    return session.open + session.minutes // 2 * MINUTE


def _faults(rng: Random, form: Form, sessions: list[Session]) -> list[Event]:
    """All kinds in turn, in an order of its own each time round."""
    longest = 1.5 if form.edge else 4.0
    kinds: list[str] = []
    found = []
    for session in sessions:
        count = max(1, FAULTS_A_SESSION * session.minutes // 390)
        count = len(VARIANTS) // 2 if form.edge else count
        for at in _moments(rng, session, count, form.last_trouble(session)):
            if not kinds:
                kinds = [kind for kind in VARIANTS if kind not in FACTS]
                rng.shuffle(kinds)
            kind = kinds.pop()
            parameters = rng.choice(VARIANTS[kind])(rng)
            found.append(Event(at, "fault", kind, round(rng.uniform(0.5, longest), 2), parameters))
            if kind in RECONNECTING:
                found.append(Event(at, "fault", "drop", 1.0, {"times": 1}))
    if form.is_long:  # once beyond what the clients wait for: 4 s, 10 s, and 30 s for an order
        slow = sessions[len(sessions) // 4]
        found += [
            Event(slow.open + 60 * MINUTE, "fault", "hang", 12.0, {"path": "/v2/positions"}),
            Event(slow.open + 120 * MINUTE, "fault", "hang", 6.0, {"path": "/v2/stocks"}),
            Event(slow.open + 180 * MINUTE, "fault", "stuck", 33.0, {"symbol": "AAPL"}),
            Event(slow.open + 300 * MINUTE, "fault", "freeze", 14.0),
        ]
    return found


def _kills(rng: Random, form: Form, sessions: list[Session]) -> list[Event]:
    """Each process so many times, at any moment of the sessions that are not calm."""
    calm = form.calm_from()
    stormy = [session for session in sessions if calm is None or session.day < calm]
    found = []
    for target in TARGETS:
        for number in range(form.kills):
            low = number * len(stormy) // form.kills
            session = rng.choice(stormy[low : (number + 1) * len(stormy) // form.kills] or stormy)
            [at] = _moments(rng, session, 1, form.last_trouble(session))
            found.append(Event(at, "kill", target))
    return found


def _broken_storage(rng: Random, form: Form, sessions: list[Session]) -> list[Event]:
    full, damaged = (0, -1) if form.edge else (len(sessions) // 3, len(sessions) // 5)
    seconds = 3.0 if form.edge else 8.0
    part = 4 if form.edge else 3
    return [
        Event(_middle(sessions[full]), "disk", "the disk is full", seconds),
        Event(
            sessions[damaged].open + sessions[damaged].minutes // part * MINUTE,
            "damage",
            "stocks.db",
        ),
    ]


def _moments(
    rng: Random, session: Session, count: int, last: datetime | None = None
) -> list[datetime]:
    """So many random seconds of a session, in order."""
    first = session.open + 3 * MINUTE
    seconds = max(1.0, ((last or session.close) - first).total_seconds())
    return sorted(first + timedelta(seconds=rng.uniform(0, seconds)) for _ in range(count))
