"""Parameters of a request's query, read and checked. Each raises Refusal naming the wrong one."""

from datetime import UTC, date, datetime

from flask import request

from orchestra.base.market_calendar import new_york
from orchestra.simulator.refusals import invalid


def choice(name: str, words: tuple[str, ...], default: str) -> str:
    """One of some words, in lower case."""
    value = request.args.get(name) or default
    if value.lower() not in words:
        raise invalid(f"invalid {name}: {value}")
    return value.lower()


def whole(name: str, default: int, least: int, most: int) -> int:
    """A whole number within least..most."""
    value = request.args.get(name) or str(default)
    if not value.isdecimal() or not least <= int(value) <= most:
        raise invalid(f"invalid {name}: {value}, expected a whole number from {least} to {most}")
    return int(value)


def day(name: str, default: date) -> date:
    """A date, or the date of a moment."""
    value = request.args.get(name)
    if not value:
        return default
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise invalid(f"invalid {name}: {value}, expected YYYY-MM-DD") from None


def time(name: str, default: datetime) -> datetime:
    """A moment in RFC 3339, UTC where it names no zone; a bare date is its New York midnight."""
    value = request.args.get(name)
    if not value:
        return default
    try:
        if len(value) == len("2024-01-02"):
            return new_york(date.fromisoformat(value), "00:00")
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(f"invalid {name}: {value}, expected RFC 3339 or YYYY-MM-DD") from None
