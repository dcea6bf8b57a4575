"""What the doctor makes of the page's window, as a real ``systemctl show`` in a booted machine has it."""

import re
from pathlib import Path

import pytest

from orchestra import desktop, screen
from orchestra.services import Unit, units_of

SAID = Path(__file__).with_name("systemctl_show_screen.txt").read_text()
PACKAGES = "sudo apt install cage xwayland chromium fonts-dejavu-core"


def said(situation: str) -> str:
    found = re.search(rf"^# {situation}\n(.*?)(?=\n\n# |\Z)", SAID, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def unit(situation: str) -> Unit:
    [found] = units_of(said(situation)).values()
    return found


def test_a_window_that_is_open_is_named_with_its_user() -> None:
    found = screen.on_desktop("pi", unit("open on the desktop"), True)
    assert found == ("screen", "ok", "The page's window is open on pi's desktop.", "")


def test_a_window_that_cannot_stay_open_leads_to_its_journal() -> None:
    found = screen.on_desktop("pi", unit("ends again and again"), True)
    assert found.status == "down"
    assert re.match(
        r"The page's window on pi's desktop ends again and again \(restarts: [1-9]", found.message
    )
    assert "journalctl -n 20 _SYSTEMD_USER_UNIT=autotrader-kiosk.service" in found.remedy


def test_a_closed_window_is_opened_again_and_a_desktop_is_logged_in_to() -> None:
    closed = unit("not started")
    found = screen.on_desktop("pi", closed, True)
    assert (found.status, found.message) == ("down", "The page's window on pi's desktop is closed.")
    assert found.remedy == "As pi: systemctl --user start autotrader-kiosk.service"
    for manager in (closed, None):  # he may have come by SSH, or not at all
        found = screen.on_desktop("pi", manager, False)
        assert found.status == "down" and found.message.startswith("pi is not logged in")
        assert "raspi-config nonint do_boot_behaviour B4" in found.remedy


def test_a_unit_that_is_gone_is_installed_again() -> None:
    gone = {**unit("not started"), "LoadState": "not-found"}
    found = screen.on_desktop("pi", gone, True)
    assert (found.status, found.remedy) == ("down", "sudo systemd/install.sh")


def test_without_a_desktop_the_console_is_looked_at() -> None:
    waiting = unit("console before the reboot")
    assert waiting["UnitFileState"] == "enabled"
    found = screen.on_console("pi", waiting)
    assert found.status == "down" and "opens at power-on" in found.message
    assert "sudo systemctl start autotrader@tty1.service" in found.remedy
    active = {**waiting, "ActiveState": "active", "SubState": "running"}
    found = screen.on_console("pi", active)
    assert found == ("screen", "ok", "The page's window is open on tty1, for pi.", "")
    failing = {**waiting, "ActiveState": "activating", "SubState": "auto-restart"}
    found = screen.on_console("pi", failing)
    assert found.status == "down" and "journalctl -n 20 -u autotrader@tty1" in found.remedy


def test_a_machine_that_shows_the_page_elsewhere_is_well_and_told_how() -> None:
    assert screen.nowhere(True).status == "ok"
    assert screen.nowhere(True).remedy == "If it shall: sudo systemd/install.sh --kiosk"
    assert (
        screen.nowhere(False).remedy == f"If it shall: {PACKAGES}; sudo systemd/install.sh --kiosk"
    )


def test_it_is_the_desktops_own_file_that_says_whether_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert not desktop.opens_the_page(tmp_path)
    desktop.install(tmp_path / "rc.xml", tmp_path)
    assert desktop.opens_the_page(tmp_path)
    desktop.remove(tmp_path / "rc.xml", tmp_path)
    assert not desktop.opens_the_page(tmp_path)
