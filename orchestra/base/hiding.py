"""Keeps the broker's keys to their owner: out of every text that leaves, and `.env` out of others' reach."""

import sys
from collections.abc import Iterable
from pathlib import Path

from orchestra.base.errors import SettingsError

SHORTEST_SECRET = 8  # characters; hiding a shorter one would spoil every other word
INSTEAD = "(hidden)"

_secrets: tuple[str, ...] = ()


def know(secrets: Iterable[str]) -> None:
    """Hide these texts from now on, and no others."""
    global _secrets
    # A secret that holds another one is looked for first
    _secrets = tuple(sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len)[::-1])


def hide(text: str) -> str:
    """Return ``text`` without the secrets of this process's settings.

    For whatever others have written: an exchange that is broken, or is none, may answer with anything.
    """
    for secret in _secrets:
        text = text.replace(secret, INSTEAD)
    return text


def keep_to_owner(env_file: Path, *, holds_keys: bool) -> None:
    """See that nobody but its owner can read or change ``.env``, and say so where that was mended.

    Raises SettingsError where others can, it cannot be mended, and there are keys in it.
    """
    try:
        mode = env_file.stat().st_mode & 0o777
    except OSError:  # there is none, or none for this user to read
        return
    if mode & 0o077 == 0:
        return
    try:
        env_file.chmod(0o600)
    except OSError as error:
        if holds_keys:
            raise SettingsError(
                f"{env_file} holds Alpaca's keys and others can read it (mode {mode:o}), which this user"
                f" cannot mend ({error.strerror}): chmod 600 {env_file}"
            ) from None
        return
    print(
        f"{env_file} was open to others (mode {mode:o}): it is its owner's alone now (600).",
        file=sys.stderr,
        flush=True,
    )
