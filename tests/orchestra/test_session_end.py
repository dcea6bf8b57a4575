"""A session's last minute, after which no card is asked, is completed all the same."""

from pathlib import Path

from database import db_manager, verdicts
from tests.processes import running_terminal

LAST = "2024-06-04T19:59:00Z"


def test_the_last_minute_is_fetched_at_the_close_where_the_stream_did_not_bring_it(
    tmp_path: Path,
) -> None:
    with running_terminal(tmp_path, MARKET_CLOCK_START="2024-06-04T19:46:00Z") as terminal:
        terminal.add_card("NVDA")
        terminal.misbehave("mute")
        terminal.wait_for(lambda: db_manager.get_historical_data("NVDA", LAST, LAST), what="15:59")
        [verdict] = terminal.wait_for(
            lambda: [each for each in verdicts.verdicts("NVDA", LAST, LAST) if each.asked_at]
        )
        assert (verdict.verdict, verdict.way) == ("bar", "fetched")
        # Before the next session's first cycle, which decides on it
        assert verdict.asked_at is not None and verdict.asked_at.startswith("2024-06-04T20:0")
        terminal.stop("orchestrator")
