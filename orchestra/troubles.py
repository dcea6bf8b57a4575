"""Notices, from another process, when a part's trouble has begun to last, and when it is over.

For what has no event of its own: a broker out of reach, a stream that brings nothing, cycles that fail one
after the other. A short one is over before anybody could do anything about it, and is told to nobody.
"""

from dataclasses import dataclass

from database.calendar import calendar
from orchestra.base import clock, disk, settings
from system_databse import heartbeats

# Machine seconds; with the market closed nothing is missed by it, and brokers mend things at night
LASTS_SECONDS, LASTS_CLOSED_SECONDS = 300.0, 3600.0
WELL_SECONDS = 60.0  # for which a part must be well again
NAMES = {
    "broker": "the broker",
    "stream": "the stream of bars",
    "workers": "the algorithms' workers",
    "backups": "the backups",
    "deadman": "the call to DEADMAN_URL",
    "disk": "the disk",
    "orchestrator": "the trader",  # last: what it waits for may be another part's trouble
}


@dataclass
class _Trouble:
    """When it began and was last seen, on ``clock.elapsed``'s scale, and whether it was told."""

    began: float
    seen: float
    told: bool = False


class Troubles:
    """Counts by this process's own seconds, like ``Silence``."""

    def __init__(self) -> None:
        self._lasting: dict[str, _Trouble] = {}

    def look(self) -> list[str]:
        """Return what is to be told: of each trouble that it lasts, once, and that it is over."""
        now, found = clock.elapsed(), []
        for part, message in self._unwell().items():
            trouble = self._lasting.setdefault(part, _Trouble(now, now))
            trouble.seen = now
            if not trouble.told and now - trouble.began >= _patience():
                trouble.told = True
                found.append(f"Trouble with {NAMES[part]} for {_minutes(now, trouble)}: {message}")
        for part, trouble in list(self._lasting.items()):
            if now - trouble.seen >= WELL_SECONDS or (trouble.seen < now and not trouble.told):
                del self._lasting[part]
                if trouble.told:
                    found.append(f"Well again: {NAMES[part]}, after {_minutes(now, trouble)}.")
        return found

    def _unwell(self) -> dict[str, str]:
        """What is wrong with each part that is not well, as far as it is known now."""
        chosen = settings.current()
        parts = {
            part: (beat.status, beat.message) for part, beat in heartbeats.heartbeats().items()
        }
        folders = {each.parent for each in (chosen.system_db_path, chosen.stocks_db_path)}
        if not chosen.deadman_url:
            parts.pop("deadman", None)  # what it said while there was one
        parts["disk"] = disk.condition({*folders, chosen.log_dir})
        found: dict[str, str] = {}
        for part in NAMES:
            status, message = parts.get(part, ("ok", ""))
            if status != "ok" and message not in found.values():
                found[part] = message
        return found


def _patience() -> float:
    return LASTS_SECONDS if calendar().is_open(clock.now()) else LASTS_CLOSED_SECONDS


def _minutes(now: float, trouble: _Trouble) -> str:
    return f"{(now - trouble.began) / 60:.0f} minutes"
