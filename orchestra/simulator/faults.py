"""What the exchange can be told to misbehave in, and what it was told.

A fault is ``{"name": ..., "times": n or null, ...parameters}``. One with ``times`` left is used up by
what it hits; without ``times`` it stands until it is cleared.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import inf, isfinite
from random import Random
from typing import Any

from orchestra.base.errors import BadInput
from orchestra.simulator.garbling import HOWS


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError("a number of seconds")
    return float(value)


def _above_zero(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ValueError("a number above 0")
    return float(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def _symbols(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of symbols")
    return value


def _day(value: Any) -> str:
    try:
        return date.fromisoformat(_text(value)).isoformat()
    except ValueError:
        raise ValueError("a day like 2024-01-03") from None


def _wall_time(value: Any) -> str:
    hours, _, minutes = _text(value).partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError("a New York time like 13:00")
    return f"{int(hours):02}:{int(minutes):02}"


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(" or ".join(words))
        return str(value)

    return check


Check = Callable[[Any], Any]
REQUIRED = object()
_REQUEST: dict[str, tuple[Check, Any]] = {"path": (_text, ""), "method": (_text, "")}
_ACCEPTED_ORDER: dict[str, tuple[Check, Any]] = {
    "path": (_text, "/v2/orders"),
    "method": (_text, "POST"),
}
_ORDER: dict[str, tuple[Check, Any]] = {"symbol": (_text, "")}
_BARS: dict[str, tuple[Check, Any]] = {"symbols": (_symbols, [])}  # an empty list means all

KINDS: dict[str, dict[str, tuple[Check, Any]]] = {
    # REST: a request whose path starts with ``path`` (and has that method) ...
    "delay": {"seconds": (_seconds, REQUIRED), **_REQUEST},  # is answered later
    "hang": {
        "seconds": (_seconds, 3600.0),
        "when": (_one_of("before", "after"), "before"),
        **_REQUEST,
    },
    "429": {
        "reset": (_seconds, 60.0),
        **_REQUEST,
    },  # says that the limit is reset in so many seconds
    "500": _REQUEST,
    "unauthorized": _REQUEST,
    "504_after_accept": _ACCEPTED_ORDER,
    # ... is answered with nonsense, with the status it should have had
    "garble": {"how": (_one_of(*HOWS), "any"), "seed": (_whole, 0), **_REQUEST},
    "echo_headers": _REQUEST,  # ... is refused (401) with what it was sent in its sentence
    "cut": {"when": (_one_of("before", "after"), "after"), **_ACCEPTED_ORDER},
    "orders_barred": {},  # the account's owner has switched its orders off
    # Orders, of one symbol or all
    "reject": _ORDER,  # after it was accepted
    "stuck": _ORDER,  # in "new", until cleared
    "partial_fill": {
        "fraction": (_share, 0.5),
        "then": (_one_of("open", "canceled"), "open"),
        **_ORDER,
    },
    "stall": {"point": (_one_of("received", "accepted", "filled"), REQUIRED), **_ORDER},
    # Stream
    "drop": {},  # the connection, before the next minute's frame
    "freeze": {},  # until cleared: nothing is read, answered or sent
    "mute": {},  # connected, but not a frame of data
    "garble_stream": {"how": (_one_of(*HOWS), "any"), "seed": (_whole, 0)},  # a minute's frame
    "406": {},
    "auth_failed": {},
    # Bars
    "late_bars": {
        "seconds": (_seconds, REQUIRED),
        "where": (_one_of("stream", "rest", "both"), "stream"),
        **_BARS,
    },
    "missing_bars": {
        "probability": (_share, 1.0),
        "seed": (_whole, 0),
        "where": (_one_of("stream", "rest", "both"), "stream"),
        **_BARS,
    },
    "updated_bars": {"seconds": (_seconds, 30.0), **_BARS},
    # The market
    "clock_skew": {"seconds": (_seconds, REQUIRED)},
    "early_close": {"day": (_day, REQUIRED), "time": (_wall_time, "13:00")},
    "split": {
        "symbol": (_text, REQUIRED),
        "day": (_day, REQUIRED),
        "ratio": (_above_zero, REQUIRED),  # new shares for an old one
    },
}


@dataclass(eq=False)
class Fault:
    """One fault, with what is left of it and what it holds up."""

    id: int
    name: str
    times: int | None
    parameters: dict[str, Any]
    hits: int = 0
    holding: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __getitem__(self, parameter: str) -> Any:
        return self.parameters[parameter]

    @property
    def dice(self) -> Random:
        """Chance for its newest hit: the same seed breaks the same things."""
        return Random(f"{self['seed']} {self.hits}")

    @property
    def left(self) -> bool:
        return self.times is None or self.times > 0

    def concerns(self, symbol: str) -> bool:
        """Say whether a fault of bars is about ``symbol``."""
        return not self["symbols"] or symbol in self["symbols"]

    def hold(self, what: str) -> None:
        """Wait until the fault is cleared, listed meanwhile as holding ``what``."""
        self.holding.append(what)
        self.released.wait()
        self.holding.remove(what)

    def shown(self) -> dict[str, Any]:
        """The fault as ``/_faults`` lists it."""
        return {
            "id": self.id,
            "name": self.name,
            "times": self.times,
            **self.parameters,
            "hits": self.hits,
            "holding": list(self.holding),
        }


class Faults:
    """The faults in force. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next_id = 1
        self.version = 0  # grows with every change, so that what depends on faults can be kept

    @property
    def none(self) -> bool:
        """Whether no fault is listed at all: the usual case, which must cost nothing."""
        return not self._faults

    def add(self, wanted: Mapping[str, Any]) -> Fault:
        """Put a fault in force. Raises BadInput with what is wrong and what exists."""
        name, times, parameters = _checked(wanted)
        with self._lock:
            fault = Fault(self._next_id, name, times, parameters)
            self._next_id += 1
            self._faults.append(fault)
            self.version += 1
        return fault

    def clear(self, name: str | None = None) -> None:
        """End all faults, or those of one name, and let go what they hold."""
        with self._lock:
            ended = [fault for fault in self._faults if name in (None, fault.name)]
            self._faults = [fault for fault in self._faults if fault not in ended]
            self.version += 1
        for fault in ended:
            fault.released.set()

    def shown(self) -> list[dict[str, Any]]:
        """List the faults, used-up ones included, with what is left of each."""
        with self._lock:
            return [fault.shown() for fault in self._faults]

    def standing(self, name: str) -> list[Fault]:
        """The faults of that name that are not used up."""
        if self.none:
            return []
        with self._lock:
            return [fault for fault in self._faults if fault.name == name and fault.left]

    def take(self, name: str, **facts: str) -> Fault | None:
        """Return the first fault of that name that matches, one use of it spent; None without."""
        if self.none:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.name == name and fault.left and _matches(fault, facts):
                    fault.hits += 1
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


def _matches(fault: Fault, facts: Mapping[str, str]) -> bool:
    for fact, value in facts.items():
        wanted = fault.parameters.get(fact, "")
        if fact == "path" and not value.startswith(wanted):
            return False
        if fact != "path" and wanted not in ("", value):
            return False
    return True


def _checked(wanted: Mapping[str, Any]) -> tuple[str, int | None, dict[str, Any]]:
    given = dict(wanted)
    name, times = given.pop("name", None), given.pop("times", None)
    if name not in KINDS:
        raise BadInput(f"There is no fault {name!r}; there are {', '.join(sorted(KINDS))}.")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise BadInput(f"Fault {name}: expected times to be a whole number or null, was {times!r}.")
    unknown = sorted(set(given) - set(KINDS[name]))
    if unknown:
        raise BadInput(
            f"Fault {name} has no parameter {unknown[0]!r}; it has {sorted(KINDS[name])}."
        )
    parameters = {}
    for parameter, (check, default) in KINDS[name].items():
        value = given.get(parameter, default)
        if value is REQUIRED:
            raise BadInput(f"Fault {name} needs the parameter {parameter!r}.")
        try:
            parameters[parameter] = check(value)
        except ValueError as expected:
            raise BadInput(
                f"Fault {name}: expected {parameter} to be {expected}, was {value!r}."
            ) from None
    return name, times, parameters
