"""What check, backtest and sweep try: an algorithm's file as a card with ticker, dollars and parameters."""

import json
from dataclasses import dataclass
from pathlib import Path

from orchestra.base import settings
from orchestra.base.errors import BadInput

LARGEST_CAPITAL = 1e12  # dollars; more is a slip of the hand


@dataclass(frozen=True)
class Subject:
    """A card that is not on the wall."""

    path: Path
    ticker: str
    capital: float
    parameters: dict[str, int | float]


def file_of(algorithm: str) -> Path:
    """The file that is meant: a path, or the name of one in the algorithms' folder. Raises BadInput."""
    given = Path(algorithm).expanduser()
    named = settings.current().algorithms_dir / f"{algorithm}.py"
    for path in (given, named):
        if path.suffix == ".py" and path.is_file():
            return path.resolve()
    raise BadInput(f"There is neither a file {given} nor an algorithm {named.name}.")


def values_of(pairs: tuple[str, ...]) -> dict[str, object]:
    """Read NAME=NUMBER pairs. Raises BadInput."""
    found = {}
    for text in pairs:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            raise BadInput(f"Expected NAME=NUMBER, found {text!r}.") from None
    return found
