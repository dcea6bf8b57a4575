"""Log files: one for each of orchestrator, API and websocket, rotated daily, plus stdout."""

import logging
import sys
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path

from orchestra.base import clock

KEPT_DAYS = 14
WEBSOCKET_LOGGERS = ("autotrader.websocket", "alpaca.data.live.websocket")


class _UtcFormatter(logging.Formatter):
    """Stamps lines with the project's clock, so that a log of an accelerated day reads as that day."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return clock.stamp()


def _is_news(record: logging.LogRecord) -> bool:
    """alpaca-py reports each repeated subscription; ours are logged where they change."""
    return not record.getMessage().startswith("subscribed to ")


def start_logging(name: str, folder: Path) -> logging.Logger:
    """Send the process's log to ``folder/name.log`` and stdout; the stream's also to websocket.log."""
    folder.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    _add(root, _rotating(folder / f"{name}.log"))
    _add(root, logging.StreamHandler(sys.stdout))
    if name == "orchestrator":
        stream_file = _rotating(folder / "websocket.log")
        for logger_name in WEBSOCKET_LOGGERS:
            _add(logging.getLogger(logger_name), stream_file)
    logging.getLogger("alpaca.data.live.websocket").addFilter(_is_news)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    return logging.getLogger(f"autotrader.{name}")


def _rotating(path: Path) -> logging.Handler:
    return TimedRotatingFileHandler(
        path, when="midnight", utc=True, backupCount=KEPT_DAYS, encoding="utf-8", delay=True
    )


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(_UtcFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
