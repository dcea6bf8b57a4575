"""A PIN set at the machine's keyboard: where nobody can use the page yet, or any more."""

import pytest
from click.testing import CliRunner, Result

from orchestra.__main__ import main
from orchestra.base.errors import SettingsError
from orchestra.live_lock import refuse_unarmed_live
from system_databse import access, system_db_manager
from tests.conftest import Configure


def set_pin(*typed: str) -> Result:
    return CliRunner().invoke(main, ["pin"], input="\n".join([*typed, ""]))


def test_a_new_ledger_is_armed_for_live_before_its_first_start(configure: Configure) -> None:
    configure(
        ALPACA_API_KEY="K",
        ALPACA_SECRET="S",
        ALPACA_PAPER=False,
        BRAKE_ORDERS_PER_HOUR=10,
        BRAKE_CARD_DAILY_LOSS=100,
        BRAKE_ACCOUNT_DAILY_LOSS=500,
    )
    with pytest.raises(SettingsError, match="python -m orchestra pin"):
        refuse_unarmed_live()
    told = set_pin("481516", "481516")
    assert told.exit_code == 0
    assert "481516" not in told.output
    refuse_unarmed_live()


def test_a_forgotten_pin_is_replaced_and_the_lock_ends() -> None:
    for _ in range(access.FREE_TRIES):
        access.try_pin("0000")
    assert access.try_pin("2020").locked_seconds > 0
    assert set_pin("481516", "481516").exit_code == 0
    assert access.try_pin("481516").valid


def test_what_is_no_pin_or_not_typed_twice_alike_is_asked_for_again() -> None:
    assert set_pin("481", "4815x", "4815", "4816").exit_code != 0  # and then nothing more is typed
    assert system_db_manager.get_pin() == "2020"
    assert set_pin("481", "4815", "4816", "481516", "481516").exit_code == 0
    assert system_db_manager.get_pin() == "481516"
