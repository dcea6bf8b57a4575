"""Loads algorithm files: a file is imported when it is new or changed, else its class is at hand."""

import importlib
import importlib.util
import linecache
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestra.base import settings
from orchestra.base.errors import AlgorithmFailed


@dataclass(frozen=True)
class _Loaded:
    file: tuple[int, int, int]  # inode, size, modification time in ns
    module: ModuleType


_loaded: dict[Path, _Loaded] = {}


def load_algorithm(name: str) -> Any:
    """Return the class ``Algorithm`` of the file ``name``.py. Raises AlgorithmFailed.

    An exception at import passes through as it is, with the file's own traceback.
    """
    path = settings.current().algorithms_dir / f"{name}.py"
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise AlgorithmFailed(f"There is no file {path.name} in {path.parent}") from None
    file = (found.st_ino, found.st_size, found.st_mtime_ns)
    known = _loaded.get(path)
    if known is None or known.file != file:
        known = _Loaded(file, _import(name, path))
        _loaded[path] = known
    algorithm = getattr(known.module, "Algorithm", None)
    if not isinstance(algorithm, type):
        raise AlgorithmFailed(f"{path.name} has no class Algorithm")
    return algorithm


def _import(name: str, path: Path) -> ModuleType:
    importlib.import_module("algorithms")  # makes the owner's import lines work
    linecache.checkcache(str(path))
    dotted = f"algorithms.{name}"
    spec = importlib.util.spec_from_file_location(dotted, path)
    if spec is None or spec.loader is None:
        raise AlgorithmFailed(f"{path.name} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    # Compiled from the source at hand: a cached .pyc is trusted by whole seconds and size only
    code = compile(path.read_bytes(), str(path), "exec")
    sys.modules[dotted] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(dotted, None)
        raise
    return module
