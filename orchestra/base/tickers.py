"""What a ticker looks like: one to ten capitals, a dot for share classes (BRK.B)."""

import re

from orchestra.base.errors import BadInput

FORM = re.compile(r"[A-Z][A-Z.]{0,9}")


def is_ticker(value: object) -> bool:
    """Say whether ``value`` has a ticker's form."""
    return isinstance(value, str) and FORM.fullmatch(value) is not None


def ticker(value: object) -> str:
    """Return a ticker as it is. Raises BadInput for any other form."""
    if not is_ticker(value):
        raise BadInput(f"Expected a ticker like NVDA or BRK.B, found {value!r}.")
    return str(value)
