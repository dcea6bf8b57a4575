"""What callers may hand in: tickers, moments, bars. Each check raises BadInput with a sentence that helps."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestra.base import clock
from orchestra.base.errors import BadInput
from orchestra.base.tickers import ticker as ticker  # one form for all layers

LARGEST = 1e12  # of a price in dollars, or of shares in a minute
FIELDS = ("timestamp", "open", "high", "low", "close", "volume")


def moment(value: object, name: str = "timestamp") -> datetime:
    """Return the UTC moment of a stamp YYYY-MM-DDTHH:MM:SSZ or of an aware datetime."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str) and len(value) == 20 and value[19] == "Z":
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            parsed = None
        # fromisoformat also reads week dates and blanks for the T: only the one format is ours
        if parsed is not None and parsed.isoformat()[:19] == value[:19]:
            return parsed
    raise BadInput(f"Expected {name} as a UTC stamp like 2024-06-04T14:30:00Z, found {value!r}.")


def minute(value: object, name: str = "timestamp") -> str:
    """Return the stamp of a whole minute."""
    found = moment(value, name)
    if found.second or found.microsecond:
        raise BadInput(
            f"A bar is named by the start of its minute: {name} {value!r} is not on a full minute."
        )
    return value if isinstance(value, str) else clock.stamp(found)


def span(start: object, end: object) -> tuple[datetime, datetime]:
    """Return two moments in order, both included."""
    first, last = moment(start, "start"), moment(end, "end")
    if first > last:
        raise BadInput(f"start {clock.stamp(first)} is later than end {clock.stamp(last)}.")
    return first, last


def count(value: object) -> int:
    """Return a number of bars, 1 or more."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise BadInput(f"Expected n as a whole number of bars, 1 or more, found {value!r}.")


def fault_of(bar: Mapping[str, Any]) -> str | None:
    """Say in one sentence what is wrong with a bar's figures; None when nothing is."""
    for name in FIELDS:
        if name not in bar:
            return f"A bar needs {', '.join(FIELDS)}: {name} is missing."
    for name in FIELDS[1:]:
        value = bar[name]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= LARGEST  # NaN is not
        ):
            return f"Expected {name} as a finite number of a sensible size, found {value!r:.60}."
        if name != "volume" and value <= 0:
            return f"Expected {name} above 0 dollars, found {value!r}."
    if bar["volume"] < 0:
        return f"Expected a volume of 0 shares or more, found {bar['volume']!r}."
    if bar["high"] < max(bar["low"], bar["open"], bar["close"]):
        return f"high {bar['high']} is not the highest of the bar's four prices."
    if bar["low"] > min(bar["open"], bar["close"]):
        return f"low {bar['low']} is not the lowest of the bar's four prices."
    return None
