"""Runs a soak: starts the terminal, lets storm and owner loose on it, and writes down what it sees."""

import heapq
import itertools
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import requests

from orchestra.base import clock, settings, sqlite
from tests.processes import BROKER_KEYS, Terminal
from tests.soak import books
from tests.soak.form import MINUTE, TICKERS, Form, Session
from tests.soak.journal import Journal
from tests.soak.owner import Owner, Wall
from tests.soak.stage import DISK_MEGABYTES, environment, small_disk
from tests.soak.storm import FACTS, Event, storm
from tests.soak.supervisor import Supervisor

RETRY_SECONDS = 0.5
KILL_PATIENCE_SECONDS = 40.0
LOOKS = 10  # at memory and descriptors in a session, beside those at its start and its end
DAY_PATIENCE = 3 * MINUTE  # for the books of a day to be closed after its session
WISHES = ("fund", "swap", "fund", "keep", "sell_kept", "swap", "fund")
Work = Callable[[], None]


def run(form: Form, folder: Path, stop: threading.Event) -> None:
    """Soak the terminal until the last session is over or ``stop`` is set. Notes all in ``folder``."""
    events, sessions = storm(form)
    with ExitStack() as undo:
        journal = Journal(folder)
        undo.callback(journal.close)
        disk = undo.enter_context(small_disk(folder, journal))
        undo.enter_context(environment(form, sessions, folder, disk))
        journal.note(
            "begin",
            first_day=form.first_day.isoformat(),
            last_day=form.last_day.isoformat(),
            speed=form.speed,
            seed=form.seed,
            kills=form.kills,
            edge=form.edge,
            cores=os.cpu_count(),
            calm_from=form.calm_from() and form.calm_from().isoformat(),  # type: ignore[union-attr]
        )
        soak = _Soak(form, sessions, folder, disk, journal, stop)
        undo.callback(soak.end)
        soak.go(events)


class _Soak:
    """A heap of what is to be done at which machine time, and the hands that do it."""

    def __init__(
        self,
        form: Form,
        sessions: list[Session],
        folder: Path,
        disk: Path | None,
        journal: Journal,
        stop: threading.Event,
    ) -> None:
        self._form, self._sessions = form, sessions
        self._folder, self._disk = folder, disk
        self._journal, self._stop = journal, stop
        self._rng = Random(f"times {form.seed}")
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Work]] = []
        self._supervisor = Supervisor(folder, journal)
        self._terminal = Terminal(folder)
        self._owner = Owner(Terminal(folder), journal, form.seed)
        self._wall = Wall(Terminal(folder), journal)

    def go(self, events: list[Event]) -> None:
        """Do all that is due, to the end of the last session."""
        # Cards first: the trader has their history before the open, as on a clock that does not run
        self._supervisor.start(before_trading=self._owner.begin)
        self._wall.start()
        if clock.now() >= self._sessions[0].open:
            self._journal.note("late start")
        for event in events:
            self._at(event.at, lambda event=event: self._meet(event))  # type: ignore[misc]
        for number, session in enumerate(self._sessions):
            self._plan_day(number, session)
        # Before the clock skips to the next session, so that nothing is traded in that one
        self._at(self._sessions[-1].close + DAY_PATIENCE + 3 * MINUTE / 2, self._due.clear)
        while self._due and not self._stop.is_set():
            at, _, work = self._due[0]
            if at > clock.elapsed():
                clock.pause(min(at - clock.elapsed(), 1.0), self._stop)
                continue
            heapq.heappop(self._due)
            work()

    def end(self) -> None:
        """Stop everything, the terminal last, and note what is left to note."""
        self._journal.note("stopping")
        self._owner.stopping.set()
        self._wall.stopping.set()
        self._supervisor.stop()
        self._owner.join()
        self._wall.join()
        self._journal.note("wall", answers=dict(self._wall.answers), slowest=self._wall.slowest)
        self._journal.note("end", complete=not self._stop.is_set())

    def _plan_day(self, number: int, session: Session) -> None:
        self._at(session.open + 2 * MINUTE, lambda: self._sample(session, "start"))
        for part in range(1, LOOKS):
            at = session.open + timedelta(seconds=part / LOOKS * session.minutes * 60)
            self._at(at, lambda: self._sample(session, "between"))
        self._at(session.close + MINUTE / 2, lambda: self._close_day(session))
        for wish in (WISHES[number % len(WISHES)], WISHES[(number + 3) % len(WISHES)], "fill"):
            seconds = self._rng.uniform(0.1, 0.8) * session.minutes * 60
            self._at(
                session.open + timedelta(seconds=seconds),
                lambda wish=wish: self._owner.wish(wish),  # type: ignore[misc]
            )
        for part in (0.3, 0.6, 0.9):
            at = session.open + timedelta(seconds=part * session.minutes * 60)
            self._at(at, lambda: self._owner.wish("resume"))

    def _at(self, moment: datetime, work: Work) -> None:
        heapq.heappush(self._due, (clock.due(moment), next(self._numbers), work))

    def _in(self, seconds: float, work: Work) -> None:
        heapq.heappush(self._due, (clock.elapsed() + seconds, next(self._numbers), work))

    # --- the storm ---

    def _meet(self, event: Event) -> None:
        {"fault": self._fault, "kill": self._kill, "disk": self._fill_disk, "damage": self._damage}[
            event.kind
        ](event)

    def _fault(self, event: Event) -> None:
        """Put a fault in force and take it back later; a dead exchange has none."""
        body = {"name": event.subject, **event.parameters}
        if event.subject in FACTS:
            if not self._supervisor.is_up("exchange"):
                return self._in(RETRY_SECONDS, lambda: self._fault(event))
            self._supervisor.facts.append(body)  # told again at each start
        number = next(self._numbers)
        status = self._tell("POST", "/_faults", body)
        self._journal.note(
            "fault",
            number=number,
            name=event.subject,
            parameters=event.parameters,
            seconds=event.seconds,
            status=status,
        )
        if event.seconds:
            self._in(event.seconds, lambda: self._clear(event.subject, number))

    def _clear(self, name: str, number: int) -> None:
        status = self._tell("DELETE", f"/_faults?name={name}")
        self._journal.note("fault over", number=number, name=name, status=status)

    def _tell(self, method: str, path: str, body: object = None) -> int:
        url = settings.current().trading_url + path
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.request(method, url, json=body, timeout=5).status_code
        except requests.RequestException:
            return 0

    def _kill(self, event: Event, since: float | None = None) -> None:
        since = clock.elapsed() if since is None else since
        if self._supervisor.kill(event.subject):
            return
        if clock.elapsed() - since < KILL_PATIENCE_SECONDS:
            self._in(RETRY_SECONDS, lambda: self._kill(event, since))
        else:
            self._journal.note("not killed", target=event.subject)

    def _fill_disk(self, event: Event) -> None:
        """Leave no room on the terminal's own disk, not even inside SQLite's files."""
        if self._disk is None:
            return
        chosen = settings.current()
        for path in (chosen.system_db_path, chosen.stocks_db_path):
            _shorten_log(path)
        number = next(self._numbers)
        self._journal.note("disk", number=number, name="full", seconds=event.seconds)
        ballast = self._disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            size, step = 0, DISK_MEGABYTES * 1_000_000
            while step >= 4096:  # ever smaller pieces, until none fits
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2
        self._in(event.seconds, lambda: self._free_disk(ballast, number))

    def _free_disk(self, ballast: Path, number: int) -> None:
        ballast.unlink()
        self._journal.note("disk over", number=number, name="full")

    def _damage(self, event: Event) -> None:
        """Overwrite stocks.db and its log while they are in use; what is in use may be in either."""
        stocks = settings.current().stocks_db_path
        self._journal.note("damage", name=event.subject)
        for damaged in (stocks, Path(f"{stocks}-wal")):
            with suppress(FileNotFoundError), damaged.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(4096)
                file.write(b"\xa5" * max(0, size - 4096))

    # --- what is seen ---

    def _sample(self, session: Session, moment: str) -> None:
        self._journal.note(
            "sample",
            day=session.day.isoformat(),
            moment=moment,
            processes=[vars(each) for each in self._supervisor.sample()],
            sizes=self._sizes(),
        )

    def _sizes(self) -> dict[str, int]:
        chosen = settings.current()
        files = {
            "log": [path for path in chosen.log_dir.glob("*") if path.is_file()],
            "ledger": _with_log(chosen.system_db_path),
            "stocks": _with_log(chosen.stocks_db_path),
            "exchange": _with_log(chosen.simulator_db),
        }
        return {name: sum(map(_size, paths)) for name, paths in files.items()}

    def _close_day(self, session: Session, since: datetime | None = None) -> None:
        """Hold the day's figures against the exchange, once nothing is in the balance any more."""
        since = clock.now() if since is None else since
        drift, unsettled = books.drift(
            settings.current().simulator_db, settings.current().system_db_path
        )
        profit = self._profit()
        settled = profit is not None and not drift and not unsettled and not profit["off"]
        if not settled and clock.now() - since < DAY_PATIENCE:
            self._in(RETRY_SECONDS, lambda: self._close_day(session, since))
            return
        self._journal.note(
            "day",
            day=session.day.isoformat(),
            drift={ticker: str(shares) for ticker, shares in drift.items()},
            unsettled=unsettled,
            profit=profit,
            trader=self._supervisor.is_up("orchestrator"),
        )
        self._sample(session, "end")

    def _profit(self) -> dict[str, Any] | None:
        """Each card's profit on the page and by the exchange's fills; None while one cannot be had."""
        chosen = settings.current()
        try:
            path = f"/v2/stocks/bars/latest?symbols={','.join(TICKERS)}"
            response = self._terminal.http.get(
                chosen.data_url + path, headers=BROKER_KEYS, timeout=3
            )
            marks = {
                ticker: Decimal(str(bar["c"])) for ticker, bar in response.json()["bars"].items()
            }
            answer = self._terminal.call("GET", "/api/algorithms?status=all").json()
        except (requests.RequestException, ValueError, KeyError):
            return None
        shown = {card["id"]: card["pnl"] for card in answer["algorithms"]}
        own = books.profits(chosen.simulator_db, marks)
        off = {
            card: [shown.get(card), float(amount)]
            for card, (amount, fills) in own.items()
            if abs(shown.get(card, 0.0) - float(amount)) > books.tolerance(fills, 10_000)
        }
        return {
            "shown": round(sum(shown.values()), 4),
            "own": float(sum(amount for amount, _ in own.values())),
            "account": float(books.account_profit(chosen.simulator_db, marks)),
            "fills": sum(fills for _, fills in own.values()),
            "off": off,
        }


def _shorten_log(database: Path) -> None:
    """Give the write-ahead log's room back, or a full disk would not be felt for a while."""
    connection = sqlite.connect(database)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:  # somebody reads: then it stays as it is
        print(f"The log of {database.name} stays: {error}", file=sys.stderr)
    finally:
        connection.close()


def _with_log(path: Path) -> list[Path]:
    return [path, path.with_name(f"{path.name}-wal")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
