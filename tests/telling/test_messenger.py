"""What somebody far from the wall is told, once, also after a service was out of reach."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from orchestra import messenger, silence, troubles
from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import LedgerGone, SettingsError, StorageLocked
from orchestra.base.settings import ROOT
from orchestra.messenger import Messenger
from system_databse import (
    create_system_db,
    daily_reports,
    heartbeats,
    labels,
    order_journal,
    system_db_manager,
)
from tests.conftest import Configure
from tests.exchange_fixture import OPEN_MARKET, change, set_clock
from tests.processes import until
from tests.telling.post_office import PostOffice, running_office
from tests.web.conftest import new_api

MINUTE = datetime(2024, 6, 4, 14, 30, tzinfo=UTC)
REPORT = {
    "day": "2024-06-04",
    "made_at": "2024-06-04T20:00:01Z",
    "pnl": {"today": -12.5, "total": 1234.0},
    "minutes": {"run": 389, "due": 390},
    "fills": {"buy": {"number": 2}, "sell": {"number": 1}},
}


@pytest.fixture
def office() -> Iterator[PostOffice]:
    set_clock(OPEN_MARKET)
    with running_office() as running:
        change(NOTIFY_URLS=f"json://127.0.0.1:{running.port}/")
        yield running


@pytest.fixture
def card() -> int:
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)


def teller() -> Messenger:
    """A messenger as a new process would build it, that knows up to where it has told."""
    [(name, service)] = messenger.services()
    built = Messenger(service, name, "somebody")
    built.look()
    return built


def refuse(card: int, minute: int, reason: str) -> None:
    order = order_journal.intend(card, "NVDA", "buy", 5, MINUTE.replace(minute=minute))
    assert order is not None
    order_journal.close_unfilled(order.client_order_id, "refused", reason)


def test_what_happens_is_told_in_sentences_and_once(office: PostOffice, card: int) -> None:
    system_db_manager.record_buy(card, 1, 100.0)  # before anybody was listening
    telling = teller()
    assert office.messages == []
    system_db_manager.record_buy(card, 53, 1120.5)
    refuse(card, 31, "insufficient buying power")
    heartbeats.record_event("frozen", "The broker holds 3 NVDA, the ledger 53.", card)
    heartbeats.record_event("paused", "Traceback\n  File x\nValueError: no", card)
    heartbeats.record_event("calendar", "2024-06-05 is closed.")
    daily_reports.store(MINUTE.date(), REPORT)
    telling.look()
    [message] = office.messages
    assert (message["title"], message["type"]) == ("AutoTrader SIMULATED", "warning")
    assert sorted(message["message"].splitlines()) == [
        "2024-06-04 is over: -$12.50 today, +$1,234.00 in all; 3 fills, 389 of 390 minutes run.",
        "2024-06-05 is closed.",
        f"Card {card} NVDA: The broker holds 3 NVDA, the ledger 53.",
        f"Card {card} NVDA: ValueError: no",
        f"NVDA: bought 53 at $1,120.50 (sma_crossover, card {card})",
        f"NVDA: buy 5 (card {card}) was refused: insufficient buying power",
    ]
    telling.look()
    teller()  # after a restart of the server
    assert len(office.messages) == 1
    system_db_manager.record_sell(card, 54, 1200.0)
    telling.look()
    assert office.messages[-1]["type"] == "info"
    assert office.lines[-1].startswith("NVDA: sold 54 at $1,200.00")


def test_refusals_of_one_second_are_each_told(office: PostOffice, card: int) -> None:
    telling = teller()
    refuse(card, 31, "first")
    telling.look()
    refuse(card, 32, "second")  # the market stands still: in the same second
    telling.look()
    teller()
    assert [line.rpartition(" ")[2] for line in office.lines] == ["first", "second"]


def test_a_refusal_in_every_minute_is_told_once(office: PostOffice, card: int) -> None:
    telling = teller()
    for minute in range(31, 41):
        refuse(card, minute, "insufficient buying power")
        telling.look()
    assert len(office.lines) == 1


def test_a_trader_that_ends_again_and_again_is_told_once_an_hour(office: PostOffice) -> None:
    telling = teller()
    for second in range(10, 60, 5):
        message = f"The trader was started again; it had left at 2024-06-04T14:29:{second}Z."
        heartbeats.record_event("restarted", message)
        telling.look()
    assert len(office.lines) == 1


def test_corrections_are_no_fills(office: PostOffice, card: int) -> None:
    telling = teller()
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        labels.correct(connection, card, "buy", 5, 10.0, labels.ACCEPTED, "")
    telling.look()
    assert office.messages == []


def test_only_what_was_asked_for_is_told(office: PostOffice, card: int) -> None:
    change(NOTIFY_ABOUT="freezes, close")
    telling = teller()
    system_db_manager.record_buy(card, 1, 100.0)
    heartbeats.record_event("frozen", "The broker holds less.", card)
    heartbeats.record_event("disk", "The disk is full.")
    telling.look()
    assert office.lines == [f"Card {card} NVDA: The broker holds less."]


def test_a_service_out_of_reach_is_told_later_in_one_message(office: PostOffice, card: int) -> None:
    telling = teller()
    office.refuses = True
    system_db_manager.record_buy(card, 1, 100.0)
    telling.look()
    assert "could not be told since 2024-06-04T14:30:00Z" in telling.trouble
    system_db_manager.record_buy(card, 2, 100.0)
    telling.look()  # not at once again
    office.refuses = False
    for shares in range(3, 31):
        system_db_manager.record_buy(card, shares, 100.0)
    again = teller()  # a restart meanwhile forgets nothing
    assert again.trouble == ""
    [message] = office.messages
    lines = message["message"].splitlines()
    assert lines[0].startswith("NVDA: bought 1 ") and lines[19].startswith("NVDA: bought 20 ")
    assert lines[20:] == ["and 10 more."]


def test_a_message_is_no_longer_than_the_service_takes(office: PostOffice, card: int) -> None:
    """What a service refuses for its length it refuses at every later try too: Discord from 2000 on."""
    telling = teller()
    telling._service.body_maxlen = office.longest = 2_000
    reason = "insufficient buying power, " * 6
    for number in range(20):
        refuse(card, 31 + number, f"{number}: {reason}")
    heartbeats.record_event("paused", f"ValueError: {reason * 100}", card)
    telling.look()
    assert telling.trouble == ""
    [message] = office.messages
    lines = message["message"].splitlines()
    assert len(lines[0]) == 500 and lines[0].endswith("...")
    assert "was refused: 0: insufficient buying power" in lines[1]
    assert lines[-1] == f"and {21 - len(lines) + 1} more."
    assert 1 < len(lines) < 20


def test_a_restored_backup_tells_of_what_comes_after_it(office: PostOffice, card: int) -> None:
    telling = teller()
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute(
            "INSERT INTO events VALUES (900, '2024-06-04T14:30:00Z', 'disk', 1, 'a')"
        )
    telling.look()
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute("DELETE FROM events")
        connection.execute("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'events'")
        connection.execute("DELETE FROM system_config WHERE key LIKE 'told_%'")
    telling = teller()
    heartbeats.record_event("restored", "The ledger was restored.")
    telling.look()
    assert office.lines[-1] == "The ledger was restored."


def test_a_new_ledger_in_place_of_the_old_one_is_heard(
    office: PostOffice, card: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers begin anew: below those up to which the old one was told."""
    monkeypatch.setattr(system_db_manager._stored, "follows", True)  # as in the page's server
    telling = teller()
    for number in range(3):
        heartbeats.record_event("disk", f"Event {number} of the old ledger.")
    telling.look()
    sqlite.close_kept()
    sqlite.move_aside(settings.current().system_db_path, "now")
    create_system_db.create_database()
    telling.look()
    heartbeats.record_event("ledger", "This ledger is new and empty.")
    telling.look()
    assert office.lines[3:] == ["This ledger is new and empty."]


def test_keys_never_leave(office: PostOffice, card: int) -> None:
    change(MARKET_CLOCK_START="", MARKET_CLOCK_SPEED="", MARKET_CLOCK_ANCHOR="")
    change(ALPACA_API_KEY="AKABCDEFGHIJ", ALPACA_SECRET="s3cr3ts3cr3t")
    telling = teller()
    heartbeats.record_event("broker", "it answered: bad key AKABCDEFGHIJ / s3cr3ts3cr3t")
    telling.look()
    assert office.lines == ["it answered: bad key (hidden) / (hidden)"]


def test_a_silent_trader_is_told_once_and_so_is_its_return(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_AFTER_SECONDS", 0.3)
    heartbeats.beat({"orchestrator": ("ok", "")})
    telling = teller()
    until(lambda: telling.look() or office.messages)
    assert office.messages[0]["type"] == "warning"
    telling.look()
    [line] = office.lines
    assert line.startswith("The trader has given no sign of life for 0 s")
    heartbeats.beat({"orchestrator": ("ok", "")})
    telling.look()
    assert office.lines[1:] == ["The trader runs again, after 0 minutes."]


def test_what_cannot_be_written_down_as_told_is_not_told_again(
    office: PostOffice, card: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that takes nothing (a full disk, a card gone read-only) may stay so for days."""
    monkeypatch.setattr(silence, "SILENT_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.1)
    sqlite.close_kept()
    heartbeats.beat({"orchestrator": ("ok", "")})
    telling = teller()
    system_db_manager.record_buy(card, 53, 1120.5)
    clock.pause(0.5)
    with closing(sqlite.connect(settings.current().system_db_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageLocked):
            telling.look()
        telling.look()
        telling.look()
    assert len(office.lines) == 2
    assert office.lines[0].startswith("The trader has given no sign of life")
    assert office.lines[1].startswith("NVDA: bought 53")
    system_db_manager.record_buy(card, 1, 1120.5)
    telling.look()
    teller()  # written down again: a restart repeats nothing
    assert len(office.lines) == 3


def test_a_ledger_that_cannot_be_read_hides_no_silent_trader(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_AFTER_SECONDS", 0.3)
    heartbeats.beat({"orchestrator": ("ok", "")})
    telling = teller()
    settings.current().system_db_path.unlink()
    clock.pause(0.5)
    for _ in range(3):
        with pytest.raises(LedgerGone):
            telling.look()
    [line] = office.lines
    assert line.startswith("The trader has given no sign of life")


def test_a_trader_that_is_held_back_for_the_clock_is_given_longer(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_AFTER_SECONDS", 0.1)
    heartbeats.announce("down", "The trader waits for the clock to be set, two minutes at most.")
    telling = teller()
    clock.pause(0.5)
    telling.look()
    assert office.messages == []
    monkeypatch.setattr(silence, "START_SECONDS", 0.4)
    until(lambda: telling.look() or office.messages)
    assert office.lines[0].startswith("The trader has given no sign of life")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble lasts after a moment."""
    monkeypatch.setattr(troubles, "LASTS_SECONDS", 0.4)
    monkeypatch.setattr(troubles, "WELL_SECONDS", 0.2)


def beat(**parts: tuple[str, str]) -> None:
    heartbeats.beat({"orchestrator": ("ok", ""), "broker": ("ok", ""), **parts})


def test_trouble_that_lasts_is_told_once_and_so_is_its_end(office: PostOffice, soon: None) -> None:
    beat()
    telling = teller()
    beat(broker=("degraded", "No route to the exchange."), stream=("degraded", "It is mute."))
    telling.look()
    assert office.messages == []
    until(lambda: telling.look() or office.messages)
    assert (office.messages[0]["title"], office.messages[0]["type"]) == (
        "AutoTrader SIMULATED",
        "warning",
    )
    assert office.lines == [
        "Trouble with the broker for 0 minutes: No route to the exchange.",
        "Trouble with the stream of bars for 0 minutes: It is mute.",
    ]
    telling.look()
    beat(stream=("degraded", "It is mute."))
    until(lambda: telling.look() or len(office.messages) > 1)
    beat(stream=("ok", ""))
    until(lambda: telling.look() or len(office.messages) > 2)
    assert office.lines[2:] == [
        "Well again: the broker, after 0 minutes.",
        "Well again: the stream of bars, after 0 minutes.",
    ]


def test_cycles_that_fail_one_after_the_other_are_told(office: PostOffice, soon: None) -> None:
    """The trader is alive and says so each minute; no card is asked all the same."""
    telling = teller()
    beat(orchestrator=("degraded", "The last cycle failed: see the log."))
    until(lambda: telling.look() or office.messages)
    assert office.lines == [
        "Trouble with the trader for 0 minutes: The last cycle failed: see the log."
    ]


def test_a_trader_that_waits_for_the_broker_is_one_trouble(office: PostOffice, soon: None) -> None:
    telling = teller()
    waits = ("degraded", "Waiting for the exchange: no route.")
    beat(orchestrator=waits, broker=waits)
    until(lambda: telling.look() or office.messages)
    assert office.lines == [
        "Trouble with the broker for 0 minutes: Waiting for the exchange: no route."
    ]


def test_a_short_trouble_is_told_to_nobody(office: PostOffice, soon: None) -> None:
    telling = teller()
    for _ in range(3):  # together longer than a trouble that lasts
        beat(broker=("degraded", "No route."))
        telling.look()
        clock.pause(0.2)
        beat()
        telling.look()
    assert office.messages == []


def test_while_the_market_is_closed_there_is_more_patience(office: PostOffice, soon: None) -> None:
    set_clock("2024-06-04T03:00:00Z")
    telling = teller()
    beat(broker=("down", "Closed for maintenance."))
    telling.look()
    clock.pause(0.5)
    telling.look()
    assert office.messages == []
    set_clock(OPEN_MARKET)
    telling.look()
    assert len(office.lines) == 1


def test_of_a_silent_trader_no_old_trouble_is_told(
    office: PostOffice, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_AFTER_SECONDS", 0.1)
    beat(broker=("degraded", "No route."))
    telling = teller()
    until(lambda: telling.look() or office.messages)
    clock.pause(0.5)
    telling.look()
    [line] = office.lines
    assert line.startswith("The trader has given no sign of life")


def test_who_asked_for_fills_alone_is_told_of_no_trouble(office: PostOffice, soon: None) -> None:
    change(NOTIFY_ABOUT="fills")
    beat(broker=("degraded", "No route."))
    telling = teller()
    clock.pause(0.5)
    telling.look()
    assert office.messages == []


def test_at_power_on_nobody_is_silent_yet(office: PostOffice) -> None:
    """The last sign of life is hours old, or hours ahead, and the server is up before the trader."""
    heartbeats.beat({"orchestrator": ("ok", "")})
    for moment in ("2024-01-01T00:00:00+00:00", "2090-01-01T00:00:00+00:00"):
        with sqlite.transaction(system_db_manager.ledger()) as connection:
            connection.execute("UPDATE heartbeats SET machine_time = ?", (moment,))
        teller().look()
    assert office.messages == []


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Ends what runs in the background when the test does."""
    before = set(threading.enumerate())
    event = threading.Event()
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_health_says_how_telling_goes(office: PostOffice, stop: threading.Event) -> None:
    heartbeats.beat({"orchestrator": ("ok", "")})
    change(NOTIFY_URLS=f"json://127.0.0.1:{office.port}/ nonsense://x json://127.0.0.1:1/")
    messenger.start(stop)
    until(lambda: "notifications" in heartbeats.heartbeats())
    heartbeats.record_event("disk", "The disk is full.")
    part = until(lambda: (p := new_part()) and "(3) could not be told" in p["message"] and p)
    assert part["status"] == "degraded"
    assert "Address 2 is none that apprise knows." in part["message"]
    assert office.lines == ["The disk is full."]  # the dead one held nothing up
    assert "127.0.0.1:1/" not in part["message"]
    change(NOTIFY_URLS="")
    assert "notifications" not in new_api().read("/api/health")["parts"]


def new_part() -> dict[str, str] | None:
    return new_api().read("/api/health")["parts"].get("notifications")  # type: ignore[no-any-return]


def test_without_the_package_it_is_a_sentence(
    office: PostOffice, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    heartbeats.beat({"orchestrator": ("ok", "")})
    messenger.start(stop)
    part = until(lambda: new_part())
    assert part["status"] == "degraded" and "requirements-notify.txt" in part["message"]


def test_the_command_sends_a_test_message(office: PostOffice) -> None:
    def run() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "orchestra", "notify"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    done = run()
    assert (done.returncode, done.stdout) == (0, "JSON (1): told\n"), done.stderr
    assert office.lines == ["This is a test: you will be told here."]
    office.refuses = True
    assert (run().returncode, run().stdout) == (1, "JSON (1): it did not take the message\n")
    change(NOTIFY_URLS="")
    assert "NOTIFY_URLS in .env is empty" in run().stderr


def test_the_settings_are_checked_and_never_shown(configure: Configure) -> None:
    configure(NOTIFY_URLS="me@example.org")
    with pytest.raises(SettingsError, match=r"expected addresses like .* found a hidden value"):
        settings.current()
    configure(NOTIFY_URLS="", NOTIFY_ABOUT="fills,everything")
    with pytest.raises(SettingsError, match="some of fills,refusals"):
        settings.current()
    configure(NOTIFY_ABOUT="fills", NOTIFY_URLS="ntfy://topic  tgram://12345678:abcdefgh/99")
    assert settings.current().notify_urls == ("ntfy://topic", "tgram://12345678:abcdefgh/99")
    assert "abcdefgh" not in repr(settings.current())
    assert clock.stamp()
