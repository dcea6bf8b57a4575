"""What runs of the terminal, as its own health has it, and what to do about each part."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from orchestra.base import sqlite
from orchestra.base.settings import Settings
from orchestra.first_aid import Finding

RUN = ".venv/bin/python -m orchestra"
LOOK_AT = "See logs/orchestrator.log and logs/api.log."
HTTP_SECONDS = 5.0
# What to do about a part of the running terminal that is not well
REMEDIES = {
    "orchestrator": f"{LOOK_AT} As a service: sudo systemctl restart autotrader-orchestrator",
    "workers": "See logs/orchestrator.log: an algorithm may end its process.",
    "stream": "It is connected anew by itself. If it stays: is another program on the same keys?"
    " ALPACA_FEED=sip takes a paid plan.",
    "broker": "It is asked again by itself. If it stays: https://status.alpaca.markets",
    "clock": "timedatectl set-ntp true, and a network.",
    "data": "They come by themselves once the exchange answers.",
    "databases": f"If it is the ledger: stop the terminal, then {RUN} restore",
    "ledger": f"Stop the terminal, then {RUN} restore; or add a card to go on without it.",
    "disk": "Free some space; what is large: du -xh --max-depth=2 . | sort -h",
    "backups": f"{RUN} backup",
    "notifications": f"Try it: {RUN} notify",
    "deadman": "Is there a network? Is DEADMAN_URL right?",
    "pin": "Change it: menu, Change PIN.",
}


def page(chosen: Settings, *, answers: bool) -> Finding:
    """Whether the page is there, and whether it ought to be."""
    if answers:
        return Finding("page", "ok", f"{chosen.page_url}/ answers.")
    if _running_cards(chosen.system_db_path):
        message = "Nothing runs, so no card is asked."
        return Finding(
            "page", "down", message, "./start_pi.sh, or sudo systemctl start autotrader.target"
        )
    return Finding("page", "ok", "Nothing runs.", "Start it: ./start_pi.sh")


def _running_cards(path: Path) -> int:
    if not path.exists():
        return 0
    question = "SELECT COUNT(*) FROM algorithm_instances WHERE status = 'running'"
    try:
        with closing(sqlite.connect(path, read_only=True)) as connection:
            return int(connection.execute(question).fetchone()[0])
    except sqlite3.Error:
        return 0


def parts(chosen: Settings) -> dict[str, Any] | None:
    """The parts as the running terminal's own health has them; None where it does not answer."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy cannot reach what runs here
            found = session.get(f"{chosen.page_url}/api/health", timeout=HTTP_SECONDS).json()[
                "parts"
            ]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return None
    return dict(found)


def told(part: str, state: dict[str, Any]) -> Finding:
    """A part of health as a finding."""
    unwell = state["status"] != "ok"
    remedy = REMEDIES.get(part, LOOK_AT) if unwell else ""
    return Finding(part, state["status"], state["message"] or "Well.", remedy)
