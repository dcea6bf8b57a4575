"""What the doctor makes of ``systemctl show``, as a real one has said it in a booted machine."""

import re
from pathlib import Path

import pytest

from orchestra.services import INSTALL, UNITS, findings

SAID = Path(__file__).with_name("systemctl_show.txt").read_text()
TRADER = "autotrader-orchestrator.service"


def said(situation: str) -> str:
    found = re.search(rf"^# {situation}\n(.*?)(?=\n\n# |\Z)", SAID, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def told(situation: str) -> list[tuple[str, str, str]]:
    found = findings(said(situation))
    assert {each.part for each in found} == {"services"}
    return [(each.status, each.message, each.remedy) for each in found]


@pytest.mark.parametrize(
    ("situation", "running"),
    [
        ("running", "databases and clock, simulated exchange, page, trader, nightly backup"),
        ("with keys", "databases and clock, page, trader, nightly backup"),
    ],
)
def test_one_line_where_all_are_well(situation: str, running: str) -> None:
    assert told(situation) == [("ok", f"Installed, started at power-on, running: {running}.", "")]


def test_before_it_is_installed_it_says_how() -> None:
    [(status, message, remedy)] = told("not installed")
    assert (status, message) == ("ok", "Not installed: it does not start at power-on.")
    assert INSTALL in remedy


def test_what_is_stopped_or_switched_off_is_each_named_with_its_remedy() -> None:
    assert told("stopped") == [
        (
            "degraded",
            "autotrader.target (start at power-on) is switched off: not there after the next power-on.",
            "sudo systemctl enable autotrader.target",
        ),
        ("down", f"{TRADER} (trader) is stopped.", "sudo systemctl start autotrader.target"),
        (
            "down",
            "autotrader-backup.timer (nightly backup) is stopped.",
            "sudo systemctl enable --now autotrader-backup.timer",
        ),
    ]


def test_what_fails_or_ends_again_and_again_leads_to_its_journal() -> None:
    prepare, page, trader = told("a wrong setting")
    assert prepare[0] == "down" and prepare[1].endswith("has failed (exit-code).")
    assert prepare[2].startswith("sudo journalctl -n 20 -u autotrader-prepare.service; ")
    assert page[1].startswith("autotrader-api.service (page) ends again and again (restarts: 1")
    assert trader[2].startswith(f"sudo journalctl -n 20 -u {TRADER}")


@pytest.mark.parametrize(
    ("before", "after", "status", "word"),
    [
        ("LoadState=loaded", "LoadState=not-found", "down", "is not installed"),
        ("ActiveState=active", "ActiveState=activating", "degraded", "is starting"),
        ("NeedDaemonReload=no", "NeedDaemonReload=yes", "degraded", "has changed"),
    ],
)
def test_one_unit_that_is_not_as_it_should_be(
    before: str, after: str, status: str, word: str
) -> None:
    blocks = said("running").split("\n\n")
    [number] = [number for number, block in enumerate(blocks) if f"Id={TRADER}" in block]
    blocks[number] = blocks[number].replace(before, after)
    [found] = findings("\n\n".join(blocks))
    assert found.status == status and found.message.startswith(f"{TRADER} (trader) {word}")
    assert found.remedy


def test_every_unit_that_is_installed_to_run_is_looked_at() -> None:
    folder = Path(__file__).parents[2] / "systemd" / "etc" / "systemd" / "system"
    installed = {path.name for path in folder.glob("autotrader*.*") if path.is_file()}
    others = {"autotrader-backup.service", "autotrader@.service"}  # the timer's, and the screen's
    assert set(UNITS) == installed - others
