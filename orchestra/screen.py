"""Whether the page is open on this machine's own screen, and what to do where it is not.

With a desktop its window is a unit of the user's own service manager, which the desktop starts; without one
it is a unit of the system's, in the place of a console's login.
"""

import os
import pwd
import subprocess
from pathlib import Path

from orchestra import desktop
from orchestra.first_aid import Finding
from orchestra.services import INSTALL, SECONDS, Unit, is_here, units_of

PAGE = "autotrader-api.service"
WINDOW = "autotrader-kiosk.service"  # of the user's manager
CONSOLE = "autotrader@tty1.service"
ASKED = "Id,User,LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts"
LABWC = Path("/etc/xdg/labwc")
PACKAGES = "sudo apt install cage xwayland chromium fonts-dejavu-core"
LOG_IN = "Log in there; at each power-on by itself: sudo raspi-config nonint do_boot_behaviour B4"


def screen() -> list[Finding]:
    """Look at the window, where the terminal is installed as services."""
    if not is_here():
        return []
    units = units_of(_said("systemctl", "show", f"--property={ASKED}", PAGE, CONSOLE))
    page, console = units.get(PAGE, {}), units.get(CONSOLE, {})
    if page.get("LoadState") != "loaded":
        return []
    user = page.get("User", "")
    if console.get("UnitFileState") == "enabled":
        return [on_console(user, console)]
    try:
        if not desktop.opens_the_page(Path(pwd.getpwnam(user).pw_dir)):
            return [nowhere(LABWC.is_dir())]
        return [on_desktop(user, *_asked_as(user))]
    except PermissionError:
        message = f"Only {user} can ask whether the page's window is open."
        remedy = f"sudo -u {user} .venv/bin/python -m orchestra doctor"
        return [Finding("screen", "degraded", message, remedy)]


def nowhere(has_desktop: bool) -> Finding:
    """What is said of a machine whose own screen does not show the page."""
    message = "The page does not open itself on this machine's own screen."
    install = f"{INSTALL} --kiosk"
    remedy = install if has_desktop else f"{PACKAGES}; {install}"
    return Finding("screen", "ok", message, f"If it shall: {remedy}")


def on_desktop(user: str, window: Unit | None, desktop_is_on: bool) -> Finding:
    """Judge the window by the user's own manager; None where he has none, for he is not logged in."""
    if window is not None and window.get("LoadState") != "loaded":
        return Finding("screen", "down", f"{WINDOW} (the page's window) is not installed.", INSTALL)
    if window is not None and window["ActiveState"] != "inactive":
        where, log = f"{user}'s desktop", f"_SYSTEMD_USER_UNIT={WINDOW}"
        return _of_running(window, where, f"sudo journalctl -n 20 {log}")
    if desktop_is_on:
        message = f"The page's window on {user}'s desktop is closed."
        return Finding("screen", "down", message, f"As {user}: systemctl --user start {WINDOW}")
    message = f"{user} is not logged in on the desktop, so the page's window is not open."
    return Finding("screen", "down", message, LOG_IN)


def on_console(user: str, unit: Unit) -> Finding:
    """Judge the window by the unit that takes the console's place."""
    if unit["ActiveState"] == "inactive":
        message = (
            "The page's window is not open: it opens at power-on, in place of the login on tty1."
        )
        remedy = f"sudo reboot; or at once: sudo systemctl start {CONSOLE}"
        return Finding("screen", "down", message, remedy)
    return _of_running(unit, f"tty1, for {user}", f"sudo journalctl -n 20 -u {CONSOLE}")


def _of_running(unit: Unit, where: str, look: str) -> Finding:
    if unit["ActiveState"] == "active":
        return Finding("screen", "ok", f"The page's window is open on {where}.")
    restarts, result = unit.get("NRestarts", "0"), unit.get("Result", "")
    message = f"The page's window on {where} ends again and again (restarts: {restarts}; {result})."
    return Finding("screen", "down", message, f"{look}; it is started again by itself.")


def _asked_as(user: str) -> tuple[Unit | None, bool]:
    """The window as the user's manager has it, and whether his desktop has handed over to that.

    None where no manager runs. Raises PermissionError to whoever is neither he nor root.
    """
    number = pwd.getpwnam(user).pw_uid
    if os.geteuid() not in (0, number):
        raise PermissionError
    runtime = Path(f"/run/user/{number}")
    if not (runtime / "systemd" / "private").exists():
        return None, False
    become: tuple[str, ...] = () if os.geteuid() == number else ("runuser", "-u", user, "--")
    manager = (*become, "env", f"XDG_RUNTIME_DIR={runtime}", "systemctl", "--user")
    units = units_of(_said(*manager, "show", f"--property={ASKED}", WINDOW))
    environment = _said(*manager, "show-environment").splitlines()
    return units.get(WINDOW), any(line.startswith("WAYLAND_DISPLAY=") for line in environment)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    return done.stdout
