"""labwc's files: the page is opened once, touches are touches, and all of it can be taken back."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestra import desktop

# As Raspberry Pi OS has it: each panel twice, once for each of two connectors
SYSTEM_RC = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <keyboard><default /></keyboard>
  <touch deviceName="11-0038 generic ft5x06 (79)" mapToOutput="DSI-2" mouseEmulation="yes" />
  <touch deviceName="10-0038 generic ft5x06 (79)" mapToOutput="DSI-1" mouseEmulation="yes"/>
  <touch deviceName='raspberrypi-ts'
         mapToOutput='DSI-1' mouseEmulation='yes' />
</openbox_config>
"""
OWN_RC = """<?xml version="1.0"?>
<!-- mine -->
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <theme><name>Onyx</name></theme>
  <touch deviceName="Raspberrypi-TS" mapToOutput="HDMI-A-1" mouseEmulation="yes"/>
</openbox_config>
"""
NAMES = {"11-0038 generic ft5x06 (79)", "10-0038 generic ft5x06 (79)", "raspberrypi-ts"}


class Machine:
    """A user's home, the system's rc.xml and the kernel's list of displays."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        self.config = self.home / ".config" / "labwc"
        self.system_rc = folder / "rc.xml"
        self.system_rc.write_text(SYSTEM_RC)
        self.displays = folder / "drm"
        self.displays.mkdir()
        self.connect("DSI-1")

    def connect(self, *names: str) -> None:
        for name in ("DSI-1", "HDMI-A-1", "HDMI-A-2"):
            folder = self.displays / f"card1-{name}"
            folder.mkdir(exist_ok=True)
            status = "connected" if name in names else "disconnected"
            (folder / "status").write_text(f"{status}\n")

    def install(self) -> list[str]:
        return desktop.install(self.system_rc, self.displays)

    def remove(self) -> list[str]:
        return desktop.remove(self.system_rc, self.displays)

    def touches(self) -> dict[str, tuple[str, str]]:
        """Output and mouse emulation of each device, as labwc would read the file."""
        root = ElementTree.parse(self.config / "rc.xml").getroot()
        return {
            each.attrib["deviceName"].lower(): (
                each.attrib["mapToOutput"],
                each.attrib["mouseEmulation"],
            )
            for each in root.iter("{http://openbox.org/3.4/rc}touch")
        }

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.home)): path.read_text()
            for path in self.home.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_new_user_gets_one_line_and_the_touch_screens_alone(machine: Machine) -> None:
    assert "reboot once" in machine.install()[0]
    line = (
        "systemctl --user import-environment WAYLAND_DISPLAY DISPLAY XDG_CURRENT_DESKTOP"
        " && systemctl --user start autotrader-kiosk.service & # AutoTrader\n"
    )
    assert (machine.config / "autostart").read_text() == line
    assert machine.touches() == dict.fromkeys(NAMES, ("DSI-1", "no"))
    assert "keyboard" not in (machine.config / "rc.xml").read_text()  # the system's counts


def test_a_second_time_changes_nothing(machine: Machine) -> None:
    machine.install()
    before = machine.files()
    assert machine.install() == []
    assert machine.files() == before


def test_what_the_user_has_stays(machine: Machine) -> None:
    machine.config.mkdir(parents=True)
    (machine.config / "autostart").write_text("kanshi &")  # without an end of line
    (machine.config / "rc.xml").write_text(OWN_RC)
    machine.install()
    lines = (machine.config / "autostart").read_text().splitlines()
    assert lines[0] == "kanshi &" and len(lines) == 2
    text = (machine.config / "rc.xml").read_text()
    assert "<!-- mine -->" in text and "<name>Onyx</name>" in text
    assert machine.touches() == dict.fromkeys(NAMES, ("DSI-1", "no"))


def test_with_two_screens_the_outputs_stay_as_they_are(machine: Machine) -> None:
    machine.connect("DSI-1", "HDMI-A-1")
    machine.install()
    assert machine.touches()["11-0038 generic ft5x06 (79)"] == ("DSI-2", "no")


def test_without_a_touch_screen_rc_xml_is_left_alone(machine: Machine) -> None:
    machine.system_rc.write_text("<openbox_config></openbox_config>")
    assert machine.install() == []
    assert sorted(machine.files()) == [
        ".config/labwc/autostart",
        ".config/labwc/autostart.before-autotrader",
    ]


@pytest.mark.parametrize("own", [None, OWN_RC])
def test_removing_gives_back_every_byte(machine: Machine, own: str | None) -> None:
    if own is not None:
        machine.config.mkdir(parents=True)
        (machine.config / "rc.xml").write_text(own)
        (machine.config / "autostart").write_text("kanshi &\n# last\n")
    before = machine.files()
    machine.install()
    machine.install()
    assert machine.remove() == []
    assert machine.files() == before
    assert machine.config.exists() == (own is not None)
    assert machine.remove() == []


def test_what_was_changed_since_is_kept(machine: Machine) -> None:
    machine.install()
    with (machine.config / "autostart").open("a") as file:
        file.write("kanshi &\n")
    (machine.config / "rc.xml").write_text(OWN_RC)
    told = machine.remove()
    assert len(told) == 1 and "was changed since" in told[0]
    assert (machine.config / "autostart").read_text() == "kanshi &\n"
    assert (machine.config / "rc.xml").read_text() == OWN_RC
