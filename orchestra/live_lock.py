"""LIVE trading starts only when it was armed on purpose."""

from orchestra.base import settings
from orchestra.base.errors import SettingsError
from system_databse import system_db_manager

DEFAULT_PIN = "2020"
SET_PIN = ".venv/bin/python -m orchestra pin"


def refuse_unarmed_live() -> None:
    """Raise SettingsError in LIVE mode while the PIN is 2020 or a brake has no number."""
    chosen = settings.current()
    if chosen.mode != "live":
        return
    brakes = {
        "BRAKE_ORDERS_PER_HOUR": chosen.brake_orders_per_hour,
        "BRAKE_CARD_DAILY_LOSS": chosen.brake_card_daily_loss,
        "BRAKE_ACCOUNT_DAILY_LOSS": chosen.brake_account_daily_loss,
    }
    lacking = [f"a number for {name} in .env" for name, value in brakes.items() if value is None]
    if system_db_manager.get_pin() == DEFAULT_PIN:
        lacking.insert(0, f"a PIN other than 2020 ({SET_PIN})")
    if lacking:
        raise SettingsError(f"LIVE trading is locked until it has {', '.join(lacking)}.")
