"""Two traders on one ledger: the second asks no card, sends no order, and takes no stream from the first."""

from pathlib import Path

import pytest

from orchestra.base import settings
from orchestra.base.errors import AlreadyRunning
from orchestra.base.single import only_one
from orchestra.trading_loop import run_all_algorithms
from system_databse import card_calculations, decision_journal, system_db_manager
from tests.exchange_fixture import change, running_exchange
from tests.one_share import ONE_SHARE


def test_a_minute_run_by_hand_beside_the_trader_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one_share.py").write_text(ONE_SHARE)
    change(ALGORITHMS_DIR=tmp_path)
    with running_exchange():
        card = system_db_manager.create_algorithm("NVDA", "one_share", 10_000)
        with only_one("orchestrator", settings.current().system_db_path):
            with pytest.raises(AlreadyRunning):
                run_all_algorithms()
            assert decision_journal.last_decisions([card]) == {}
        run_all_algorithms()
        assert card_calculations.calculate_position(card) == 1
