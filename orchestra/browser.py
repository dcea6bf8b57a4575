"""Opens the page in Chromium's kiosk mode, where there is a display."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Checked against Chromium 156: each of these exists and does something
FLAGS = (
    "--kiosk",
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
    display = _display()
    if display is None:
        print("No display here: open the address in any browser on this machine.")
        return None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is missing (sudo apt install chromium): open the address by hand.")
        return None
    if os.geteuid() == 0:
        print("Chromium is not opened as root: start AutoTrader as an ordinary user.")
        return None
    # In RAM where there is a runtime folder: the profile is written to all the time
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    command = [
        chromium,
        f"--ozone-platform={display}",
        f"--user-data-dir={folder / 'autotrader-chromium'}",
        *FLAGS,
        url,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _display() -> str | None:
    if os.environ.get("WAYLAND_DISPLAY"):
        return "wayland"
    return "x11" if os.environ.get("DISPLAY") else None
