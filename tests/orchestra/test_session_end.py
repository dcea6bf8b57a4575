"""A session's last minute, after which no card is asked, is completed all the same."""

from pathlib import Path

from database import db_manager, verdicts
from database.calendar import calendar
from orchestra.base import clock
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


def test_an_end_that_is_worked_off_into_the_next_session_leaves_no_minute_without_a_record(
    tmp_path: Path,
) -> None:
    start = "2024-06-04T19:10:00Z"
    with running_terminal(tmp_path, MARKET_CLOCK_START=start, MARKET_CLOCK_SPEED=120) as terminal:
        number = terminal.add_card("NVDA")["id"]

        def minutes() -> list[str]:
            found = terminal.get(f"/api/algorithms/{number}/decisions?limit=500")["items"]
            return sorted(each["minute"] for each in found)

        terminal.wait_for(minutes, what="a decision")
        terminal.wait_for(lambda: clock.now() > clock.parse("2024-06-04T19:58:30Z"))
        # The closed hours are ten minutes on this clock, five seconds
        terminal.misbehave("delay", seconds=8, path="/v2/positions")
        terminal.wait_for(lambda: clock.now() > clock.parse("2024-06-05T13:31:00Z"))
        terminal.exchange("DELETE", "/_faults")
        terminal.wait_for(lambda: minutes()[-1] > "2024-06-05T13:36", what="the next session")
        found = minutes()
        assert found[0] < "2024-06-04T20" and "2024-06-05T13:30:00Z" in found
        assert len(found) == calendar().open_minutes(clock.parse(found[0]), clock.parse(found[-1]))
        terminal.stop("orchestrator")
