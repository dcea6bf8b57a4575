"""What a setting's text must be: a check returns its value, or raises ValueError with what was expected."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

HOST_FORM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def boolean(text: str) -> bool:
    """Exactly True or False."""
    if text not in ("True", "False"):
        raise ValueError("exactly True or False")
    return text == "True"


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def check(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return check


def number(least: float, *, open_end: bool = False) -> Callable[[str], float]:
    """A number of at least ``least``, or above it."""

    def check(text: str) -> float:
        wanted = f"a number {'above' if open_end else 'of at least'} {least:g}"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(wanted) from None
        if not math.isfinite(value) or value < least or (open_end and value == least):
            raise ValueError(wanted)
        return value

    return check


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError("a port number from 1 to 65535")
    return int(text)


def moment(text: str) -> datetime:
    """A UTC stamp."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("a UTC stamp like 2024-06-04T14:30:00Z") from None


def url(*schemes: str) -> Callable[[str], str]:
    """An address with one of these schemes."""

    def check(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"an address starting with {' or '.join(s + '://' for s in schemes)}")
        return text

    return check


def addresses(text: str) -> tuple[str, ...]:
    """Addresses of any scheme, separated by blanks."""
    found = tuple(text.split())
    if not all("://" in each for each in found):
        raise ValueError("addresses like ntfy://topic, separated by blanks")
    return found


def words(*known: str) -> Callable[[str], frozenset[str]]:
    """Some of these words, separated by commas."""

    def check(text: str) -> frozenset[str]:
        found = frozenset(word.strip() for word in text.split(","))
        if not found <= frozenset(known):
            raise ValueError(f"some of {','.join(known)}")
        return found

    return check


def address(text: str) -> str:
    """An IPv4 address of this machine, or localhost."""
    try:
        return text if text == "localhost" else str(IPv4Address(text))
    except AddressValueError:
        raise ValueError("an IPv4 address of this machine, or 0.0.0.0 for all of them") from None


def hosts(text: str) -> frozenset[str]:
    """Names or addresses that a browser may call the page by, separated by commas."""
    names = [name.strip().lower() for name in text.split(",")]
    if not all(HOST_FORM.fullmatch(name) for name in names):
        raise ValueError("names or IPv4 addresses without a port, like wall.local,192.168.1.20")
    return frozenset(names)
