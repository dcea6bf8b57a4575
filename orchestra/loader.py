"""Loads algorithm files: a file is imported when it is new or changed, else its class is at hand.

So is one that imports others of its folder when one of those has changed: each gets its own copy of them.
"""

import importlib
import importlib.util
import linecache
import os
import signal
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestra.base import clock, settings
from orchestra.base.errors import AlgorithmFailed
from orchestra.base.settings import ROOT
from orchestra.decision import legible

Signature = tuple[int, int, int]  # inode, size, modification time in ns
REST_SECONDS = 0.5
LONGEST_WRITING_SECONDS = 3.0
OUT_OF_MEMORY = "it took all the memory that ALGORITHM_MEMORY_MB allows"
# Where no algorithm lies: our own packages, Python's modules and what is installed
NO_GUESTS = tuple(
    f"{folder}{os.sep}"
    for folder in (
        *(ROOT / name for name in ("orchestra", "database", "system_databse")),
        *map(sysconfig.get_paths().__getitem__, ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)
SUMMARY_KEPT = 300  # characters of a failure in a line: an error may carry a year of bars


@dataclass(frozen=True)
class _Loaded:
    file: Signature
    module: ModuleType
    imported: dict[Path, Signature | None]  # what it has from the folder's other files


_loaded: dict[Path, _Loaded] = {}


def load_algorithm(name: str, *, anew: bool = False) -> Any:
    """Return the class ``Algorithm`` of the file ``name``.py. Raises AlgorithmFailed.

    ``anew``: import it in any case, and all that it imports of its folder or of the algorithms' package,
    so that it knows nothing of what it did before.
    An exception at import passes through as it is, with the file's own traceback.
    """
    path = settings.current().algorithms_dir / f"{name}.py"
    file = signature(path)
    if file is None:
        raise AlgorithmFailed(f"There is no file {path.name} in {path.parent}")
    known = None if anew else _loaded.get(path)
    if known is None:
        file = _await_rest(path, file)
    if known is None or _is_outdated(known, file):
        known = _Loaded(file, *_import(name, path, anew))
        _loaded[path] = known
    algorithm = getattr(known.module, "Algorithm", None)
    if not isinstance(algorithm, type):
        raise AlgorithmFailed(f"{path.name} has no class Algorithm")
    return algorithm


def blame(error: BaseException, own: str) -> str:
    """An algorithm's error in a line, with the line of its own file (named ``own``) that it came from.

    Where that called another file of its folder, and the error is from there, its line follows.
    """
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or own).name} line {error.lineno}: {error.msg}"
    frames = [
        (Path(each.filename), each.lineno) for each in traceback.extract_tb(error.__traceback__)
    ]
    folders = {path.parent for path, _ in frames if path.name == own}
    lines = {path.name: line for path, line in frames if path.parent in folders}  # the last of each
    where = ", ".join(f"{name} line {line}" for name, line in lines.items())
    told = str(error) or (OUT_OF_MEMORY if isinstance(error, MemoryError) else "")
    return f"{where}{': ' if where else ''}{type(error).__name__}: {told}"


def summary(error: BaseException, own: str) -> str:
    """Why a run failed, in a line that can be stored and shown: on the wall, in a backtest, in a replay."""
    try:
        if isinstance(error, AlgorithmFailed):
            told = str(error)
        elif isinstance(error, SystemExit):
            told = f"It called sys.exit({error.code!r})"
        else:
            told = blame(error, own)
    except BaseException:  # from what the file itself writes its error out with
        told = f"{type(error).__name__}, which cannot be written out"
    return shortened(told, SUMMARY_KEPT)


def shortened(text: str, most: int) -> str:
    """A guest's text with its middle left out where it is long."""
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} ... {text[-most // 3 :]}"
    return legible(text)


def is_ctrl_c(error: BaseException) -> bool:
    """Whether somebody ends this program; where Ctrl-C is handled otherwise, a guest has raised it."""
    handler = signal.getsignal(signal.SIGINT)
    return type(error) is KeyboardInterrupt and handler is signal.default_int_handler


def signature(path: Path) -> Signature | None:
    """Return what tells a file's contents from its earlier ones at the cost of one stat; None: no file."""
    try:
        found = os.stat(path)
    except OSError:  # not there, or a link that leads nowhere or to itself
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _await_rest(path: Path, file: Signature) -> Signature:
    """Give a new file the time to be written; no version of it is at hand. Raises AlgorithmFailed."""
    give_up_at = clock.elapsed() + LONGEST_WRITING_SECONDS
    while not _is_at_rest(file):
        if clock.elapsed() >= give_up_at:
            raise AlgorithmFailed(f"{path.name} is still being written: it runs when that is done")
        clock.pause(REST_SECONDS)
        file = signature(path) or file
    return file


def _is_at_rest(file: Signature) -> bool:
    """A file that was written a moment ago may be half written: the version at hand goes on."""
    age = clock.machine_now().timestamp() - file[2] / 1e9
    return not 0 <= age < REST_SECONDS


def _is_outdated(known: _Loaded, file: Signature) -> bool:
    """Whether it, or what it imports, is another than it was, and all of that at rest."""
    now = {path: signature(path) for path in known.imported}
    if (file, now) == (known.file, known.imported):
        return False
    return all(each is None or _is_at_rest(each) for each in (file, *now.values()))


def _import(name: str, path: Path, anew: bool) -> tuple[ModuleType, dict[Path, Signature | None]]:
    """Import an algorithm's file, and with it what it imports from its folder, as they are now.

    ``anew``: what was there before is not at hand for a later import in ``run`` either.
    """
    algorithms = importlib.import_module("algorithms")  # makes the owner's import lines work
    folders = (path.parent, *map(Path, algorithms.__path__))  # a swept copy lies elsewhere
    importlib.invalidate_caches()
    linecache.checkcache()
    dotted = f"algorithms.{name}"
    spec = importlib.util.spec_from_file_location(dotted, path)
    if spec is None or spec.loader is None:
        raise AlgorithmFailed(f"{path.name} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    # Compiled from the source at hand: a cached .pyc is trusted by whole seconds and size only
    code = compile(path.read_bytes(), str(path), "exec")
    others = {name: sys.modules.pop(name) for name in _of(*folders)}
    for other in others:  # else ``from algorithms import other`` would find it there
        package, _, last = other.rpartition(".")
        getattr(sys.modules.get(package), "__dict__", {}).pop(last, None)
    sys.modules[dotted] = module
    try:
        exec(code, module.__dict__)
        imported = _of(*folders)
        return module, {file: signature(file) for file in imported.values() if file != path}
    except BaseException:
        sys.modules.pop(dotted, None)
        raise
    finally:
        if not anew:
            sys.modules |= others | sys.modules


def _of(*folders: Path) -> dict[str, Path]:
    """The modules whose files lie in these folders, but for a package that is one, and never our own.

    A file that is tried may lie in the project's folder, or above it.
    """
    inside, found = tuple(f"{folder}{os.sep}" for folder in folders), {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if (
            isinstance(file, str)
            # By its name: one that was tried before, from elsewhere
            and (file.startswith(inside) or name.startswith("algorithms."))
            and not file.startswith(NO_GUESTS)
        ):
            found[name] = Path(file)
    packages = {folder / "__init__.py" for folder in folders}
    return {name: file for name, file in found.items() if file not in packages}
