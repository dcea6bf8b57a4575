"""Lists the algorithm files by reading their source; nothing of them is ever run here."""

import ast
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.base import settings
from orchestra.base.errors import BadInput
from orchestra.parameters import declared

# Of a file, in bytes: reading it takes some 450 times as much memory, and the page's server has little
LARGEST_SOURCE = 256_000
NAMED = "a file's name takes letters, digits and _ only, and begins with no digit"
TOO_LARGE = f"it is larger than {LARGEST_SOURCE // 1000} kB: keep its data in a file beside it"


@dataclass(frozen=True)
class CatalogEntry:
    """One file: its name as ``algorithm_type``, and why it cannot be used, if so."""

    name: str
    title: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


_read: dict[Path, tuple[tuple[int, int, int], CatalogEntry]] = {}


def catalog() -> list[CatalogEntry]:
    """Return every algorithm file in order of name; names starting with _ or . are not algorithms."""
    folder = settings.current().algorithms_dir
    files = sorted(folder.glob("*.py")) if folder.is_dir() else []
    entries = [_entry(path) for path in files if not path.name.startswith(("_", "."))]
    return [entry for entry in entries if entry is not None]


def find(name: str) -> CatalogEntry | None:
    """Return the entry of one algorithm."""
    return next((entry for entry in catalog() if entry.name == name), None)


def _entry(path: Path) -> CatalogEntry | None:
    """The entry of one file; None for a folder, a link that leads nowhere, and what has just gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    file = (found.st_ino, found.st_size, found.st_mtime_ns)
    known = _read.get(path)
    if known is None or known[0] != file:
        known = (file, describe(path))
        _read[path] = known
    return known[1]


def describe(path: Path) -> CatalogEntry:
    """Read one file, wherever it lies."""
    name = path.stem
    if not name.isidentifier():
        return CatalogEntry(name, name, error=f"{path.name}: {NAMED}")
    try:
        if path.stat().st_size > LARGEST_SOURCE:
            return CatalogEntry(name, name, error=TOO_LARGE)
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError) as error:
        line = getattr(error, "lineno", None)
        return CatalogEntry(name, name, error=f"line {line}: {getattr(error, 'msg', error)}")
    except (RecursionError, MemoryError):  # so Python's parser says it
        return CatalogEntry(name, name, error="its source is nested too deeply to be read")
    algorithm = _named(tree.body, "Algorithm")
    if not isinstance(algorithm, ast.ClassDef):
        return CatalogEntry(name, name, error="has no class Algorithm")
    run = _named(algorithm.body, "run")
    if isinstance(run, ast.AsyncFunctionDef):
        return CatalogEntry(
            name, name, error=f"line {run.lineno}: run must be a plain def, no async"
        )
    # It may be inherited, which only running it would show
    if not isinstance(run, ast.FunctionDef) and not algorithm.bases:
        return CatalogEntry(name, name, error="its class Algorithm has no method run")
    try:
        constants = _constants(algorithm)
        parameters = constants.get("parameters")
        declared(parameters)
    except BadInput as error:
        return CatalogEntry(name, name, error=str(error))
    described = ast.get_docstring(algorithm) or ast.get_docstring(tree) or ""
    return CatalogEntry(
        name,
        title=str(constants.get("title") or name.replace("_", " ")),
        description=str(constants.get("description") or described.partition("\n")[0]),
        parameters=parameters or {},
    )


def _named(body: list[ast.stmt], name: str) -> ast.stmt | None:
    """The class or function of a name; of several the last, as for Python."""
    return next((each for each in reversed(body) if getattr(each, "name", "") == name), None)


def _constants(algorithm: ast.ClassDef) -> dict[str, Any]:
    """The class's assignments of literals, with or without a type. Raises BadInput for parameters of none."""
    found = {}
    for node in algorithm.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name):
            try:
                found[target.id] = ast.literal_eval(node.value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                if target.id == "parameters":
                    raise BadInput(
                        f"line {node.lineno}: parameters has to be written out as a literal, with no name"
                        " or call in it: it is read without running the file"
                    ) from None
    return found
