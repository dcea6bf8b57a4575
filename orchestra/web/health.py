"""How each part is doing: what the parts wrote into system.db, and what can be seen from here."""

import sqlite3
from pathlib import Path
from typing import Any

import orchestra
from database import schema
from orchestra.base import clock, disk, settings, sqlite
from orchestra.base.errors import ForeignContents
from orchestra.live_lock import DEFAULT_PIN
from system_databse import create_system_db, heartbeats, system_db_manager
from system_databse.heartbeats import SILENT_AFTER_SECONDS, START_SECONDS, Heartbeat

# Written with the trader's own part
OF_THE_TRADER = ("workers", "stream", "broker", "clock", "ledger", "databases")
OLD_BACKUP_DAYS = 3
DAY_SECONDS = 86_400.0

READ_AGAIN_SECONDS = 60.0

Part = dict[str, Any]
# When the whole ledger was last read here, and what came of it
_read: tuple[float, bool] | None = None
# Of a part, a word whose date is not to be trusted, and when it was first seen here
_seen: dict[str, tuple[str, float]] = {}


def health(cards: list[dict[str, Any]], market_open: bool) -> dict[str, Any]:
    """Return ``status`` (ok, degraded or down), ``version`` and each part's status, message, age.

    Ages are in machine seconds, None where nothing was ever said.
    """
    beats = heartbeats.heartbeats()
    start = beats.get(heartbeats.START)  # all that is older was said before it
    parts = _trader(beats) if start is None else _starting(start)
    parts["databases"] = _databases(parts.get("databases"))
    parts["data"] = _data(cards, market_open)
    parts["disk"] = _part(*disk.condition(_folders()))
    parts["backups"] = _backups(beats.get("backups"))
    if settings.current().notify_urls and "notifications" in beats:
        parts["notifications"] = _told(beats["notifications"])
    statuses = {part["status"] for part in parts.values()}
    overall = next((s for s in ("down", "degraded") if s in statuses), "ok")
    if settings.current().mode != "simulated" and system_db_manager.get_pin() == DEFAULT_PIN:
        # A nag, not an illness: it does not make the terminal less than ok
        parts["pin"] = _part("degraded", "The PIN is still 2020.")
    return {"status": overall, "version": orchestra.__version__, "parts": parts}


def unreadable(error: Exception) -> dict[str, Any]:
    """Return health where a database cannot be read, or is not this program's."""
    message = str(error)
    if isinstance(error, sqlite3.Error):
        name = settings.current().system_db_path.name
        message = f"{name} cannot be read: {error}. Stop the terminal: python -m orchestra restore."
    parts = {"databases": _part("down", message), "disk": _part(*disk.condition(_folders()))}
    return {"status": "down", "version": orchestra.__version__, "parts": parts}


def _trader(beats: dict[str, Heartbeat]) -> dict[str, Part]:
    """The trader's own part and those that it speaks for."""
    trader = _orchestrator(beats.get("orchestrator"))
    if trader["status"] == "down":  # their words are as old as its own
        return {"orchestrator": trader}
    told = {part: beats[part] for part in OF_THE_TRADER if part in beats}
    if settings.current().deadman_url and "deadman" in beats:
        told["deadman"] = beats["deadman"]
    return {"orchestrator": trader, **{part: _told(beat) for part, beat in told.items()}}


def _starting(start: Heartbeat) -> dict[str, Part]:
    """A trader that has not spoken since it was announced: held back for the clock, or on its way."""
    silent_for = _seen_for(heartbeats.START, start)
    if silent_for > START_SECONDS:
        message = f"The trader was to start and has given no sign of life for {silent_for:.0f} s."
        return {"orchestrator": _part("down", message, None)}
    parts = {"orchestrator": _part("degraded", start.message, None)}
    return parts if start.status != "down" else {**parts, "clock": _part("down", start.message)}


def _part(status: str, message: str, age: float | None = 0.0) -> Part:
    return {"status": status, "message": message, "age": age}


def _told(beat: Heartbeat) -> Part:
    return _part(beat.status, beat.message, beat.age)


def _orchestrator(beat: Heartbeat | None) -> Part:
    if beat is None:
        return _part("down", "The trader has not been started.", None)
    silent_for = _silent_for(beat)
    if silent_for > SILENT_AFTER_SECONDS:
        message = f"The trader has given no sign of life for {silent_for:.0f} s."
        return _part("down", message, silent_for)
    return _told(beat)


def _silent_for(beat: Heartbeat) -> float:
    """Machine seconds without a newer one; where the clock was set back since, as long as seen from here."""
    return beat.age if beat.age >= 0 else _seen_for("orchestrator", beat)


def _seen_for(part: str, beat: Heartbeat) -> float:
    """Machine seconds since this word was first seen here: whatever the clock was set to meanwhile."""
    if part not in _seen or _seen[part][0] != beat.machine_time:
        _seen[part] = (beat.machine_time, clock.elapsed())
    return clock.elapsed() - _seen[part][1]


def _databases(told: Part | None) -> Part:
    """What the trader says of them, unless there is something wrong that can be seen from here."""
    if told is None and not _ledger_is_sound():  # that may be why it says nothing
        return _part("down", str(create_system_db.damaged()))
    stocks = settings.current().stocks_db_path
    try:
        if stocks.exists():  # it is the trader's to make
            schema.stocks().execute("SELECT 1 FROM bars LIMIT 1").fetchone()
    except ForeignContents as error:
        return _part("down", str(error))
    except (sqlite3.Error, OSError) as error:
        if not sqlite.is_full(error):
            return _part("degraded", f"{stocks.name}: {error}.")
    return told or _part("ok", "")


def _ledger_is_sound() -> bool:
    """Read the whole ledger, at most once in a while."""
    global _read
    if _read is None or clock.elapsed() - _read[0] > READ_AGAIN_SECONDS:
        _read = (clock.elapsed(), sqlite.is_sound(system_db_manager.ledger()))
    return _read[1]


def _data(cards: list[dict[str, Any]], market_open: bool) -> Part:
    stale = sorted({card["ticker"] for card in cards if card["price_stale"]})
    if market_open and stale:
        return _part("degraded", f"Prices are old: {', '.join(stale)}.")
    return _part("ok", "")


def _backups(beat: Heartbeat | None) -> Part:
    """The age is that of the newest verified backup."""
    if beat is None:
        return _part("ok", "None yet: the first is made after the close.", None)
    if beat.age > clock.machine_now().timestamp() - DAY_SECONDS:  # heartbeats.NEVER
        return _part(beat.status, beat.message, None)
    days = beat.age / DAY_SECONDS
    if beat.status == "ok" and days > OLD_BACKUP_DAYS:
        return _part("degraded", f"The newest backup is {days:.0f} days old.", beat.age)
    if days < -1:
        return _part("degraded", "The newest backup was made with a clock ahead of now.", beat.age)
    return _told(beat)


def _folders() -> set[Path]:
    chosen = settings.current()
    files = (chosen.system_db_path, chosen.stocks_db_path)
    return {*(path.parent for path in files), chosen.log_dir}
