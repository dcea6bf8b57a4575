"""Has the desktop (labwc, on Raspberry Pi OS) open the page, and hand touches to it as touches.

labwc's own files in ~/.config/labwc: ``autostart`` is a shell script run at the session's start;
``rc.xml`` adds to /etc/xdg/labwc/rc.xml, its last <touch> of a device wins (labwc-config(5), labwc -m).
"""

import os
import re
from pathlib import Path

MARK = "# AutoTrader"
AUTOSTART_LINE = (
    "systemctl --user import-environment WAYLAND_DISPLAY DISPLAY XDG_CURRENT_DESKTOP"
    f" && systemctl --user start autotrader-kiosk.service & {MARK}"
)
EMPTY_RC = (
    '<?xml version="1.0"?>\n<openbox_config xmlns="http://openbox.org/3.4/rc">\n</openbox_config>\n'
)
TOUCH = re.compile(r"<touch\b[^>]*>")
DEVICE = re.compile(r"""deviceName=(["'])(.*?)\1""")
EMULATION = re.compile(r"""mouseEmulation=(["'])(yes|true|on)\1""", re.IGNORECASE)
OUTPUT = re.compile(r"""mapToOutput=(["']).*?\1""")


def install(system_rc: Path, displays: Path) -> list[str]:
    """Change this user's files; return what a person should know. ``displays`` is /sys/class/drm."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    _change(folder / "autostart", with_our_line(_read(folder / "autostart")))
    own, system = _read(folder / "rc.xml"), _read(system_rc)
    if _change(folder / "rc.xml", with_real_touches(own, system, connected(displays))):
        return ["The touch screen will send touches, not clicks of a mouse: reboot once."]
    return []


def remove(system_rc: Path, displays: Path) -> list[str]:
    """Undo what ``install`` did to this user's files, and no more; return what a person should know."""
    folder = _folder()
    autostart, rc = folder / "autostart", folder / "rc.xml"
    told: list[str] = []
    if not (_kept(rc).exists() or _kept(autostart).exists()):
        return told
    if _kept(rc).exists():
        ours = with_real_touches(_read(_kept(rc)), _read(system_rc), connected(displays))
        if _read(rc) == ours:
            _put_back(rc)
        else:
            told.append(f"{rc} was changed since and stays; what it was before is {_kept(rc)}.")
    if _kept(autostart).exists():
        without = without_our_line(_read(autostart))
        if without == _read(_kept(autostart)):
            _put_back(autostart)
        else:
            autostart.write_text(without)
            _kept(autostart).unlink()
    for each in (folder, folder.parent):
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()
    return told


def opens_the_page(home: Path) -> bool:
    """Whether the desktop of the user with this home opens the page. Raises PermissionError."""
    try:
        return MARK in (home / ".config" / "labwc" / "autostart").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return False


def with_our_line(autostart: str) -> str:
    """An autostart script with our line in it, once."""
    text = without_our_line(autostart)
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{AUTOSTART_LINE}\n"


def without_our_line(autostart: str) -> str:
    """An autostart script without our line."""
    return "".join(line for line in autostart.splitlines(True) if not line.rstrip().endswith(MARK))


def with_real_touches(own: str, system: str, outputs: list[str]) -> str:
    """The user's rc.xml (empty: none yet) with every touch screen that emulates a mouse told not to.

    Raspberry Pi OS names its panels for one output each; without emulation a name that is not there
    swallows every touch, so where one output is connected all of them mean that one.
    """
    known = {_device(touch) for touch in TOUCH.findall(own)}
    foreign = [each for each in TOUCH.findall(system) if EMULATION.search(each)]
    added = [each for each in foreign if _device(each) not in known]
    if not added and not any(map(EMULATION.search, TOUCH.findall(own))):
        return own
    text = own or EMPTY_RC
    if added:
        end = text.rindex("</")
        lines = "".join(f"  {_closed(each)}\n" for each in added)
        text = f"{text[:end]}{lines}{text[end:]}"
    return TOUCH.sub(lambda found: _real(found.group(), outputs), text)


def connected(displays: Path) -> list[str]:
    """The names of the outputs with a screen on them, for example DSI-1."""
    return [
        status.parent.name.partition("-")[2]
        for status in sorted(displays.glob("card*-*/status"))
        if _read(status).strip() == "connected"
    ]


def _real(touch: str, outputs: list[str]) -> str:
    touch = EMULATION.sub('mouseEmulation="no"', touch)
    return OUTPUT.sub(f'mapToOutput="{outputs[0]}"', touch) if len(outputs) == 1 else touch


def _device(touch: str) -> str:
    found = DEVICE.search(touch)
    return found.group(2).lower() if found else ""


def _closed(touch: str) -> str:
    return touch if touch.endswith("/>") else f"{touch[:-1]}/>"


def _folder() -> Path:
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "labwc"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _kept(path: Path) -> Path:
    """Where a file is kept as it was; an empty one stands for none."""
    return path.with_name(f"{path.name}.before-autotrader")


def _change(path: Path, text: str) -> bool:
    before = _read(path)
    if text == before:
        return False
    if not _kept(path).exists():
        _kept(path).write_text(before, encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    return True


def _put_back(path: Path) -> None:
    before = _read(_kept(path))
    if before:
        path.write_text(before, encoding="utf-8")
    else:
        path.unlink(missing_ok=True)
    _kept(path).unlink()
