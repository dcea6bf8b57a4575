"""No card is asked, and nothing is sent, while the clock differs from the broker's."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestra import clock_trust
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock
from orchestra.base.clock import RealClock
from orchestra.base.market_calendar import MINUTE
from orchestra.clock_trust import ClockTrust
from orchestra.simulator import Exchange
from system_databse import create_system_db, heartbeats, system_db_manager
from tests.exchange_fixture import change, running_exchange, set_clock
from tests.processes import BUYER, Terminal, running_terminal, until

OPEN_MARKET = "2024-06-04T14:30:00Z"


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange(MARKET_CLOCK_START=OPEN_MARKET, MARKET_CLOCK_SPEED=1) as running:
        create_system_db.create_database()
        yield running


def skew(exchange: Exchange, seconds: float) -> None:
    exchange.faults.clear("clock_skew")
    exchange.faults.add({"name": "clock_skew", "seconds": seconds})


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (0, ""),
        (4, ""),
        (-4, ""),
        (6, "The clock is 0:00:06 behind the broker's: no card is asked until it is set."),
        (-90, "The clock is 0:01:30 ahead of the broker's: no card is asked until it is set."),
    ],
)
def test_five_seconds_are_the_limit(exchange: Exchange, seconds: float, message: str) -> None:
    skew(exchange, seconds)
    trust = ClockTrust(AlpacaWrapper())
    assert trust.follow() is (message == "")
    assert trust.health == (("down", message) if message else ("ok", ""))


def test_the_limit_is_in_machine_seconds(exchange: Exchange) -> None:
    set_clock(OPEN_MARKET, speed=60)
    skew(exchange, 280)
    assert ClockTrust(AlpacaWrapper()).follow()
    skew(exchange, 320)
    assert not ClockTrust(AlpacaWrapper()).follow()


@pytest.mark.parametrize("seconds", [-5.5, 4.5])
def test_half_the_way_of_the_question_is_allowed_for(exchange: Exchange, seconds: float) -> None:
    # The answer is made a second after the request's middle, and a second before its end: taken from
    # the end, the first would be 5.5 s off; taken from the begin, the second would be
    skew(exchange, seconds - (seconds > 0))
    exchange.faults.add({"name": "delay", "seconds": 2, "path": "/v2/clock"})
    assert ClockTrust(AlpacaWrapper()).follow()


def test_doubt_is_looked_into_at_once_and_agreement_believed_for_a_while(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = ClockTrust(AlpacaWrapper())
    skew(exchange, -90)
    assert not trust.follow()
    skew(exchange, 0)
    assert trust.follow()
    skew(exchange, -90)
    assert trust.follow()
    monkeypatch.setattr(clock_trust, "LOOK_SECONDS", 0.0)
    until(lambda: not trust.follow(), what="it is looked at again")


def test_a_broker_that_hangs_holds_up_no_minute(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = ClockTrust(AlpacaWrapper())
    assert trust.follow()
    exchange.faults.add({"name": "hang", "when": "before", "path": "/v2/clock"})
    monkeypatch.setattr(clock_trust, "LOOK_SECONDS", 0.0)
    assert all(trust.follow() for _ in range(100))
    [waits] = asking()  # the first question is still waiting for its answer
    exchange.faults.clear()
    waits.join(30)


def test_the_broker_is_asked_after_a_cycle_and_not_as_the_next_one_begins(
    exchange: Exchange,
) -> None:
    trust = ClockTrust(AlpacaWrapper())
    assert trust.follow()
    skew(exchange, -90)
    trust._looked_at -= 60  # a minute later
    assert trust.follow() and not asking()
    trust.look_aside()
    until(lambda: not trust.follow(), what="the difference")


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "clock"]


def test_an_unknown_clock_is_not_trusted_and_a_known_one_stays_known(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = ClockTrust(AlpacaWrapper())
    exchange.faults.add({"name": "500", "path": "/v2/clock"})
    assert not trust.follow()
    assert "cannot be read" in trust.health[1]
    exchange.faults.clear()
    assert trust.follow()
    exchange.faults.add({"name": "500", "path": "/v2/clock"})
    monkeypatch.setattr(clock_trust, "LOOK_SECONDS", 0.0)
    assert all(trust.follow() for _ in range(20))


@pytest.fixture
def is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which the system says that it has set the clock; it is there."""
    file = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "SYNCHRONIZED", file)
    file.touch()
    return file


def on_the_machines_clock() -> None:
    change(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="", MARKET_CLOCK_ANCHOR="")


def test_what_the_system_has_set_from_the_network_needs_no_broker(
    exchange: Exchange, is_set: Path
) -> None:
    exchange.faults.add({"name": "500", "path": "/v2/clock"})
    trust = ClockTrust(AlpacaWrapper())
    assert not trust.follow()  # the system knows nothing of a simulated market's time
    on_the_machines_clock()
    assert trust.follow() and trust.health == ("ok", "")
    is_set.unlink()
    assert not trust.follow()


def test_a_clock_that_was_once_set_is_not_believed_against_the_broker(
    exchange: Exchange, is_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_machines_clock()
    monkeypatch.setattr(clock_trust, "LOOK_SECONDS", 0.0)
    trust = ClockTrust(AlpacaWrapper())
    skew(exchange, -90)
    until(lambda: not trust.follow(), what="its going wrong is noticed")
    ahead = "The clock is 0:01:30 ahead of the broker's: no card is asked until it is set."
    assert trust.health == ("down", ahead)
    skew(exchange, -20)  # what would be too much of a clock that nobody has set
    assert trust.follow() and trust.health == ("ok", "")


def test_one_wrong_answer_makes_nobody_doubt_a_clock_that_was_set(
    exchange: Exchange, is_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_machines_clock()
    trust = ClockTrust(AlpacaWrapper())
    assert trust.follow()
    monkeypatch.setattr(clock_trust, "LOOK_SECONDS", 0.0)
    skew(exchange, -90)
    assert trust.follow()
    until(lambda: trust.health[0] == "down", what="the wrong answer")
    skew(exchange, 0)
    assert trust.follow()


def test_a_clock_that_was_set_wrong_is_noticed_before_a_start_does_anything(
    exchange: Exchange, is_set: Path
) -> None:
    on_the_machines_clock()
    skew(exchange, -90)
    assert not ClockTrust(AlpacaWrapper()).follow()


def test_what_was_known_of_a_clock_before_it_was_set_counts_no_more(
    exchange: Exchange, is_set: Path
) -> None:
    is_set.unlink()
    on_the_machines_clock()
    skew(exchange, -3600)
    trust = ClockTrust(AlpacaWrapper())
    assert not trust.follow()
    exchange.faults.add({"name": "500", "path": "/v2/clock"})
    assert not trust.follow()
    is_set.touch()
    assert trust.follow()


@pytest.mark.parametrize("was_set", [True, False])
@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_jumps_is_held_against_the_broker_before_anything_is_done_by_it(
    exchange: Exchange, is_set: Path, monkeypatch: pytest.MonkeyPatch, was_set: bool, years: int
) -> None:
    """Else a session's end would be worked off, with twenty years of minutes to put on record."""
    on_the_machines_clock()
    if not was_set:
        is_set.unlink()
    trust = ClockTrust(AlpacaWrapper())
    assert trust.follow()
    until(lambda: trust._broker_ahead is not None, what="an agreement, which is believed for 30 s")
    assert trust.follow()
    jump = timedelta(days=365 * years)
    skew(exchange, -jump.total_seconds())  # its clock is the same machine's here
    with monkeypatch.context() as jumped:
        jumped.setattr(RealClock, "now", lambda _: datetime.now(UTC) + jump)
        jumped.setattr(clock, "machine_now", lambda: datetime.now(UTC) + jump)
        assert not trust.follow()
    skew(exchange, 0)
    assert trust.follow()


def test_a_clock_that_passes_over_a_night_is_no_difference(exchange: Exchange) -> None:
    # Between question and answer the market clock goes from 16:05 to 09:25 on the next day
    set_clock("2024-06-04T20:04:59Z", speed=1, skip_closed=True)
    exchange.faults.add({"name": "delay", "seconds": 2, "path": "/v2/clock"})
    trust = ClockTrust(AlpacaWrapper())
    assert not trust.follow()
    assert "cannot be read" in trust.health[1]  # nothing was concluded from that answer
    exchange.faults.clear()
    assert trust.follow()


def test_waiting_ends_when_it_is_told_to(exchange: Exchange) -> None:
    skew(exchange, -90)
    trust, stop = ClockTrust(AlpacaWrapper()), threading.Event()
    waiter = threading.Thread(target=trust.wait, args=(stop,))
    waiter.start()
    stop.set()
    waiter.join(30)
    assert not waiter.is_alive()


def doubt_once(
    exchange: Exchange,
    last_minute: datetime | None,
    seconds: float = -90,
    meanwhile: Callable[[], object] = lambda: None,
) -> datetime | None:
    """Wait through a doubt that begins now: the broker's clock is ``seconds`` ahead for a moment."""
    skew(exchange, seconds)
    trust, stop, returned = ClockTrust(AlpacaWrapper()), threading.Event(), list[Any]()
    waiter = threading.Thread(target=lambda: returned.append(trust.wait(stop, last_minute)))
    waiter.start()
    until(lambda: "clock" in heartbeats.heartbeats(), what="the doubt")
    meanwhile()
    skew(exchange, 0)
    waiter.join(30)
    [on_record] = returned
    assert on_record is None or isinstance(on_record, datetime)
    return on_record


@pytest.mark.parametrize("seconds", [-3600, -90, 3600])
def test_minutes_between_the_last_one_kept_and_the_doubt_are_on_record_and_none_to_come(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    card = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    monkeypatch.setattr(clock_trust, "RETRY_SECONDS", 0.05)
    trust = ClockTrust(AlpacaWrapper())
    assert trust.wait(threading.Event(), clock.now()) is None  # nothing to wait for
    on_record = doubt_once(exchange, clock.parse("2024-06-04T14:25:00Z"), seconds)
    assert on_record == clock.parse(OPEN_MARKET)  # the running minute may still be asked
    assert doubted(card) == [f"2024-06-04T14:{minute}:00Z" for minute in (26, 27, 28, 29)]


@pytest.mark.parametrize("seconds", [-3600, -90])
def test_a_card_that_is_stopped_in_the_doubt_has_its_minutes_on_record(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    card = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    monkeypatch.setattr(clock_trust, "RETRY_SECONDS", 0.05)
    doubt_once(
        exchange,
        clock.parse("2024-06-04T14:25:00Z"),
        seconds,
        lambda: system_db_manager.stop_algorithm(card),
    )
    assert doubted(card) == [f"2024-06-04T14:{minute}:00Z" for minute in (26, 27, 28, 29)]


def test_minutes_before_a_start_in_doubt_passed_without_a_trader(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_trust, "RETRY_SECONDS", 0.05)
    set_clock("2024-06-04T14:20:10Z")
    card = system_db_manager.create_algorithm("NVDA", "buy_and_hold", 10_000)
    set_clock(OPEN_MARKET, speed=1)
    doubt_once(exchange, None)
    assert doubted(card) == ["2024-06-04T14:28:00Z", "2024-06-04T14:29:00Z"]
    messages = system_db_manager.ledger().execute(
        "SELECT message FROM events WHERE kind = 'downtime'"
    )
    [message] = [row["message"] for row in messages]
    assert message.startswith(
        "7 open minutes from 2024-06-04T14:21:00Z to 2024-06-04T14:27:00Z passed without a trader"
    )


@pytest.fixture
def always_buys(tmp_path: Path, configure: Any) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "always.py").write_text(BUYER)
    configure(ALGORITHMS_DIR=folder)


@pytest.mark.usefixtures("always_buys")
def test_nothing_is_sent_until_the_clocks_agree_and_each_minute_is_on_record(
    tmp_path: Path,
) -> None:
    start = "2024-06-04T14:29:00Z"
    with running_terminal(tmp_path, ("exchange",), MARKET_CLOCK_START=start) as terminal:
        terminal.misbehave("clock_skew", seconds=-3600)
        terminal.start("api")
        card = system_db_manager.create_algorithm("NVDA", "always", 10_000)
        terminal.start("orchestrator")
        part = terminal.wait_for(lambda: terminal.get("/api/health")["parts"].get("clock"))
        assert part["message"].startswith("The clock is 1:00:00 ahead of the broker's: no card")
        assert (part["status"], terminal.get("/api/health")["status"]) == ("down", "down")
        terminal.wait_for(lambda: len(doubted(card)) >= 5, what="minutes have passed in doubt")
        assert trades(terminal) == []
        terminal.exchange("DELETE", "/_faults")
        terminal.wait_for(lambda: trades(terminal), what="the first order after the doubt")
        assert terminal.get("/api/health")["parts"]["clock"]["status"] == "ok"
    # On record is each minute by the broker's clock: ours was never before 14:29
    minutes = [clock.parse(stamp) for stamp in doubted(card)[:5]]
    assert minutes[0] < clock.parse("2024-06-04T14:29:00Z")
    assert minutes == [minutes[0] + number * MINUTE for number in range(5)]
    messages = system_db_manager.ledger().execute(
        "SELECT message FROM events WHERE kind = 'clock' ORDER BY id"
    )
    first, last = [row["message"] for row in messages]
    assert first.startswith("The clock is 1:00:0")
    assert last == "The clock is right again: cards are asked."


def doubted(card: int) -> list[str]:
    """The minutes on record in which the card was not asked because of the clock."""
    rows = system_db_manager.ledger().execute(
        "SELECT minute FROM decisions WHERE algorithm_id = ? AND action = 'skipped'"
        " AND reason = 'skipped: the clock is not set' ORDER BY minute",
        (card,),
    )
    return [row["minute"] for row in rows]


def trades(terminal: Terminal) -> list[Any]:
    found = terminal.exchange("GET", "/v2/orders?status=all")
    assert isinstance(found, list)
    return found
