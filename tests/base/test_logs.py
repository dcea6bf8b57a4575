"""Log files: a new one each day, one line an event, and never more on the disk than allowed."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.base import logs
from orchestra.base.errors import SettingsError
from orchestra.base.settings import ROOT
from tests.exchange_fixture import OPEN_MARKET, change, set_clock
from tests.web.conftest import close_logs

TOTAL = 1_000_000
FLOOD = """
import sys
from pathlib import Path
from orchestra.base import logs
log = logs.start_logging(sys.argv[1], Path(sys.argv[2]), 1_000_000)
sys.stdout = None
for number in range(2_500):
    log.info("%s: event %06d of a flood%s", logs.about(3, "NVDA"), number, "." * 400)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    set_clock(OPEN_MARKET)
    yield tmp_path / "logs"
    close_logs()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_an_event_is_one_line_with_card_ticker_and_minute(folder: Path) -> None:
    log = logs.start_logging("orchestrator", folder, TOTAL)
    log.info("%s: bought 53 at 120.15", logs.about(3, "NVDA", "2024-06-04T14:29:00Z"))
    assert lines(folder / "orchestrator.log") == [
        "2024-06-04T14:30:00Z INFO autotrader.orchestrator:"
        " Card 3 NVDA 2024-06-04T14:29Z: bought 53 at 120.15"
    ]
    assert logs.about(3, "NVDA") == "Card 3 NVDA 2024-06-04T14:30Z"


def test_what_an_algorithm_prints_cannot_pass_for_an_event(folder: Path) -> None:
    log = logs.start_logging("orchestrator", folder, TOTAL)
    log.info(
        "printed: %s", "a\n2024-06-04T14:30:00Z INFO autotrader.orchestrator: all is well\r\nb"
    )
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("The cycle failed")
    log.info("x" * 50_000)
    found = lines(folder / "orchestrator.log")
    events = [line for line in found if not line.startswith("    ")]
    assert len(events) == 3
    assert events[1].endswith("ERROR autotrader.orchestrator: The cycle failed")
    assert any("ValueError: no" in line for line in found)
    assert len(events[2]) < 21_000 and events[2].endswith("... (cut)")


def test_keys_are_in_no_line(folder: Path) -> None:
    change(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="", MARKET_CLOCK_ANCHOR="")
    change(ALPACA_API_KEY="AKABCDEFGHIJ", ALPACA_SECRET="s3cr3ts3cr3t")
    log = logs.start_logging("api", folder, TOTAL)
    logs.clock.stamp()
    log.warning("401 for AKABCDEFGHIJ", exc_info=ValueError("s3cr3ts3cr3t"))
    text = (folder / "api.log").read_text()
    assert "401 for (hidden)" in text and "ValueError: (hidden)" in text


def test_the_stream_has_a_file_of_its_own(folder: Path) -> None:
    logs.start_logging("orchestrator", folder, TOTAL)
    stream = logging.getLogger("autotrader.websocket")
    try:
        stream.info("connected")
        assert lines(folder / "websocket.log")[0].endswith("connected")
    finally:
        for handler in list(stream.handlers):
            stream.removeHandler(handler)
            handler.close()


def test_each_day_begins_a_new_file_also_after_a_restart(folder: Path) -> None:
    folder.mkdir()
    (folder / "api.log").write_text("yesterday's\n")
    (folder / "api.log.2024-06-03").write_text("an earlier part of it\n")
    os.utime(folder / "api.log", (1_717_458_000, 1_717_458_000))  # 2024-06-03T23:40:00Z
    logs.start_logging("api", folder, TOTAL).info("today's")
    assert sorted(path.name for path in folder.iterdir()) == [
        "api.log",
        "api.log.2024-06-03",
        "api.log.2024-06-03.2",
    ]
    assert lines(folder / "api.log.2024-06-03.2") == ["yesterday's"]
    assert lines(folder / "api.log")[0].endswith("today's")


def test_two_processes_in_a_flood_stay_below_the_limit(folder: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FLOOD, name, str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        for name in ("orchestrator", "api")
    ]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, taken_meanwhile(folder))
    assert [process.wait() for process in processes] == [0, 0]
    assert 2 * TOTAL <= 2 * 2_500 * 400  # what came was twice the limit
    assert TOTAL / 2 < max(most, taken(folder)) <= TOTAL
    for name in ("orchestrator", "api"):
        assert "event 002499" in lines(folder / f"{name}.log")[-1]


def taken_meanwhile(folder: Path) -> int:
    try:
        return taken(folder)
    except FileNotFoundError:  # not begun yet, or one was just removed
        return 0


def test_a_full_disk_stops_nobody_and_is_not_told_in_every_line(tmp_path: Path) -> None:
    small = tmp_path / "disk"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    try:
        allowed = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("MOUNTING IS NOT ALLOWED HERE")
    try:
        flood = [sys.executable, "-c", FLOOD, "api", str(small / "logs")]
        done = subprocess.run(flood, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"LOG_DIR .*/file/logs cannot be made"):
        logs.start_logging("api", tmp_path / "file" / "logs", TOTAL)
