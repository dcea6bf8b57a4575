"""LIVE trading starts only when it was armed on purpose."""

from orchestra.base import settings
from orchestra.base.errors import SettingsError


def refuse_unarmed_live() -> None:
    """Raise SettingsError in LIVE mode: its lock needs brakes, and this version has none yet."""
    if settings.current().mode == "live":
        raise SettingsError(
            "LIVE trading is locked: it needs a PIN other than 2020 and numbers for the brakes,"
            " and this version has no brakes yet. Set ALPACA_PAPER=True."
        )
