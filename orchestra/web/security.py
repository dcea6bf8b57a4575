"""Who may ask for what: foreign pages are kept out, and every change needs the PIN's token.

From another machine reading needs it too. The wall itself reads without: it starts by itself.
"""

import functools
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import request
from gunicorn.http.errors import ParseException

from orchestra.base import clock
from orchestra.base.errors import AutoTraderError

TOKEN_SECONDS = 120

P = ParamSpec("P")
R = TypeVar("R")

OWN_HOSTS = frozenset({"127.0.0.1", "localhost"})
# What another machine gets without a PIN: the page's files, where to enter the PIN, a sign of life
OPEN_ENDPOINTS = frozenset(
    {
        "page",
        "page_file",
        "market.chart_library",
        "healthz",
        "api.validate_pin",
        None,
    }  # None: a 404, a 405
)


@dataclass
class _Pass:
    """Until when a token is good, on ``clock.elapsed``'s scale: each use prolongs it for its like.

    The page reads all day; that must not keep the right to change things alive.
    """

    changes_until: float
    reads_until: float


_tokens: dict[str, _Pass] = {}
_lock = threading.Lock()


class ApiError(AutoTraderError):
    """A refusal with its HTTP status and code; the message is the sentence to show."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        *,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


def check_request() -> None:
    """Refuse what only another site's page would send. (A foreign Host is refused by Flask, 400.)"""
    if "Host" not in request.headers:
        raise ApiError(400, "bad_request", "Expected a Host header.")
    request.host  # noqa: B018  (reading it holds it against TRUSTED_HOSTS)
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        raise ApiError(403, "foreign_origin", "This request comes from another site's page.")
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none") and not _is_visit():
        raise ApiError(403, "foreign_origin", "This request comes from another site's page.")
    takes_json = request.method in ("POST", "PUT", "PATCH") and request.routing_exception is None
    if takes_json and request.mimetype != "application/json":
        raise ApiError(415, "json_only", "Send JSON, with the Content-Type application/json.")
    if request.endpoint not in OPEN_ENDPOINTS and not is_from_here():
        _require("reads_until")


def _is_visit() -> bool:
    """Whether a browser goes to the page itself from elsewhere, which there can neither read nor frame it."""
    goes = request.headers.get("Sec-Fetch-Dest") == "document"
    return goes and request.endpoint == "page" and request.method == "GET"


def is_from_here() -> bool:
    """Whether this machine asks itself, by its own name: the wall, or someone let in by SSH."""
    host = urlsplit(f"//{request.host}").hostname
    return host in OWN_HOSTS and ip_address(request.remote_addr or "::").is_loopback


def _require(right: str) -> None:
    """Refuse the request without a token that has this right; using it prolongs it."""
    now = clock.elapsed()
    with _lock:
        found = _tokens.get(_bearer())
        if found is None or getattr(found, right) <= now:
            raise ApiError(401, "pin_required", "Enter the PIN first.")
        setattr(found, right, now + TOKEN_SECONDS)


def json_object() -> dict[str, Any]:
    """Return the request's JSON object, or refuse it with 400."""
    try:
        body = request.get_json(silent=True)
    except (RecursionError, ParseException):  # thousands of brackets; chunks that are none
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "bad_json", "Expected a JSON object as the request's body.")
    return body


def new_token() -> str:
    """Make a token that lives as long as it is used at least every TOKEN_SECONDS."""
    token = secrets.token_urlsafe(32)
    now = clock.elapsed()
    with _lock:
        ended = [old for old, of in _tokens.items() if max(of.changes_until, of.reads_until) <= now]
        for old in ended:
            del _tokens[old]
        _tokens[token] = _Pass(now + TOKEN_SECONDS, now + TOKEN_SECONDS)
    return token


def forget_other_tokens() -> None:
    """Make every token but this request's own invalid."""
    own = _bearer()
    with _lock:
        for token in [token for token in _tokens if token != own]:
            del _tokens[token]


def _bearer() -> str:
    """The request's token, empty without one."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind == "Bearer" else ""


def pin_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let a view run only with a valid token; each use prolongs it."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        _require("changes_until")
        return view(*args, **kwargs)

    return guarded
