"""What the booted machine does for its own screen: the desktop's window, and the console without a desktop.

The container has neither screen nor browser. Programs that only last stand in for chromium and cage, so what
is seen is who starts what, who brings it back, and what the doctor says of it.
"""

from collections.abc import Callable

from tests.boot_machine import PROJECT, Machine, Table, wait_for

CONSOLE = "autotrader@tty1.service"
DESKTOP, AWAY = "/etc/xdg/labwc", "/etc/xdg/labwc.away"
PROGRAMS = "/usr/bin"


class Screen:
    """``doctor`` gives the doctor's lines, as pi hears them, that match."""

    def __init__(self, machine: Machine, table: Table, doctor: Callable[[str], str]) -> None:
        self.machine = machine
        self.table = table
        self.doctor = doctor

    def look_at_the_desktop(self) -> None:
        lines = self.machine.shell("cat /home/pi/.config/labwc/autostart").splitlines()
        fine = len(lines) == 1 and "systemctl --user start autotrader-kiosk.service" in lines[0]
        self.table.note("lines in labwc's autostart", len(lines), fine)
        touch = self.machine.shell("grep -o 'mouseEmulation=.*' /home/pi/.config/labwc/rc.xml")
        self.table.note("labwc's touch screen", touch, touch.startswith('mouseEmulation="no"'))

    def open_the_window(self) -> None:
        """Through pi's own service manager, as labwc's autostart does."""
        machine = self.machine
        self._expect("doctor, nobody logged in", "pi is not logged in on the desktop")
        machine.run("systemctl", "start", "user@1000.service")
        self._expect("doctor, pi on SSH", "pi is not logged in on the desktop")
        machine.as_pi("systemctl --user start autotrader-kiosk.service")
        wait_for(lambda: "again and again" in self.doctor("^. screen"))
        self._expect("doctor, no display", "ends again and again")
        said = machine.shell(
            "journalctl -q -o cat -n 50 _SYSTEMD_USER_UNIT=autotrader-kiosk.service | grep display"
        )
        self.table.note("its journal", said.splitlines()[-1:], "No display here" in said)
        self._put_in_place("chromium")
        machine.as_pi(self._autostart())
        wait_for(lambda: "is open" in self.doctor("^. screen"))
        self._expect("doctor, on the desktop", "The page's window is open on pi's desktop.")
        before = self._window("MainPID")
        machine.run("pkill", "-KILL", "-f", f"{PROGRAMS}/chromium")
        wait_for(lambda: self._window("MainPID") not in (before, "0"))
        self.table.note("the browser ends", "it is begun anew")
        machine.as_pi("systemctl --user stop autotrader-kiosk.service")
        self._expect("doctor, closed by hand", "The page's window on pi's desktop is closed.")
        machine.run("systemctl", "stop", "user@1000.service")
        self._take_away("chromium")

    def take_the_desktop_away(self) -> None:
        """What is then left is Raspberry Pi OS Lite's, with the packages that the installer asks for."""
        self.machine.run("mv", DESKTOP, AWAY)
        self._put_in_place("cage", "Xwayland", "chromium")

    def look_at_the_console(self) -> None:
        machine, table = self.machine, self.table
        enabled = machine.run("systemctl", "is-enabled", CONSOLE)
        table.note("without a desktop the console's unit", enabled, enabled == "enabled")
        left = machine.shell(
            "grep -s autotrader-kiosk /home/pi/.config/labwc/autostart || echo none"
        )
        table.note("left in labwc's autostart", left, left == "none")
        self._expect("doctor before the reboot", "opens at power-on")
        # A container has no console: the place of the login cannot be taken here
        machine.run("systemctl", "start", CONSOLE)
        state = machine.run("systemctl", "show", "-P", "ConditionResult", CONSOLE)
        table.note("a machine without a console", f"its condition: {state}", state == "no")

    def keep_the_page_off(self) -> None:
        """The choice outlives an update, which is the installer's plain form."""
        machine, install = self.machine, f"{PROJECT}/systemd/install.sh"
        for what, option in (("--no-kiosk", "--no-kiosk"), ("an update after it", "")):
            machine.shell(f"{install} {option}")
            on = machine.run("systemctl", "is-enabled", CONSOLE)
            said = self.doctor("^. screen")
            fine = on == "disabled" and "does not open itself" in said
            self.table.note(what, f"console {on}; {said}", fine)

    def give_the_desktop_back(self) -> None:
        self.machine.run("mv", AWAY, DESKTOP)
        self._take_away("cage", "Xwayland", "chromium")

    def _expect(self, what: str, words: str) -> None:
        said = self.doctor("^. screen")
        self.table.note(what, said, words in said)

    def _window(self, field: str) -> str:
        return self.machine.as_pi(f"systemctl --user show -P {field} autotrader-kiosk.service")

    def _autostart(self) -> str:
        """labwc's autostart as it is installed, run with a desktop's variables."""
        return "export WAYLAND_DISPLAY=wayland-0; . /home/pi/.config/labwc/autostart; wait"

    def _put_in_place(self, *programs: str) -> None:
        for name in programs:
            path = self.machine.root / f"{PROGRAMS[1:]}/{name}"
            path.write_text("#!/bin/sh\nwhile :; do sleep 1; done\n")
            path.chmod(0o755)

    def _take_away(self, *programs: str) -> None:
        for name in programs:
            (self.machine.root / f"{PROGRAMS[1:]}/{name}").unlink()
