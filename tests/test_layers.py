"""The house's rules, read from the source: layers, and one door to each thing."""

import ast
from pathlib import Path

import pytest

from orchestra.base.settings import ROOT

# The first match counts; a file may import what lies on its own level or below
LEVELS = (
    ("orchestra.base", 0),
    ("orchestra.simulator", 0),
    ("orchestra.exchange", 2),
    ("orchestra.__main__", 5),
    ("orchestra", 4),
    ("system_databse", 1),
    ("database", 3),
    ("orchestrator", 5),
    ("api_server", 5),
    ("gunicorn", 5),
    ("algorithms", 6),
)
OURS = {name.partition(".")[0] for name, _ in LEVELS} - {"gunicorn"}
TIME_READERS = {
    ("time", name)
    for name in ("time", "sleep", "monotonic", "perf_counter", "time_ns", "monotonic_ns")
} | {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def sources() -> list[Path]:
    folders = ("orchestra", "system_databse", "database", "algorithms")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(files + list(ROOT.glob("*.py")))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def level_of(module: str) -> int:
    return next(level for name, level in LEVELS if module == name or module.startswith(f"{name}."))


def imports_of(path: Path) -> set[str]:
    """The modules of ours that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                file = ROOT / inside.replace(".", "/")
                is_module = file.with_suffix(".py").exists() or file.is_dir()
                found.add(inside if is_module else node.module)
    return {name for name in found if name.partition(".")[0] in OURS}


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    name = name_of(path)
    for imported in imports_of(path):
        if imported in ("orchestra", name):  # the package itself holds the version, nothing else
            continue
        assert level_of(imported) <= level_of(name), f"{name} imports {imported}"
        inside_simulator = imported.startswith("orchestra.simulator")
        if inside_simulator and not name.startswith("orchestra.simulator"):
            assert name == "orchestra.__main__", f"{name} imports {imported}"
        if name.startswith("orchestra.simulator"):
            assert inside_simulator or imported.startswith("orchestra.base"), imported


def test_the_start_up_files_never_import_each_other() -> None:
    starts = {"orchestrator", "api_server", "orchestra.__main__"}
    for path in sources():
        if name_of(path) in starts:
            assert not imports_of(path) & (starts - {name_of(path)})


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_the_clock_reads_the_time_and_sleeps(path: Path) -> None:
    if name_of(path) == "orchestra.base.clock":
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            assert "time" not in {alias.name for alias in node.names}, f"line {node.lineno}"
        elif isinstance(node, ast.ImportFrom):
            assert node.module != "time", f"line {node.lineno}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = (node.value.id, node.attr)
            assert used not in TIME_READERS, f"line {node.lineno}: {'.'.join(used)}"


@pytest.mark.parametrize(
    ("call", "door"),
    [
        ("sqlite3.connect", "orchestra.base.sqlite"),
        ("TradingClient", "orchestra.exchange"),
        ("StockHistoricalDataClient", "orchestra.exchange"),
        ("HeardStream", "orchestra.exchange"),
    ],
)
def test_there_is_one_door_to_each_thing(call: str, door: str) -> None:
    users = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == call:
                users.add(name_of(path))
    assert users == {door}


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 50, f"{node.name} has {lines} lines"
