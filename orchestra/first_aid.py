"""Looks over the machine with nothing but Python itself: also where no package is installed yet.

Kept to what any Python 3 can run: the one that is found may be too old for the rest.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 13))  # the oldest and the newest
LEAST_MEMORY_MB = 1800  # of a machine sold with 2 GB: what the page's browser needs beside the rest
SCARCE_MEMORY_MB = 200
SET_UP = "Run ./start_pi.sh --setup-only"


class Finding(NamedTuple):
    """One thing looked at. ``status``: ok, degraded or down; ``remedy``: what to do, empty if nothing."""

    part: str
    status: str
    message: str
    remedy: str = ""


def look_over_machine() -> list[Finding]:
    """Look at what the terminal needs of the machine."""
    return [_python(), _packages(), _memory(), _chromium()]


def only_this(arguments: list[str]) -> int:
    """Say what can be said without the packages; the exit code is 1."""
    findings = look_over_machine()
    if arguments[:1] != ["doctor"]:
        print(f"AutoTrader is not set up here. {SET_UP}, then .venv/bin/python -m orchestra ...")
    elif "--json" in arguments:
        print(json.dumps({"ok": False, "findings": [found._asdict() for found in findings]}))
    else:
        for found in findings:
            print(f"{found.part}: {found.message} {found.remedy}".strip())
    return 1


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    bits = struct.calcsize("P") * 8
    first, last = PYTHONS
    if bits != 64:
        message = f"Python is built for {bits} bits."
        return Finding("python", "down", message, "Install the 64-bit Raspberry Pi OS or Debian.")
    if not first <= sys.version_info[:2] <= last:
        message = f"This is Python {version}; it takes 3.{first[1]} to 3.{last[1]}."
        return Finding(
            "python", "down", message, "PYTHON=python3.x ./start_pi.sh with one of those."
        )
    return Finding("python", "ok", f"{version}, 64 bits.")


def _packages() -> Finding:
    """Hold the installed packages against the pins in requirements.txt."""
    if not (ROOT / ".venv").exists():
        return Finding("packages", "down", "There is no .venv.", f"{SET_UP}.")
    lacking = missing_packages()
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        message = f"{sys.executable} lacks {', '.join(lacking[:3])}{more}."
        return Finding("packages", "down", message, f"{SET_UP}, then use .venv/bin/python.")
    wrong = []
    for name, (versions, _) in _pins().items():
        found = _installed(name)
        if found is not None and found not in versions:
            wrong.append(f"{name} {found} ({' or '.join(sorted(versions))})")
    if wrong:
        message = f"Other versions than the tested ones: {', '.join(wrong)}."
        return Finding("packages", "degraded", message, "rm .venv/.installed; ./start_pi.sh")
    return Finding("packages", "ok", f"All as pinned, in {sys.prefix}.")


def missing_packages() -> list[str]:
    """Name what requirements.txt asks for on every machine and this Python does not have."""
    return [name for name, (_, always) in _pins().items() if always and _installed(name) is None]


def _pins() -> dict[str, tuple[set[str], bool]]:
    """Each package's versions in requirements.txt, and whether it is wanted whatever the machine."""
    pins: dict[str, tuple[set[str], bool]] = {}
    for line in _lines(ROOT / "requirements.txt"):
        pin, _, condition = line.rstrip(" \\").partition(";")
        name, both, version = pin.strip().partition("==")
        if both and not line.startswith((" ", "#")):
            versions, always = pins.get(name, (set(), False))
            pins[name] = (versions | {version}, always or not condition)
    return pins


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> Finding:
    told = {line.split(":")[0]: line.split()[1] for line in _lines(Path("/proc/meminfo"))}
    total, free = (int(told.get(key, 0)) // 1024 for key in ("MemTotal", "MemAvailable"))
    message = f"{total} MB, of which {free} are free."
    if total < LEAST_MEMORY_MB and _has_screen():
        return Finding(
            "memory", "degraded", message, "The page wants 2 GB: open it elsewhere, by SSH."
        )
    if free < SCARCE_MEMORY_MB:
        return Finding("memory", "degraded", message, "See what takes it: top -o %MEM")
    return Finding("memory", "ok", message)


def _chromium() -> Finding:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return Finding("browser", "ok", f"{found}.")
    if _has_screen():
        remedy = "sudo apt install chromium fonts-dejavu-core"
        return Finding(
            "browser", "degraded", "Chromium is missing: the page cannot open itself.", remedy
        )
    return Finding(
        "browser", "ok", "No screen and no Chromium here: any browser here shows the page."
    )


def _has_screen() -> bool:
    in_session = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    return bool(in_session) or Path("/etc/xdg/labwc").exists()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
