"""Tickers to suggest while one is typed: those in use first, then the broker's list.

The list is asked for in the background, once a day, and kept in a file beside stocks.db. Nobody waits for
it: until it is there, what is in use is all there is to suggest.
"""

import json
import logging
import re
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from database import db_manager
from orchestra.base import clock, settings
from orchestra.base.errors import ExchangeUnavailable
from orchestra.web import broker_desk, cash
from system_databse import system_db_manager

FRESH_FOR = timedelta(days=1)  # machine time
RETRY_SECONDS = 60.0
SHORTEST_OF_A_NAME = 3  # letters; fewer begin a word of too many names

Asset = tuple[str, str]  # symbol, name

log = logging.getLogger("autotrader.api")


class AssetList:
    """The broker's tradable stocks, as last heard."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._assets, self._as_of = _read(path)

    def get(self) -> tuple[Asset, ...]:
        """Return what is known at once, empty at first; have it renewed where it is old."""
        with self._lock:
            if self._is_due():
                self._asked_at = clock.elapsed()
                broker_desk.prepare(self._renew)
        return self._assets

    def _is_due(self) -> bool:
        if self._as_of is not None and clock.machine_now() - self._as_of < FRESH_FOR:
            return False
        return self._asked_at is None or clock.elapsed() - self._asked_at > RETRY_SECONDS

    def _renew(self) -> None:
        try:
            self._assets = tuple(cash.broker().get_tradable_assets())
        except ExchangeUnavailable as error:
            log.info("The list of tickers could not be renewed: %s", error)
            return
        self._as_of = clock.machine_now()
        self._write()

    def _write(self) -> None:
        assert self._as_of is not None
        kept = {"as_of": clock.stamp(self._as_of), "assets": self._assets}
        draft = self._path.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(kept), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:  # it is only asked for anew after the next start
            log.info("The list of tickers could not be kept: %s", error)


_lists: dict[Path, AssetList] = {}
_lock = threading.Lock()


def suggest(typed: str, limit: int) -> dict[str, Any]:
    """Return ``{"items": [{"symbol", "name"}], "complete"}``, best first.

    ``typed`` is in capitals; empty, what is in use is suggested. Without ``complete`` the broker's list
    is not known yet, so that a missing ticker means nothing.
    """
    listed = _list().get()
    names = dict(listed)
    found = dict.fromkeys(ticker for ticker in _in_use() if ticker.startswith(typed))
    if typed:
        found |= dict.fromkeys(_matching(typed, listed))
        if typed in found:
            found = {typed: None, **found}
    items = [{"symbol": symbol, "name": names.get(symbol, "")} for symbol in list(found)[:limit]]
    return {"items": items, "complete": bool(listed)}


def _matching(typed: str, listed: Iterable[Asset]) -> list[str]:
    """Symbols that begin with it, short ones first, then those whose name has a word that does."""
    symbols = sorted((s for s, _ in listed if s.startswith(typed)), key=lambda s: (len(s), s))
    if len(typed) < SHORTEST_OF_A_NAME:
        return symbols
    word = re.compile(rf"\b{re.escape(typed)}", re.IGNORECASE)
    return symbols + [symbol for symbol, name in listed if word.search(name)]


def _in_use() -> Iterable[str]:
    """Tickers of cards, the newest first, then all that have ever had bars."""
    for card in reversed(system_db_manager.get_all_algorithms()):
        yield card["ticker"]
    yield from db_manager.tickers()


def _list() -> AssetList:
    stocks = settings.current().stocks_db_path
    path = stocks.with_name(f"{stocks.stem}-tickers.json")  # the demo's apart from the broker's
    with _lock:
        if path not in _lists:
            _lists[path] = AssetList(path)
        return _lists[path]


def _read(path: Path) -> tuple[tuple[Asset, ...], Any]:
    """What the file holds, and when it was heard; nothing from a file that is not there or broken."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        assets = tuple((str(symbol), str(name)) for symbol, name in kept["assets"])
        return assets, clock.parse(kept["as_of"])
    except (OSError, ValueError, LookupError, TypeError):
        return (), None
