"""Three strikes: a card whose file failed three times in a row is paused until that changes.

So is a card whose file is gone. One tap with the PIN resumes a paused card as well.
"""

import logging
from typing import TYPE_CHECKING, Any

from orchestra import loader
from orchestra.base import logs, settings
from system_databse import card_states, heartbeats

if TYPE_CHECKING:
    from orchestra.worker import Result

STRIKES = 3
GONE = "gone"

log = logging.getLogger("autotrader.orchestrator")
_failures: dict[int, tuple[int, str]] = {}  # by card: how many in a row, and of which file


def count(card: dict[str, Any], result: "Result") -> None:
    """Count a failure; the third in a row pauses the card with what went wrong.

    A file that was changed meanwhile, while it ran too, begins anew: what failed is not what is there.
    """
    file = _file_of(card["algorithm_type"])
    failures, failed = _failures.get(card["id"], (0, file))
    failures = failures + 1 if file == failed else 1
    _failures[card["id"]] = (failures, file)
    if failures >= STRIKES:
        _pause(card, f"Failed {STRIKES} times in a row. {result.summary}")
        heartbeats.record_event("paused", result.failure, card["id"])


def forget(card: dict[str, Any]) -> None:
    """Its algorithm answered: the count begins anew."""
    _failures.pop(card["id"], None)


def resume_changed_files(cards: list[dict[str, Any]]) -> None:
    """Pause cards whose file is gone; let paused ones go on whose file is another than it was."""
    states = card_states.all_states()
    files = {name: _file_of(name) for name in {card["algorithm_type"] for card in cards}}
    for card in cards:
        state = states.get(card["id"])
        file = files[card["algorithm_type"]]
        if state is None:
            if file == GONE:
                _pause(card, f"The file {card['algorithm_type']}.py is gone.")
        elif state.state == "paused" and state.file and file not in (state.file, GONE):
            card_states.clear_state(card["id"], "paused")
            forget(card)
            about = logs.about(card["id"], card["ticker"])
            log.info("%s: goes on, its file has changed", about)


def _pause(card: dict[str, Any], reason: str) -> None:
    forget(card)
    card_states.set_state(card["id"], "paused", reason, file=_file_of(card["algorithm_type"]))
    log.error("%s: paused: %s", logs.about(card["id"], card["ticker"]), reason)


def _file_of(algorithm_type: str) -> str:
    path = settings.current().algorithms_dir / f"{algorithm_type}.py"
    found = loader.signature(path)
    return GONE if found is None else "-".join(map(str, found))
