"""Looks over the terminal: settings, broker, clock, databases, backups, services, screen, what runs.

Nothing is changed by it; what does not exist yet is not made.
"""

import difflib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import fields
from importlib.util import find_spec

from dotenv import dotenv_values

from orchestra import screen, services, whats_running
from orchestra.base import clock, disk, settings, sqlite
from orchestra.base.errors import AutoTraderError, ExchangeUnavailable
from orchestra.base.market_calendar import nyse
from orchestra.base.settings import ROOT, Settings
from orchestra.first_aid import Finding
from orchestra.messenger import NOT_INSTALLED
from orchestra.whats_running import LOOK_AT, REMEDIES, RUN
from system_databse import backups, create_system_db

OLD_BACKUP_DAYS = 3
CALENDAR_DAYS = 180


def look_over_terminal() -> Iterator[Finding]:
    """Look at the terminal, as far as its settings can be read."""
    try:
        chosen = settings.current()
    except AutoTraderError as error:
        yield Finding("settings", "down", str(error), "Correct .env.")
        yield from _services()
        return
    running = whats_running.parts(chosen)
    looks: tuple[Callable[[], Finding], ...] = (
        lambda: _settings(chosen),
        lambda: _broker(chosen, running is not None),
        lambda: _feed(chosen, running is not None),
        lambda: _clock(chosen),
        lambda: _disk(chosen),
        lambda: _ledger(chosen),
        lambda: _stocks(chosen),
        lambda: _backups(chosen),
        lambda: _notifications(chosen),
        _calendar,
        lambda: whats_running.page(chosen, answers=running is not None),
    )
    own = {found.part: found for found in map(_looked, looks)}
    told = {part: whats_running.told(part, state) for part, state in (running or {}).items()}
    for part, found in told.items():
        if part not in own or (found.status != "ok" and own[part].status == "ok"):
            own[part] = found
    yield from own.values()
    yield from _services()


def _services() -> Iterator[Finding]:
    for look in (services.services, screen.screen):
        try:
            yield from look()
        except Exception as error:
            yield _not_looked(error)


def _looked(look: Callable[[], Finding]) -> Finding:
    """A look that fails is a finding too."""
    try:
        return look()
    except Exception as error:
        return _not_looked(error)


def _not_looked(error: Exception) -> Finding:
    name = f"{type(error).__name__}: {error}"
    return Finding("doctor", "degraded", f"Something could not be looked at: {name}.", LOOK_AT)


def _settings(chosen: Settings) -> Finding:
    """Names in .env that mean nothing: a misspelt brake brakes nothing."""
    env_file = ROOT / ".env"
    if not env_file.exists():
        return Finding(
            "settings", "degraded", "There is no .env.", "Run ./start_pi.sh --setup-only"
        )
    known = [each.name.upper() for each in fields(Settings)]
    unknown = []
    for name in dotenv_values(env_file):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            unknown.append(f"{name} ({near[0]}?)" if near else name)
    if unknown:
        message = f"No settings by these names, so they do nothing: {', '.join(unknown)}."
        return Finding("settings", "degraded", message, "Correct or remove them in .env.")
    mode = env_file.stat().st_mode & 0o777
    if mode & 0o077:
        message = f"Others can read .env (mode {mode:o})."
        return Finding("settings", "degraded", message, "chmod 600 .env")
    return Finding("settings", "ok", f"{chosen.mode.upper()}, {env_file} is its owner's alone.")


def _broker(chosen: Settings, runs: bool) -> Finding:
    if chosen.simulated_by_default and not runs:
        return Finding("broker", "ok", "The simulated exchange starts with the terminal.")
    from orchestra import first_contact, live_lock
    from orchestra.alpaca_wrapper import AlpacaWrapper

    try:
        with redirect_stdout(sys.stderr):
            wrapper = AlpacaWrapper()
        account = first_contact.account(wrapper)
        if chosen.system_db_path.exists():
            first_contact.refuse_other_account(account)
            live_lock.refuse_unarmed_live()
        blocked = wrapper.why_no_orders()
    except ExchangeUnavailable as error:
        remedy = "Correct the keys in .env." if "keys" in str(error) else "Is there a network?"
        return Finding("broker", "down", str(error), remedy)
    except AutoTraderError as error:
        return Finding("broker", "down", str(error), "Correct .env.")
    if blocked:
        message = f"The {account} takes no orders: {blocked}."
        return Finding("broker", "down", message, "See the account's page at the broker.")
    return Finding("broker", "ok", f"It answers: {account}.")


def _feed(chosen: Settings, runs: bool) -> Finding:
    """Whether the keys bring bars: that is another address than the account's, and a plan of its own."""
    if chosen.simulated_by_default and not runs:
        return Finding("feed", "ok", "The simulated exchange brings bars of its own.")
    from alpaca.data.enums import DataFeed
    from alpaca.data.requests import StockLatestBarRequest

    from orchestra import exchange

    feed = DataFeed(chosen.alpaca_feed)
    try:
        with exchange.answering():
            request = StockLatestBarRequest(symbol_or_symbols="SPY", feed=feed)
            exchange.data_client().get_stock_latest_bar(request)
    except ExchangeUnavailable as error:
        is_refused = exchange.status_of(error.__cause__) == 403
        told = "Are the keys right? ALPACA_FEED=iex is in every plan."
        return Finding("feed", "down", str(error), told if is_refused else "Is there a network?")
    return Finding("feed", "ok", f"Bars come from {feed.value}.")


def _clock(chosen: Settings) -> Finding:
    if chosen.simulated_by_default:
        return Finding("clock", "ok", "The simulated market has a clock of its own.")
    from orchestra.alpaca_wrapper import AlpacaWrapper
    from orchestra.clock_trust import ClockTrust

    with redirect_stdout(sys.stderr):
        trust = ClockTrust(AlpacaWrapper())
    trusted = trust.follow()
    how = "set from the network" if clock.is_synchronized() else "the broker's agrees"
    if trusted:
        return Finding("clock", "ok", f"{clock.stamp()}, {how}.")
    return Finding("clock", *trust.health, remedy=REMEDIES["clock"])


def _disk(chosen: Settings) -> Finding:
    status, message = disk.condition(
        {
            chosen.system_db_path.parent,
            chosen.stocks_db_path.parent,
            chosen.log_dir,
            chosen.backup_dir,
        }
    )
    return Finding("disk", status, message, REMEDIES["disk"] if status != "ok" else "")


def _ledger(chosen: Settings) -> Finding:
    path = chosen.system_db_path
    if not path.exists():
        if backups.listed(chosen.backup_dir, path.stem):
            message = f"There is no {path}, but there are backups of it."
            return Finding("databases", "down", message, f"{RUN} restore")
        return Finding("databases", "ok", f"{path} is made at the first start.")
    try:
        with closing(sqlite.connect(path, read_only=True)) as connection:
            if not sqlite.is_sound(connection):
                raise create_system_db.damaged(path)
            version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
            cards = connection.execute(
                "SELECT COUNT(*) FROM algorithm_instances WHERE status = 'running'"
            ).fetchone()[0]
    except (sqlite3.DatabaseError, AutoTraderError) as error:
        return Finding("databases", "down", f"{path}: {error}", REMEDIES["databases"])
    if version > len(create_system_db.MIGRATIONS):
        message = f"{path} was written by a newer version (schema {version})."
        return Finding("databases", "down", message, "Update the program: git pull")
    return Finding(
        "databases", "ok", f"The ledger is whole: {cards} running cards, schema {version}."
    )


def _stocks(chosen: Settings) -> Finding:
    path = chosen.stocks_db_path
    if not path.exists():
        return Finding("market data", "ok", f"{path} is made at the first start.")
    try:
        with closing(sqlite.connect(path, read_only=True)) as connection:
            sound = sqlite.is_sound(connection)
    except sqlite3.DatabaseError as error:
        return Finding(
            "market data", "degraded", f"{path}: {error}", "Start: it is replaced by itself."
        )
    if not sound:
        message = f"{path} is damaged."
        return Finding("market data", "degraded", message, "Start: it is replaced by itself.")
    megabytes = path.stat().st_size / 1e6
    return Finding("market data", "ok", f"{path} is whole ({megabytes:,.0f} MB).")


def _backups(chosen: Settings) -> Finding:
    found = backups.trusted(backups.listed(chosen.backup_dir, chosen.system_db_path.stem))
    second = chosen.backup_second_dir
    if not found:
        message = f"There is none in {chosen.backup_dir} yet: the first is made after a close."
        return Finding("backups", "ok", message, f"At once: {RUN} backup")
    newest = found[0]
    wrong = sqlite.faults(newest.path)
    days = (clock.machine_now() - newest.taken_at).total_seconds() / 86_400
    told = f"{len(found)}, the newest {newest.path.name} ({days:.1f} days old)"
    if wrong:
        message = f"{newest.path} is damaged: {wrong}."
        return Finding("backups", "down", message, f"{RUN} backup. Is the disk dying?")
    if days > OLD_BACKUP_DAYS:
        return Finding("backups", "degraded", f"{told}.", REMEDIES["backups"])
    if second is not None and not (second / newest.path.name).exists():
        message = f"{told}, but it is not in BACKUP_SECOND_DIR {second}."
        return Finding("backups", "degraded", message, f"Plug the disk in, mount it; {RUN} backup")
    return Finding("backups", "ok", f"{told}{f', also in {second}' if second else ''}, whole.")


def _notifications(chosen: Settings) -> Finding:
    if not chosen.notify_urls:
        return Finding("notifications", "ok", "Nobody is told: NOTIFY_URLS is empty.")
    if find_spec("apprise") is None:
        told, _, remedy = NOT_INSTALLED.partition(": ")
        return Finding("notifications", "degraded", f"{told}.", remedy)
    count = len(chosen.notify_urls)
    return Finding("notifications", "ok", f"{count} services are told.", f"Try it: {RUN} notify")


def _calendar() -> Finding:
    last = nyse().sessions[-1].day
    days = (last - clock.machine_now().date()).days
    message = f"The NYSE's sessions are known until {last}."
    if days < CALENDAR_DAYS:
        return Finding("calendar", "degraded", message, "Update the program: git pull")
    return Finding("calendar", "ok", message)
