"""What settings must be. A check of a text returns its value, or raises ValueError with what was expected."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestra.base.alpaca_addresses import LIVE_URL, PAPER_URL, is_alpacas
from orchestra.base.errors import SettingsError

if TYPE_CHECKING:
    from orchestra.base.settings import Settings

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


def check_together(settings: "Settings") -> None:
    """Refuse settings that contradict each other. Raises SettingsError with one sentence."""
    if bool(settings.alpaca_api_key) != bool(settings.alpaca_secret):
        raise SettingsError("ALPACA_API_KEY and ALPACA_SECRET go together: one of them is empty.")
    if settings.on_network and not settings.allowed_hosts:
        raise SettingsError(
            f"API_HOST={settings.api_host} opens the page to the network: write the names it is called"
            " by there into ALLOWED_HOSTS, like wall.local,192.168.1.20, or leave API_HOST empty."
        )
    trading = settings.trading_url.rstrip("/")
    expected = PAPER_URL if settings.alpaca_paper else LIVE_URL
    if trading in (PAPER_URL, LIVE_URL) and trading != expected:
        raise SettingsError(
            f"ALPACA_PAPER={settings.alpaca_paper} but ALPACA_TRADING_URL is {trading}:"
            " make them agree."
        )
    accelerated = settings.market_clock_speed != 1 or settings.market_clock_start is not None
    for each in (settings.trading_url, settings.data_url, settings.stream_url):
        if accelerated and is_alpacas(each):
            raise SettingsError(
                f"The market clock is accelerated, but {urlsplit(each).hostname} runs on real time:"
                " remove MARKET_CLOCK_START and MARKET_CLOCK_SPEED."
            )
    anchors = (settings.market_clock_anchor, settings.market_clock_steady_anchor)
    if any(anchor is not None for anchor in anchors) and settings.market_clock_start is None:
        raise SettingsError("MARKET_CLOCK_ANCHOR needs MARKET_CLOCK_START beside it.")
