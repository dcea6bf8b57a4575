"""Has the ledger backed up once a night, in a process of its own: no disk can hold up the loop."""

import contextlib
import logging
import subprocess
import sys
from datetime import datetime, time, timedelta

from orchestra.backup import PART, note_failure
from orchestra.base import clock
from orchestra.base.settings import ROOT
from system_databse import heartbeats, system_db_manager
from system_databse.backups import CLOCK_DOUBT

NIGHT_BEGINS = time(
    23, 0
)  # UTC, hours after any close: what a timer made before it is last night's
COMMAND = [sys.executable, "-m", "orchestra", "backup"]
GIVE_UP_SECONDS = 1800.0
RETRY_SECONDS = 3600.0

log = logging.getLogger("autotrader.orchestrator")


class NightlyBackup:
    """Looks, while the market is closed, whether tonight's backup is there; if not, has it made."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0
        self._not_before = 0.0  # both on clock.elapsed's scale

    def follow(self) -> None:
        """Start the backup if it is due; note how it ended. Never waits."""
        if self._process is not None:
            self._watch(self._process)
        elif clock.elapsed() >= self._not_before and is_due(clock.machine_now()):
            log.info("Tonight's backup begins")
            self._began = clock.elapsed()
            self._not_before = self._began + RETRY_SECONDS
            try:
                self._process = subprocess.Popen(
                    COMMAND,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            except OSError as error:
                log.error("Tonight's backup could not be begun: %s", error)
                note_failure(str(error))

    def close(self) -> None:
        """End a backup that is under way: what it has written is no backup yet."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=1)
            self._process = None

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        if process.poll() is not None:
            _, said = process.communicate()
            self._process = None
            if process.returncode != 0:
                log.error("Tonight's backup failed: %s", said.strip())
                if process.returncode < 0:
                    note_failure(f"it was ended by signal {-process.returncode}")
        elif clock.elapsed() - self._began > GIVE_UP_SECONDS:
            process.kill()  # one that hangs in a dead disk may stay; it is not waited for
            self._process = None
            log.error("Tonight's backup was given up: it hangs")
            note_failure(f"it took longer than {GIVE_UP_SECONDS / 60:.0f} minutes")


def is_wanting() -> bool:
    """Whether the newest backup is not where it should be as well, or the last try failed."""
    newest = heartbeats.heartbeats().get(PART)
    return newest is not None and newest.status != "ok"


def is_due(now: datetime) -> bool:
    """Whether there is something to lose, and no backup of it since the night before ``now`` began."""
    if not system_db_manager.get_all_algorithms():
        return False
    newest = heartbeats.heartbeats().get(PART)
    begun = datetime.combine(now.date(), NIGHT_BEGINS, now.tzinfo)
    if begun > now:
        begun -= timedelta(days=1)
    if newest is None or newest.age < -CLOCK_DOUBT.total_seconds():  # dated by a wrong clock
        return True
    return now - timedelta(seconds=newest.age) < begun
