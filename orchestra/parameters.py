"""What an algorithm lets its card choose: the one reader of a class's ``parameters``, and of chosen values.

``parameters = {"short": {"default": 20, "min": 2, "max": 200, "title": "Short average, minutes"}}``
Whole numbers where the default is one, else any. Pure functions: literals in, checked values out.
"""

import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.base.errors import BadInput

REQUIRED = ("default", "min", "max")
TAKEN = frozenset(("ticker", "initial_capital", "title", "description", "parameters", "run"))
LARGEST = 1e15  # beyond it a float no longer holds every whole number


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; its bounds are included."""

    name: str
    title: str
    default: int | float
    minimum: int | float
    maximum: int | float

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are taken."""
        return isinstance(self.default, int)


def declared(literal: object) -> dict[str, Parameter]:
    """Read a class's ``parameters``; None is none. Raises BadInput with a sentence for its author."""
    if literal is None:
        return {}
    if not isinstance(literal, Mapping):
        raise BadInput(f"Expected parameters as a dict of names, found {_short(literal)}.")
    return {name: _declaration(name, spec) for name, spec in literal.items()}


def chosen(parameters: Mapping[str, Parameter], values: object) -> dict[str, int | float]:
    """Return a value for every parameter: the given one, else its default. Raises BadInput."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise BadInput(f"Expected parameters as names with numbers, found {_short(values)}.")
    for name in values:
        if name not in parameters:
            known = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
            raise BadInput(f"This algorithm has no parameter {_short(name)}: {known}.")
    return {
        name: _value(each, values[name]) if name in values else each.default
        for name, each in parameters.items()
    }


def as_declared(literal: object, values: Mapping[str, int | float]) -> dict[str, int | float]:
    """Return a card's stored values in the kind they were chosen in: 2.0, not 2, for any number."""
    specs = literal if isinstance(literal, Mapping) else {}
    return {name: _in_kind(specs.get(name), value) for name, value in values.items()}


def _in_kind(spec: object, value: int | float) -> int | float:
    is_any = isinstance(spec, Mapping) and isinstance(spec.get("default"), float)
    return float(value) if is_any else value


def _declaration(name: object, spec: object) -> Parameter:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise BadInput(f"A parameter needs a Python name, found {_short(name)}.")
    if name in TAKEN or name.startswith("_"):
        raise BadInput(f"A parameter cannot be named {name}: that name has another meaning.")
    if not isinstance(spec, Mapping):
        raise BadInput(f"Parameter {name}: expected a dict of {', '.join(REQUIRED)} and title.")
    for key in REQUIRED:
        if key not in spec:
            raise BadInput(
                f"Parameter {name}: {key} is missing; it takes the numbers {', '.join(REQUIRED)}."
            )
    unknown = [key for key in spec if key not in (*REQUIRED, "title")]
    if unknown:
        raise BadInput(
            f"Parameter {name}: {_short(unknown[0])} means nothing;"
            f" it takes {', '.join(REQUIRED)} and title."
        )
    title = spec.get("title", name.replace("_", " "))
    if not isinstance(title, str) or not title.strip():
        raise BadInput(f"Parameter {name}: expected its title in words, found {_short(title)}.")
    default, low, high = (_declared_number(name, key, spec[key]) for key in REQUIRED)
    if isinstance(default, int) and not (isinstance(low, int) and isinstance(high, int)):
        raise BadInput(
            f"Parameter {name}: its default {default} is a whole number, so min and max must be too;"
            f" write {default}.0 for any number."
        )
    if not low <= default <= high:
        raise BadInput(
            f"Parameter {name}: its default {default} does not lie between min {low} and max {high}."
        )
    if isinstance(default, float):
        low, high = float(low), float(high)
    return Parameter(name, title.strip(), default, low, high)


def _declared_number(name: str, key: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"Parameter {name}: expected {key} as a number, found {_short(value)}.")
    if not abs(value) <= LARGEST:  # NaN is not
        raise BadInput(f"Parameter {name}: {key} is too large or no number: {_short(value)}.")
    return value


def _value(parameter: Parameter, value: object) -> int | float:
    kind = "a whole number" if parameter.whole else "a number"
    wanted = f"{parameter.title} ({parameter.name}): expected {kind}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{wanted}, found {_short(value)}.")
    if not parameter.minimum <= value <= parameter.maximum:  # NaN never does
        raise BadInput(
            f"{wanted} from {parameter.minimum} to {parameter.maximum}, found {_short(value)}."
        )
    if parameter.whole and not math.floor(value) == value:
        raise BadInput(f"{wanted}, found {_short(value)}.")
    return int(value) if parameter.whole else float(value)


def _short(value: object) -> str:
    """A value as its author wrote it, cut where it is long."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a very large number"  # Python refuses to write the largest out
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
