"""What an algorithm means to remember in its object, and forgets: each minute has a new one."""

import ast
from collections.abc import Iterator
from pathlib import Path

ANSWERED = {"reason"}  # set in run to be read after it


def attributes(path: Path) -> list[str]:
    """The attributes that the constructor sets and another method sets again, in order of name.

    Read from the source, which is known to be an algorithm's; nothing is run.
    """
    algorithm = next(
        node
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ClassDef) and node.name == "Algorithm"
    )
    begun: set[str] = set()
    changed: set[str] = set()
    for method in algorithm.body:
        if isinstance(method, ast.FunctionDef):
            (begun if method.name == "__init__" else changed).update(_set_on_self(method))
    return sorted(begun & changed - ANSWERED)


def _set_on_self(method: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(method):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr
