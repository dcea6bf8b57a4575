"""Test-only: ends the orchestrator with SIGKILL at a named step of an order.

On PYTHONPATH, Python imports this file by itself at its start. It wraps the functions below as their
modules are loaded, in the orchestrator's own process alone (not in its workers, nor in their server).
The file CRASH_PLAN names, while it exists, ``{"points": ["module:function:when"], "cards": [1, 2]}``:
``when`` is ``enter``, ``return``, or ``commit`` (inside the function, right before SQLite's COMMIT). An
order of one of the cards that gets there waits; when all the cards' orders are there, the process dies.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

WATCHED = {
    "system_databse.order_journal": ["intend", "mark_submitted", "close_filled", "close_unfilled"],
    "system_databse.system_db_manager": ["insert_transaction"],
    "orchestra.alpaca_wrapper": ["AlpacaWrapper.submit"],
}
CARD_IN_ID = re.compile(r"apac-[0-9a-f]+-(\d+)-\d{8}T\d{4}Z-(?:buy|sell|exit)")

_lock = threading.Lock()
_there: set[int] = set()


def reach(point: str, card: int) -> None:
    try:
        plan = json.loads(Path(os.environ["CRASH_PLAN"]).read_text())
    except FileNotFoundError:
        return
    if point not in plan["points"] or card not in plan["cards"]:
        return
    with _lock:
        _there.add(card)
        if _there >= set(plan["cards"]):
            os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # for the others, and then for the end


def card_of(arguments: Sequence[Any]) -> int:
    """The card an order's function is called for: in the client_order_id, else the first number."""
    texts = [each for each in arguments if isinstance(each, str)]
    found = next((match for text in texts if (match := CARD_IN_ID.fullmatch(text))), None)
    return int(found[1]) if found else next(each for each in arguments if isinstance(each, int))


def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        card = card_of((*args, *kwargs.values()))
        if any(str(each).startswith("dropped: ") for each in args):
            # Its minute was over before it could be sent: the card will give it again
            return function(*args, **kwargs)

        def look(frame: FrameType, event: str, argument: Any) -> None:
            commits = event == "c_call" and argument.__name__ == "commit"
            if commits and isinstance(argument.__self__, sqlite3.Connection):
                reach(f"{name}:commit", card)

        reach(f"{name}:enter", card)
        before = sys.getprofile()
        sys.setprofile(look)
        try:
            result = function(*args, **kwargs)
        finally:
            sys.setprofile(before)
        reach(f"{name}:return", card)
        return result

    return call


class Watch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the watched modules as usual, and wraps their functions once they are loaded."""

    def __init__(self) -> None:
        self._loaders: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            self._loaders[fullname], spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        self._loaders[module.__name__].exec_module(module)
        for function in WATCHED[module.__name__]:
            owner, _, name = function.rpartition(".")
            holder = getattr(module, owner) if owner else module
            wrapped = watched(f"{module.__name__}:{name}", getattr(holder, name))
            setattr(holder, name, wrapped)


if "CRASH_PLAN" in os.environ and sys.orig_argv[-1].endswith("orchestrator.py"):
    sys.meta_path.insert(0, Watch())
