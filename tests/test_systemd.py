"""The units as ``systemd/install.sh`` would install them, held against systemd's own checks."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestra.base.settings import ROOT

INSTALL = ROOT / "systemd" / "install.sh"
MOST_EXPOSED = 20  # of 100: an exposure of 2.0
KIOSKS = ["user/autotrader-kiosk.service", "system/autotrader@.service"]
ALWAYS_RUNNING = ["api", "orchestrator", "simulator"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /etc/systemd of a machine that AutoTrader was installed on, without the rest of it."""
    folder = tmp_path_factory.mktemp("rendered")
    run(INSTALL, "--user", "daemon", "--render", folder)
    return folder / "etc" / "systemd"


@pytest.fixture
def analyze() -> str:
    """systemd's own checker."""
    found = shutil.which("systemd-analyze")
    if found is None:
        assert os.environ.get("CI") != "true", "systemd-analyze is missing: apt-get install systemd"
        pytest.skip("NO systemd-analyze: THE UNITS ARE UNTESTED (apt-get install systemd)")
    return found


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def refused(*command: object) -> str:
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def services(rendered: Path) -> list[Path]:
    return sorted((rendered / "system").glob("autotrader-*.service"))


def unit(path: Path) -> configparser.ConfigParser:
    """A unit's sections; of a key that stands there more than once, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(path)
    return parser


def test_every_file_is_filled_in(rendered: Path) -> None:
    files = [path for path in rendered.rglob("*") if path.is_file()]
    names = {str(path.relative_to(rendered)) for path in files}
    assert names >= {
        "system/autotrader.target",
        "system/autotrader-prepare.service",
        "system/autotrader-api.service",
        "system/autotrader-orchestrator.service",
        "system/autotrader-simulator.service",
        "system/autotrader-backup.service",
        "system/autotrader-backup.timer",
        "system/autotrader@.service",
        "user/autotrader-kiosk.service",
        "journald.conf.d/90-autotrader.conf",
        "system.conf.d/90-autotrader.conf",
        "system/systemd-time-wait-sync.service.d/90-autotrader.conf",
    }
    for path in files:
        assert not re.search("@[A-Z]+@", path.read_text()), path


def test_systemd_finds_no_fault_in_the_system_units(rendered: Path, analyze: str) -> None:
    folder = rendered / "system"
    units = [*folder.glob("*.service"), *folder.glob("*.timer"), *folder.glob("*.target")]
    assert run(analyze, "verify", "--recursive-errors=yes", *units) == ""


def test_systemd_finds_no_fault_in_the_user_units(
    rendered: Path, analyze: str, tmp_path: Path
) -> None:
    units = [*(rendered / "user").iterdir()]
    command = (analyze, "--user", "verify", "--recursive-errors=yes", *units)
    assert run(*command, XDG_RUNTIME_DIR=str(tmp_path)) == ""


@pytest.mark.parametrize(
    "place", ["autotrader-api.service", "autotrader-.service.d/50-common.conf"]
)
def test_the_check_would_find_a_misspelt_key(
    rendered: Path, analyze: str, tmp_path: Path, place: str
) -> None:
    copy = tmp_path / "system"
    shutil.copytree(rendered / "system", copy)
    with (copy / place).open("a") as file:
        file.write("[Service]\nRestrat=always\n")
    found = refused(analyze, "verify", "--recursive-errors=yes", copy / "autotrader-api.service")
    assert "Restrat" in found


def test_no_system_service_is_more_exposed_than_two(rendered: Path, analyze: str) -> None:
    assert len(services(rendered)) == 5
    for path in services(rendered):
        threshold = f"--threshold={MOST_EXPOSED}"
        run(analyze, "security", "--offline=true", threshold, path)


def test_the_exposure_would_be_noticed(rendered: Path, analyze: str, tmp_path: Path) -> None:
    path = tmp_path / "autotrader-api.service"  # without the drop-in beside it
    shutil.copy(rendered / "system" / path.name, path)
    refused(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", path)


@pytest.mark.parametrize("name", ALWAYS_RUNNING)
def test_a_service_is_always_brought_back(rendered: Path, name: str) -> None:
    found = unit(rendered / "system" / f"autotrader-{name}.service")
    assert found["Unit"]["StartLimitIntervalSec"] == "0"  # there is no last try
    assert found["Service"]["Restart"] == "always"
    assert found["Service"]["Type"] == "notify"
    assert int(found["Service"]["WatchdogSec"]) <= 120
    assert found["Service"]["MemoryMax"]
    assert "Requires" not in found["Unit"]  # what it needs may fail, and is tried again with it


def test_the_page_on_the_screen_is_always_brought_back(rendered: Path) -> None:
    for place in KIOSKS:
        found = unit(rendered / place)
        assert found["Unit"]["StartLimitIntervalSec"] == "0"
        assert found["Service"]["Restart"] == "always"
        assert found["Service"]["StandardError"] == "journal"  # why it does not open


def test_without_a_desktop_the_page_takes_the_place_of_a_consoles_login(rendered: Path) -> None:
    found = unit(rendered / "system" / "autotrader@.service")
    assert found["Unit"]["Conflicts"] == "getty@%i.service"
    assert "getty@%i.service" in found["Unit"]["After"].split()  # it has let go of the console
    service = found["Service"]
    assert (service["User"], service["PAMName"], service["TTYPath"]) == (
        *("daemon", "login", "/dev/%i"),
    )
    assert service["ExecStart"].startswith("/usr/bin/env cage -s -- ")
    assert "MemoryMax=1G" in service["ExecStart"]
    # Only at power-on: whoever installs it may sit at that console
    assert found["Install"]["WantedBy"] == "multi-user.target"


def test_nothing_of_the_services_sandbox_is_put_over_the_screen(rendered: Path) -> None:
    """A drop-in for autotrader-.service is one for each unit whose name begins like that."""
    shut_in = {path.name for path in services(rendered)}
    assert shut_in == {
        f"autotrader-{name}.service" for name in [*ALWAYS_RUNNING, "prepare", "backup"]
    }


def test_no_unit_reads_the_settings_file(rendered: Path) -> None:
    """systemd keeps its comments as part of the values: ALPACA_PAPER would not be 'True'."""
    for path in rendered.rglob("*"):
        if path.is_file():
            for line in path.read_text().splitlines():
                assert not (line.startswith("EnvironmentFile") and line.endswith("/.env")), path


def test_only_the_data_can_be_written(rendered: Path) -> None:
    common = unit(rendered / "system" / "autotrader-.service.d" / "50-common.conf")["Service"]
    assert common["User"] == "daemon"
    written = common["BindPaths"].split()
    assert f"-{ROOT}/database" in written and f"-{ROOT}/system_databse" in written
    assert f"-{ROOT}" in common["BindReadOnlyPaths"].split()
    assert f"-{ROOT}" not in written and f"-{ROOT}/orchestra" not in written


def test_folders_named_in_the_settings_can_be_written_and_read(tmp_path: Path) -> None:
    usb, ideas = tmp_path / "usb", tmp_path / "ideas"
    environment = {"BACKUP_SECOND_DIR": str(usb), "ALGORITHMS_DIR": str(ideas)}
    run(INSTALL, "--user", "daemon", "--render", tmp_path / "out", **environment)
    folder = tmp_path / "out/etc/systemd/system/autotrader-.service.d"
    common = unit(folder / "50-common.conf")["Service"]
    assert f"-{usb}" in common["BindPaths"].split()
    assert f"-{ideas}" in common["BindReadOnlyPaths"].split()
    assert f"-{ideas}" not in common["BindPaths"].split()


def test_time_synchronisation_is_waited_for_but_not_for_ever(rendered: Path) -> None:
    folder = rendered / "system"
    trader = unit(folder / "autotrader-orchestrator.service")["Unit"]
    assert "time-sync.target" in trader["After"].split()
    waiting = unit(folder / "systemd-time-wait-sync.service.d" / "90-autotrader.conf")
    assert waiting["Service"]["TimeoutStartSec"] == "120"
    # The page does not wait: it is what says that the clock is not set
    assert "time-sync.target" not in unit(folder / "autotrader-api.service")["Unit"]["After"]


def test_the_journal_outlives_a_reboot_and_has_a_limit(rendered: Path) -> None:
    journal = unit(rendered / "journald.conf.d" / "90-autotrader.conf")["Journal"]
    assert journal["Storage"] == "persistent"
    assert journal["SystemMaxUse"] == "64M"


def test_the_backups_timer_fires_while_the_market_is_closed(rendered: Path, analyze: str) -> None:
    backup = unit(rendered / "system" / "autotrader-backup.timer")["Timer"]
    assert backup["Persistent"] == "true"  # a machine that was off makes up for it
    assert "Next elapse" in run(analyze, "calendar", backup["OnCalendar"])
    assert backup["OnCalendar"] == "*-*-* 23:10:00 UTC"


def test_an_unknown_option_changes_nothing() -> None:
    assert "there are --uninstall" in refused(INSTALL, "--unistall")


def test_it_does_not_run_as_root(tmp_path: Path) -> None:
    sentence = refused(INSTALL, "--user", "root", "--render", tmp_path)
    assert "does not run as root" in sentence
    assert len(sentence.strip().splitlines()) == 1


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [INSTALL, "--user", "daemon", "--render", tmp_path],
        env={**os.environ, "ALPACA_PAPER": "maybe"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert done.stderr == "Setting ALPACA_PAPER: expected exactly True or False, found 'maybe'.\n"
