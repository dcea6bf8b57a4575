"""Where an algorithm reads the machine's clock: in the past, and in a demo, that is not the market's."""

import ast
from collections.abc import Iterator
from pathlib import Path

READS = {
    *(("datetime", name) for name in ("now", "today", "utcnow")),
    *(("Timestamp", name) for name in ("now", "today", "utcnow")),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
}


def warnings(path: Path) -> list[str]:
    """A sentence that names each line, or none. Read from the source; nothing is run.

    A file that is gone or cannot be parsed is told of by whoever loads it.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [f"line {line} ({name})" for line, name in sorted(_reads(tree))]
    if not found:
        return []
    return [
        f"It reads this machine's clock: {', '.join(found)}. In a backtest that is today, whatever the"
        " minute it is asked in: take current_time instead."
    ]


def _reads(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls such as datetime.now(), datetime.datetime.now() and dt.now() after an import as dt.

    Of names that are imported: a bar's own ``time`` is no clock.
    """
    imported = {
        each.asname or each.name: each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for each in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = node.func.value, node.func.attr
            root = owner.value if isinstance(owner, ast.Attribute) else owner
            of = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            is_imported = "*" in imported or getattr(root, "id", "") in imported
            if is_imported and (imported.get(of, of), name) in READS:
                yield node.lineno, f"{of}.{name}"
