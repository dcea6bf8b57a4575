"""What is done once before the processes start: databases, the demo's cards, the clock they share."""

from pathlib import Path

from orchestra import demo, services
from orchestra.base import settings
from system_databse import heartbeats

CLOCK_FILE = "clock.env"  # the units read it: the clock's settings, empty on the real clock
SIMULATED_FILE = "simulated"  # is there where the simulated exchange is needed


def prepare(folder: Path) -> None:
    """Prepare a start by the service manager; ``folder`` is new and empty at each of them.

    The files in it last as long as the services run: one that is started again alone finds the others'
    clock. Raises AutoTraderError.
    """
    chosen = settings.current()
    create_databases()
    shared = demo.set_clock(chosen)
    if chosen.simulated_by_default:
        demo.add_cards_to_new_ledger()
        (folder / SIMULATED_FILE).touch()
    lines = [f"{name}={value}\n" for name, value in shared.items()]
    (folder / CLOCK_FILE).write_text("".join(lines))
    _announce_the_trader()


def _announce_the_trader() -> None:
    """Say why it is silent until it speaks: what it said last was said before the machine went off."""
    if services.wait_for_the_time():
        heartbeats.announce(
            "down", "The trader waits for the clock to be set, two minutes at most."
        )
    else:
        heartbeats.announce("degraded", "The trader is starting.")


def create_databases() -> None:
    """Create both databases where they are not yet, and bring older ones up to date."""
    from database import db_manager
    from system_databse import create_system_db

    create_system_db.create_database()
    db_manager.initialize_database()
