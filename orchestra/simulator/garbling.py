"""Broken answers and frames: what an exchange sends on its worst day, or something that is no exchange.

Pure functions of what should have been sent, of how it is broken, and of a seeded dice.
"""

import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

import msgpack

HUGE = 10**400
NESTED = 100_000  # levels: more than any parser goes down
WRONG: tuple[Any, ...] = (None, True, [], {}, "", "text", -1, 0, 1.5, [1], {"v": 1})


def _is_figure(leaf: Any) -> bool:
    if isinstance(leaf, str):
        return leaf.replace(".", "", 1).lstrip("-").isdecimal()
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _no_number(leaf: Any, dice: Random) -> Any:
    return dice.choice((math.nan, math.inf, "NaN", "-Infinity")) if _is_figure(leaf) else leaf


def _negative(leaf: Any, dice: Random) -> Any:
    return dice.choice((-1, "-1", -0.5, "-1e9")) if _is_figure(leaf) else leaf


def _huge(leaf: Any, dice: Random) -> Any:
    return dice.choice((1e300, str(HUGE), "1e999", 2**63)) if _is_figure(leaf) else leaf


def _unknown_word(leaf: Any, dice: Random) -> Any:
    return "quantum_leap" if isinstance(leaf, str) and leaf.replace("_", "").isalpha() else leaf


LEAVES: dict[str, Callable[[Any, Random], Any]] = {
    "null": lambda leaf, dice: None,
    "types": lambda leaf, dice: dice.choice(WRONG),
    "nan": _no_number,
    "negative": _negative,
    "huge": _huge,
    "enums": _unknown_word,
}
TREES = (*LEAVES, "missing")
TEXTS = ("empty", "html", "cut_off", "not_utf8", "deep")
HOWS = (*TREES, *TEXTS, "any")


def broken_tree(value: Any, how: str, dice: Random) -> Any:
    """Return a tree of lists and maps of which about half the leaves, or a third of the names, are broken."""
    if isinstance(value, dict):
        names = [n for n in value if how != "missing" or dice.random() > 0.3]
        return {name: broken_tree(value[name], how, dice) for name in names}
    if isinstance(value, list):
        return [broken_tree(each, how, dice) for each in value]
    if how == "missing" or dice.random() < 0.5:
        return value
    return LEAVES[how](value, dice)


def broken_json(body: bytes, how: str, dice: Random) -> bytes:
    """Return a JSON answer broken in one of HOWS."""
    if how == "any":
        how = dice.choice(HOWS[:-1])
    if how in TREES:
        return json.dumps(broken_tree(json.loads(body or b"null"), how, dice)).encode()
    texts = {
        "empty": b"",
        "html": b"<html><body>502 Bad Gateway</body></html>",
        "cut_off": body[: len(body) // 2],
        "not_utf8": body.replace(b'"', b"\xff\xfe"),
        "deep": b"[" * NESTED,
    }
    return texts[how]


def broken_frame(messages: list[dict[str, Any]], how: str, dice: Random) -> bytes | str:
    """Return a frame of msgpack broken in one of HOWS; ``t`` in the messages is a msgpack timestamp."""
    if how == "any":
        how = dice.choice(HOWS[:-1])
    whole = bytes(msgpack.packb(messages))
    if how in TREES:
        return bytes(msgpack.packb(broken_tree(messages, how, dice)))
    frames: dict[str, bytes | str] = {
        "empty": b"",
        "html": "<html><body>502 Bad Gateway</body></html>",  # a text frame
        "cut_off": whole[: len(whole) // 2],
        "not_utf8": b"\xc1" + whole,  # a byte that msgpack never uses
        "deep": b"\x91" * NESTED,  # a list in a list in a list
    }
    return frames[how]
