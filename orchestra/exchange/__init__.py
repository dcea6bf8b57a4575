"""Builds alpaca-py's clients: keys, addresses, timeouts, no blind retries. Nothing else constructs one.

What loads pandas is imported where it is built: the page's process only reads the account, and needs none.
All clients are built with ``raw_data=True``: answers are plain dicts as they came, so an enum value
that alpaca-py does not know yet cannot raise after the broker has acted.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
from alpaca.common.exceptions import APIError
from requests.adapters import HTTPAdapter

from orchestra.base import clock, hiding, settings
from orchestra.base.alpaca_addresses import is_alpacas
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable
from orchestra.exchange.budget import Budget

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient
    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.trading.client import TradingClient

    from orchestra.exchange.stream import HeardStream

LONGEST_QUOTE = 300  # characters of what an exchange says, in a sentence of ours
CONNECT_SECONDS = 3.05
READ_SECONDS = 10.0
HISTORY_READ_SECONDS = 4.0  # well within an algorithm's deadline: it may be the one that waits
# Alpaca ends a connection that was idle for a minute, which is just when the next cycle would use it: what is
# sent into its end is lost, an order too
LONGEST_IDLE_SECONDS = 15.0
# The stream's client replaces all its defaults by these. A frozen peer is noticed in about 12 s.
WEBSOCKET_PARAMETERS = {
    "ping_interval": 5,
    "ping_timeout": 5,
    "close_timeout": 1,
    "max_queue": 1024,
}

log = logging.getLogger("autotrader.exchange")
history_budget = Budget()
_local = threading.local()
_orders_forbidden = False
Client = TypeVar("Client", bound="RESTClient")
# What an answer that makes no sense may raise on its way through the client and our reading of it
UNUSABLE = (
    requests.RequestException,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


class _TimeoutAdapter(HTTPAdapter):
    """Gives every request a timeout, which alpaca-py never does, and notes the rate limit's state.

    A connection that was idle for long is given up for a new one.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._used_at = 0.0  # on clock.elapsed's scale
        self._read_seconds = READ_SECONDS if budget is None else HISTORY_READ_SECONDS
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (CONNECT_SECONDS, self._read_seconds)
        if clock.elapsed() - self._used_at > LONGEST_IDLE_SECONDS:
            self.close()
        response = super().send(request, *args, **kwargs)
        self._used_at = clock.elapsed()
        if self._budget is not None:
            self._budget.note(response.headers)
        return response


def forbid_orders() -> None:
    """Make ``trading_client`` raise in this process: an algorithm's worker places no orders."""
    global _orders_forbidden
    _orders_forbidden = True


def reading_client() -> "RESTClient":
    """This thread's client for reading the account: alpaca-py's own, without its models."""
    from alpaca.common.rest import RESTClient

    chosen = settings.current()
    key, secret = chosen.keys

    def build() -> RESTClient:
        return RESTClient(chosen.trading_url, key, secret, raw_data=True)

    return _per_thread("reading", chosen.trading_url, key, build, None)


def trading_client() -> "TradingClient":
    """This thread's client for account and orders (a requests session is not thread-safe)."""
    if _orders_forbidden:
        raise AutoTraderError(
            "An algorithm decides; it places no orders itself: return ('buy', shares) instead."
        )
    from alpaca.trading.client import TradingClient

    chosen = settings.current()
    key, secret = chosen.keys

    def build() -> TradingClient:
        return TradingClient(
            key, secret, paper=chosen.alpaca_paper, raw_data=True, url_override=chosen.trading_url
        )

    return _per_thread("trading", chosen.trading_url, key, build, None)


def data_client() -> "StockHistoricalDataClient":
    """This thread's client for historical bars. Its answers feed ``history_budget``."""
    from alpaca.data.historical import StockHistoricalDataClient

    chosen = settings.current()
    key, secret = chosen.keys

    def build() -> StockHistoricalDataClient:
        return StockHistoricalDataClient(
            key, secret, raw_data=True, url_override=chosen.data_url.rstrip("/")
        )

    return _per_thread("data", chosen.data_url, key, build, history_budget)


def corporate_actions_client() -> "CorporateActionsClient":
    """This thread's client for the record of splits and the like."""
    from alpaca.data.historical.corporate_actions import CorporateActionsClient

    chosen = settings.current()
    key, secret = chosen.keys

    def build() -> CorporateActionsClient:
        return CorporateActionsClient(
            key, secret, raw_data=True, url_override=chosen.data_url.rstrip("/")
        )

    return _per_thread("actions", chosen.data_url, key, build, None)


def bar_stream() -> "HeardStream":
    """A new, unconnected stream of minute bars; handlers get dicts with a msgpack timestamp."""
    from alpaca.data.enums import DataFeed

    from orchestra.exchange.stream import HeardStream

    chosen = settings.current()
    key, secret = chosen.keys
    return HeardStream(
        key,
        secret,
        raw_data=True,
        feed=DataFeed(chosen.alpaca_feed),
        websocket_params=dict(WEBSOCKET_PARAMETERS),
        url_override=chosen.stream_url,
    )


def hang_up() -> None:
    """Close this thread's connections; its clients open new ones when they are used again."""
    for client in _local.__dict__.get("clients", {}).values():
        client._session.close()


@contextmanager
def answering() -> Iterator[None]:
    """Turn whatever alpaca-py raises for a read-only call into ExchangeUnavailable.

    An APIError keeps its place as ``__cause__`` for callers that know what a status means.
    """
    try:
        yield
    except APIError as error:
        said = f"The exchange answered {describe(error)}"
        if error.status_code == 401:  # keys made anew at the broker end these, also while we run
            said += " Check ALPACA_API_KEY and ALPACA_SECRET in .env, and start again."
        raise ExchangeUnavailable(said) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        log.debug("%s", error)
        raise ExchangeUnavailable("The exchange cannot be reached.") from error
    except UNUSABLE as error:
        raise ExchangeUnavailable(
            f"The exchange gave no usable answer: {hiding.hide(str(error))[:LONGEST_QUOTE]}"
        ) from error


def describe(error: APIError) -> str:
    """Status and message of an APIError; its own properties raise when the body is not JSON."""
    try:
        text = str(error.message)
    except UNUSABLE:
        text = str(error)
    return f"{error.status_code}: {hiding.hide(text)[:LONGEST_QUOTE]}"


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status an APIError brought; None for any other error."""
    return error.status_code if isinstance(error, APIError) else None


def is_not_found(error: ExchangeUnavailable) -> bool:
    """Whether the exchange says that there is no such thing; a gateway's 404 has no code like 40410000."""
    cause = error.__cause__
    if not isinstance(cause, APIError) or cause.status_code != 404:
        return False
    try:
        return str(cause.code).startswith("404")
    except UNUSABLE:
        return False


def has_answered(error: ExchangeUnavailable) -> bool:
    """Whether there was an answer, of no use, and not silence."""
    return not isinstance(error.__cause__, requests.ConnectionError | requests.Timeout)


def source_label() -> str:
    """Name where bars come from: the feed at Alpaca's address, else the exchange's own label.

    An exchange without a ``/_label`` is named by its data address. Raises ExchangeUnavailable.
    """
    chosen = settings.current()
    if is_alpacas(chosen.data_url):
        return chosen.alpaca_feed
    address = chosen.data_url.rstrip("/")
    with answering(), requests.Session() as session:
        session.trust_env = not _is_loopback(address)
        response = session.get(f"{address}/_label", timeout=(CONNECT_SECONDS, READ_SECONDS))
        if response.status_code == 200:
            return str(response.json()["label"])
    return address


def _per_thread(
    kind: str, address: str, key: str, build: Callable[[], Client], budget: Budget | None
) -> Client:
    clients: dict[tuple[str, str, str], Client] = _local.__dict__.setdefault("clients", {})
    wanted = (kind, address, key)
    if wanted not in clients:
        client = build()
        client._retry = 0  # a POST is never repeated blindly; callers retry in the next cycle
        client._session.mount("http://", _TimeoutAdapter(budget))
        client._session.mount("https://", _TimeoutAdapter(budget))
        client._session.trust_env = not _is_loopback(address)  # a proxy cannot reach our loopback
        clients[wanted] = client
    return clients[wanted]


def _is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")
