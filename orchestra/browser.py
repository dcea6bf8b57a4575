"""Opens the page in Chromium's kiosk mode, where there is a display."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from orchestra.base import memory, settings
from orchestra.base.errors import AutoTraderError

# Checked against Chromium 156: each of these exists and does something
FLAGS = (
    "--kiosk",
    "--start-maximized",
    "--renderer-process-limit=1",  # no spare one: without any, the page has crashed
    "--disk-cache-size=8000000",
    "--no-first-run",
    "--noerrdialogs",
    "--hide-crash-restore-bubble",
    "--password-store=basic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-pinch",
    "--overscroll-history-navigation=0",
    "--disable-features=Translate",
    "--check-for-update-interval=31536000",
    "--deny-permission-prompts",
)


def open_page(url: str) -> "subprocess.Popen[bytes] | None":
    """Start Chromium on ``url``; None, with a sentence, where that is not possible."""
    try:
        return start(url, settings.current().page_scale)
    except AutoTraderError as error:
        print(error)
        return None


def start(url: str, scale: float) -> "subprocess.Popen[bytes]":
    """Start Chromium full screen; raises AutoTraderError, with what is missing."""
    if os.geteuid() == 0:
        raise AutoTraderError(
            "Chromium is not opened as root: start AutoTrader as an ordinary user."
        )
    display = _display()
    if display is None:
        raise AutoTraderError("No display here: open the address in any browser on this machine.")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise AutoTraderError(
            "Chromium is missing (sudo apt install chromium): open the address by hand."
        )
    zoom(profile(), scale)
    command = [
        chromium,
        f"--ozone-platform={display}",
        f"--user-data-dir={profile()}",
        *FLAGS,
        url,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def zoom(folder: Path, scale: float) -> None:
    """Have a profile that no browser uses yet show every page magnified.

    That is its preferences' default zoom level, in steps of a fifth. The flag for the screen's scale factor
    draws a part of the page only where the compositor knows no fractions.
    """
    file = folder / "Default" / "Preferences"
    try:
        preferences = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        preferences = {}
    level = math.log(scale, 1.2)
    preferences.setdefault("partition", {})["default_zoom_level"] = {"x": level}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(preferences), encoding="utf-8")


def draws(window: "subprocess.Popen[bytes]") -> bool:
    """Whether a browser still has a process that draws its page; a page that crashed has none."""
    return any(b"--type=renderer" in _command_of(pid) for pid in memory.tree(window.pid))


def profile() -> Path:
    """The browser's own folder: in RAM where there is a runtime folder, for it is always written to."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(folder) / "autotrader-chromium"


def _display() -> str | None:
    if os.environ.get("WAYLAND_DISPLAY"):
        return "wayland"
    return "x11" if os.environ.get("DISPLAY") else None


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
