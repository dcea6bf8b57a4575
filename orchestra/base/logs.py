"""Log files: orchestrator.log, api.log and websocket.log, begun anew each day, together within a limit."""

import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from logging.handlers import BaseRotatingHandler
from pathlib import Path

from orchestra.base import clock, hiding
from orchestra.base.errors import SettingsError

WEBSOCKET_LOGGERS = ("autotrader.websocket", "alpaca.data.live.websocket")
OLD = "*.log.*"
SHARE = 10  # each file that is written to may take this part of the whole
WRITTEN_TO = 4  # the three, and what the processes say on stderr
LONGEST_EVENT = 20_000  # characters; an algorithm may print anything
INDENT = "\n    "


class _Formatter(logging.Formatter):
    """One line an event, stamped with the project's clock; what belongs to it follows, indented.

    So a log of an accelerated day reads as that day, and nothing that is logged looks like an event.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return clock.stamp()

    def format(self, record: logging.LogRecord) -> str:
        text = hiding.hide(super().format(record))
        if len(text) > LONGEST_EVENT:
            text = f"{text[:LONGEST_EVENT]} ... (cut)"
        return INDENT.join(text.splitlines())


class _LimitedFile(BaseRotatingHandler):
    """A log file that makes way for a new one each day (UTC, the machine's) and when it is large."""

    def __init__(self, path: Path, total: int) -> None:
        super().__init__(path, "a", encoding="utf-8", delay=True)
        self._path = path
        self._total = total
        self._day = _today()
        with suppress(FileNotFoundError):
            self._day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802
        if self._day != _today():
            return True
        if self.stream is None:
            return False
        return os.fstat(self.stream.fileno()).st_size > self._total // SHARE

    def doRollover(self) -> None:  # noqa: N802
        if self.stream is not None:
            self.stream.close()
            self.stream = None  # opened again by the next line
        with suppress(FileNotFoundError):
            self._path.rename(_free_name(self._path, self._day))
        self._day = _today()
        make_room(self._path.parent, self._total * (SHARE - WRITTEN_TO) // SHARE)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Go on: a full disk is health's to tell, and must not be told in every line."""


def make_room(folder: Path, limit: int) -> None:
    """Remove the oldest of a folder's old log files until the others take no more than ``limit`` bytes."""
    found = []
    for path in folder.glob(OLD):
        with suppress(FileNotFoundError):  # another process makes room as well
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    taken = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if taken <= limit:
            return
        path.unlink(missing_ok=True)
        taken -= size


def start_logging(name: str, folder: Path, total: int) -> logging.Logger:
    """Send the process's log to ``folder/name.log`` and stdout; the stream's also to websocket.log.

    All log files together stay below ``total`` bytes. Raises SettingsError for a folder that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"LOG_DIR {folder} cannot be made: {error.strerror}.") from error
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    _add(root, _LimitedFile(folder / f"{name}.log", total))
    _add(root, logging.StreamHandler(sys.stdout))
    if name == "orchestrator":
        stream_file = _LimitedFile(folder / "websocket.log", total)
        for logger_name in WEBSOCKET_LOGGERS:
            _add(logging.getLogger(logger_name), stream_file)
    logging.getLogger("alpaca.data.live.websocket").addFilter(_is_news)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    return logging.getLogger(f"autotrader.{name}")


def about(algo_id: int, ticker: str, minute: str | datetime | None = None) -> str:
    """Name card, ticker and minute at the head of a line; without a minute it is the running one."""
    stamp = minute if isinstance(minute, str) else clock.stamp(minute)
    return f"Card {algo_id} {ticker} {stamp[:16]}Z"


def _is_news(record: logging.LogRecord) -> bool:
    """alpaca-py reports each repeated subscription; ours are logged where they change."""
    return not record.getMessage().startswith("subscribed to ")


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)


def _free_name(path: Path, day: date) -> Path:
    """``api.log.2024-06-04``, or with a number where the day had more than one."""
    old = path.with_name(f"{path.name}.{day}")
    number = 1
    while old.exists():
        number += 1
        old = path.with_name(f"{path.name}.{day}.{number}")
    return old


def _today() -> date:
    return clock.machine_now().date()
