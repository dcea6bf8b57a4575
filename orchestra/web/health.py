"""How each part is doing, from what the parts wrote into system.db."""

from typing import Any

import orchestra
from orchestra.base import disk, settings
from system_databse import heartbeats, system_db_manager

SILENT_AFTER_SECONDS = 120.0  # machine seconds; the orchestrator writes at least every 30
DEFAULT_PIN = "2020"


def health(cards: list[dict[str, Any]], market_open: bool) -> dict[str, Any]:
    """Return ``status`` (ok, degraded or down), ``version`` and each part's status, message, age."""
    parts: dict[str, dict[str, Any]] = {"orchestrator": _orchestrator()}
    if parts["orchestrator"]["status"] != "down":
        for part, beat in heartbeats.heartbeats().items():
            if part != "orchestrator":
                parts[part] = {"status": beat.status, "message": beat.message, "age": beat.age}
    parts["data"] = _data(cards, market_open)
    shortage = disk.shortage((settings.current().system_db_path, settings.current().stocks_db_path))
    if shortage is not None:
        parts["disk"] = {"status": shortage[0], "message": shortage[1], "age": 0.0}
    statuses = {part["status"] for part in parts.values()}
    overall = next((s for s in ("down", "degraded") if s in statuses), "ok")
    if settings.current().mode != "simulated" and system_db_manager.get_pin() == DEFAULT_PIN:
        # A nag, not an illness: it does not make the terminal less than ok
        parts["pin"] = {"status": "degraded", "message": "The PIN is still 2020.", "age": 0.0}
    return {"status": overall, "version": orchestra.__version__, "parts": parts}


def _orchestrator() -> dict[str, Any]:
    beat = heartbeats.heartbeats().get("orchestrator")
    if beat is None:
        return {"status": "down", "message": "The trader has not been started.", "age": None}
    if beat.age > SILENT_AFTER_SECONDS:
        message = f"The trader has given no sign of life for {beat.age:.0f} s."
        return {"status": "down", "message": message, "age": beat.age}
    return {"status": beat.status, "message": beat.message, "age": beat.age}


def _data(cards: list[dict[str, Any]], market_open: bool) -> dict[str, Any]:
    stale = sorted({card["ticker"] for card in cards if card["price_stale"]})
    if market_open and stale:
        message = f"Prices are old: {', '.join(stale)}."
        return {"status": "degraded", "message": message, "age": 0.0}
    return {"status": "ok", "message": "", "age": 0.0}
