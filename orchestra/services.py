"""What the service manager says of each of the terminal's units, and what to do about each."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from orchestra.first_aid import Finding

TARGET = "autotrader.target"
SIMULATOR = "autotrader-simulator.service"
# In the order in which they start, with what each is
UNITS = {
    TARGET: "start at power-on",
    "autotrader-prepare.service": "databases and clock",
    SIMULATOR: "simulated exchange",
    "autotrader-api.service": "page",
    "autotrader-orchestrator.service": "trader",
    "autotrader-backup.timer": "nightly backup",
}
TIME_WAIT = "systemd-time-wait-sync.service"  # the trader's unit starts after it
ASKED = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,ConditionResult,NeedDaemonReload"
INSTALL = "sudo systemd/install.sh"
START = "sudo systemctl start autotrader.target"
SECONDS = 20

Unit = dict[str, str]


def is_here() -> bool:
    """Whether a service manager runs on this machine."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def services() -> list[Finding]:
    """Look at each unit; where all are well, or none is installed, it is one finding."""
    if not is_here():
        message = "systemd does not run here: ./start_pi.sh starts the terminal."
        return [Finding("services", "ok", message)]
    command = ["systemctl", "show", f"--property={ASKED}", *UNITS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    return findings(done.stdout)


def wait_for_the_time() -> bool:
    """Whether the trader's unit is held back until the system's clock is set from the network."""
    command = ["systemctl", "show", "--property=ActiveState", "--value", TIME_WAIT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "activating"


def findings(said: str) -> list[Finding]:
    """Read what ``systemctl show`` has said of UNITS: blocks of NAME=VALUE, one for each unit."""
    units = units_of(said)
    if not any(units.get(name, {}).get("LoadState") == "loaded" for name in UNITS):
        message = "Not installed: it does not start at power-on."
        return [Finding("services", "ok", message, f"If it shall: {INSTALL}")]
    unwell = [found for name in UNITS for found in _unwell(name, units.get(name, {}))]
    if unwell:
        return unwell
    active = [name for name in UNITS if units[name]["ActiveState"] == "active"]
    running = ", ".join(UNITS[name] for name in active if name != TARGET)
    return [Finding("services", "ok", f"Installed, started at power-on, running: {running}.")]


def units_of(said: str) -> dict[str, Unit]:
    """The units in what ``systemctl show`` has said, by name."""
    return {unit.get("Id", ""): unit for unit in map(_unit, said.strip().split("\n\n"))}


def _unit(block: str) -> Unit:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _unwell(name: str, unit: Unit) -> Iterator[Finding]:
    """What is wrong with a unit, if anything, and what to do about it."""
    state, sub = unit.get("ActiveState", ""), unit.get("SubState", "")
    result, restarts = unit.get("Result", ""), unit.get("NRestarts", "0")
    about = f"{name} ({UNITS[name]})"
    look = f"sudo journalctl -n 20 -u {name}"
    if unit.get("LoadState") != "loaded":
        yield Finding("services", "down", f"{about} is not installed.", INSTALL)
    elif sub == "auto-restart":
        message = f"{about} ends again and again (restarts: {restarts}; {result})."
        yield Finding("services", "down", message, f"{look}; it is started again by itself.")
    elif state == "failed":
        yield Finding("services", "down", f"{about} has failed ({result}).", f"{look}; {START}")
    elif state == "activating":
        message = f"{about} is starting: it may wait for the time of day or the others."
        yield Finding("services", "degraded", message, f"If it stays: {look}")
    elif name == SIMULATOR and state == "inactive" and unit.get("ConditionResult") == "no":
        pass  # not needed with Alpaca's keys
    elif state != "active":
        remedy = f"sudo systemctl enable --now {name}" if name.endswith(".timer") else START
        yield Finding("services", "down", f"{about} is stopped.", remedy)
    elif unit.get("UnitFileState") == "disabled":
        message = f"{about} is switched off: not there after the next power-on."
        yield Finding("services", "degraded", message, f"sudo systemctl enable {name}")
    elif unit.get("NeedDaemonReload") == "yes":
        remedy = "sudo systemctl daemon-reload; sudo systemctl restart autotrader.target"
        yield Finding("services", "degraded", f"{about} has changed since it was read.", remedy)
