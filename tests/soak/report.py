"""What a soak has shown: the figures of its folder as a page of Markdown, and what failed as sentences."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import quantiles
from typing import Any

from orchestra.base import clock
from orchestra.simulator.faults import KINDS
from tests.soak import books, journal, memory, minutes
from tests.soak.form import Form
from tests.soak.journal import Row, of_kind
from tests.soak.storm import FACTS, TARGETS, storm

Table = list[list[str]]


@dataclass
class Report:
    """The page, and every promise that was not kept; empty when all were."""

    page: str = ""
    failures: list[str] = field(default_factory=list)


def report(folder: Path) -> Report:
    """Tell what the soak in ``folder`` has shown, finished or interrupted."""
    return _Writer(folder).write()


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = journal.read(folder)
        [self._begin] = of_kind(self._rows, "begin")
        self._form = _form(self._begin)
        self._sessions = storm(self._form)[1]
        self._home = next(
            path
            for path in (folder / "kept", folder / "disk", folder)
            if (path / "system.db").exists()
        )
        self._exchange_db = folder / "exchange.db"
        self._system_db = self._home / "system.db"
        self._failures: list[str] = []
        last = (of_kind(self._rows, "stopping") or self._rows)[-1]
        self._end = clock.parse(last["at"]).replace(second=0)
        self._complete = any(row["complete"] for row in of_kind(self._rows, "end"))

    def write(self) -> Report:
        parts = [
            self._heading(),
            self._days(),
            self._why_not(),
            self._trades(),
            self._troubles(),
            self._memory(),
            self._owner(),
        ]
        verdict = (
            "All of it held."
            if not self._failures
            else "Not held:\n\n" + "\n".join(f"- {each}" for each in self._failures)
        )
        parts.insert(1, f"**{verdict}**" if not self._failures else verdict)
        return Report("\n\n".join(part for part in parts if part) + "\n", self._failures)

    def _fail(self, sentence: str) -> None:
        self._failures.append(sentence)

    def _heading(self) -> str:
        form, ran = self._form, [day for day in self._account() if day.minutes]
        seconds = self._rows[-1]["elapsed"] - self._begin["elapsed"]
        length = (form.last_day - form.first_day).days + 1
        state = "to its end" if self._complete else "INTERRUPTED"
        if not self._complete and not of_kind(self._rows, "end"):
            state = "STILL RUNNING, OR KILLED"
        return (
            "# The soak\n\n"
            "Written by `tests/soak.sh`: the real orchestrator, gunicorn and simulated exchange on an"
            f" accelerated clock, ten cards on six tickers, everything going wrong.\n\n"
            f"{form.first_day} to {form.last_day} ({length} calendar days, {len(self._sessions)}"
            f" sessions) at {form.speed:g} times real time, seed {form.seed}, on"
            f" {self._begin['cores']} cores; {len(ran)} sessions were run, in"
            f" {seconds / 60:.0f} minutes, {state}. {self._lateness()}"
        )

    def _account(self) -> list[minutes.Day]:
        if not hasattr(self, "_accounted"):
            windows = minutes.windows_of(self._rows, self._form.speed)
            self._accounted = minutes.account(self._system_db, self._sessions, self._end, windows)
        return self._accounted

    def _lateness(self) -> str:
        ledger = books.connect(self._system_db)
        try:
            rows = ledger.execute("SELECT late_ms, took_ms FROM cycles").fetchall()
        finally:
            ledger.close()
        if len(rows) < 2:
            return ""
        late, took = (quantiles([row[name] for row in rows], n=100) for name in (0, 1))
        return (
            f"{len(rows)} cycles began {late[49]:.1f} ms (median) and {late[98]:.0f} ms (p99) after"
            f" their time and took {took[49]:.0f} ms (median) and {took[98]:.0f} ms (p99)."
        )

    def _days(self) -> str:
        closings = {row["day"]: row for row in of_kind(self._rows, "day")}
        ends = {row["day"]: row for row in of_kind(self._rows, "sample") if row["moment"] == "end"}
        table = [
            [
                "day",
                "minutes",
                "card-minutes due",
                "asked",
                "not asked, on record",
                "not explained",
                "drift",
                "P&L on the page",
                "P&L by the exchange's fills",
                "log MB",
                "ledger MB",
                "stocks MB",
            ]
        ]
        for day in self._account():
            if not day.minutes:
                continue
            name = day.session.day.isoformat()
            table.append(
                [
                    name,
                    str(day.minutes),
                    str(day.due),
                    str(day.asked),
                    str(sum(day.why_not.values()) - len(day.unexplained)),
                    str(len(day.unexplained)),
                    *self._closing(name, closings.get(name)),
                    *_sizes(ends.get(name)),
                ]
            )
            for each, cards in Counter(row.partition(" at ")[2] for row in day.unexplained).items():
                self._fail(f"Not explained, of {cards} cards: {each}.")
        return "## Day by day\n\n" + _markdown(table)

    def _closing(self, day: str, row: Row | None) -> list[str]:
        """Drift and profit of a day's books; what could not be settled in time says so."""
        if row is None:
            return ["-", "-", "-"]
        if row["drift"]:
            self._fail(f"{day}: ledger and exchange differ by {row['drift']}.")
        drift = str(sum(abs(float(n)) for n in row["drift"].values()))[:-2] or "0"
        if row["unsettled"]:
            drift += f" ({', '.join(row['unsettled'])} unsettled)"
        profit, is_settled = row["profit"], row["trader"] and not row["unsettled"]
        if not row["trader"]:
            drift += " (the trader was starting)"
        if profit is None:
            return [drift, "no answer", "-"]
        if profit["off"] and is_settled:
            self._fail(f"{day}: profit on the page and by fills differ: {profit['off']}.")
        if abs(profit["own"] - profit["account"]) > 0.005:
            self._fail(f"{day}: the fills make {profit['own']}, the account {profit['account']}.")
        return [drift, f"{profit['shown']:.2f}", f"{profit['own']:.2f}"]

    def _why_not(self) -> str:
        total: Counter[str] = Counter()
        for day in self._account():
            total.update(day.why_not)
        due = sum(day.due for day in self._account())
        asked = sum(day.asked for day in self._account())
        old = sum(day.refused_on_old_data for day in self._account())
        table = [["why a card was not asked", "card-minutes"]]
        table += [[why, str(count)] for why, count in total.most_common()]
        quiet = total["NOT EXPLAINED"]
        return (
            "## Minutes\n\n"
            f"{due} card-minutes were due, {asked} were run, {due - asked} were not, each with its"
            f" reason but for {quiet}. No minute may be skipped for lack of machine time: one that"
            " follows a cycle that took too long counts as explained only within"
            f" {minutes.GRACE_SECONDS:g} machine seconds of a kill, a fault, the full disk or the"
            f" damaged file. Of those run, {old} wanted to trade on data too old and were refused.\n\n"
            + _markdown(table)
        )

    def _trades(self) -> str:
        found = books.compare(self._exchange_db, self._system_db)
        for each in found.differences[:10]:
            self._fail(f"{each}.")
        if len(found.differences) > 10:
            self._fail(f"... and {len(found.differences) - 10} more differences.")
        if self._complete and found.open:
            self._fail(f"Orders without an end: {', '.join(found.open)}.")
        if self._complete and not found.corrections:
            self._fail("The split met no shares.")
        table = [
            ["orders filled at the exchange", str(found.filled_orders)],
            ["orders the journal has as filled", str(found.journalled)],
            ["transactions in the ledger", str(found.transactions)],
            ["fills at the exchange (an order may have several)", str(found.fills)],
            ["differences, order by order", str(len(found.differences))],
            ["labelled corrections beside them (the split)", str(found.corrections)],
            *(
                [f"journal rows {state} without a fill", str(count)]
                for state, count in sorted(found.unfilled.items())
            ),
        ]
        return "## Orders, fills, transactions\n\n" + _markdown([["", "count"], *table])

    def _troubles(self) -> str:
        kills = Counter(row["target"] for row in of_kind(self._rows, "kill"))
        for target in TARGETS:
            if kills[target] < self._form.kills and self._complete:
                self._fail(f"{target} was killed only {kills[target]} times.")
        table = [["killed with SIGKILL", "times"]]
        table += [[target, str(kills[target])] for target in TARGETS]
        faults = Counter(
            row["name"]
            for row in of_kind(self._rows, "fault")
            if row["status"] == 201 or row["name"] in FACTS
        )
        shown = [["fault of the exchange", "times"]]
        shown += [[name, str(faults[name])] for name in sorted(KINDS)]
        if self._complete and self._form.is_long and (missed := sorted(set(KINDS) - set(faults))):
            self._fail(f"These faults never came: {', '.join(missed)}.")
        for row in of_kind(self._rows, "down"):
            if not row["killed"]:
                self._fail(f"{row['at']}: the {row['part']} ended by itself: {row['words']}.")
        for row in of_kind(self._rows, "stopped"):
            if row["status"] != 0:
                self._fail(f"The {row['part']} ended with {row['status']} on SIGTERM.")
        return "\n\n".join(
            ["## What went wrong on purpose", self._storage(), _markdown(table), _markdown(shown)]
        )

    def _storage(self) -> str:
        sentences = []
        for row in of_kind(self._rows, "disk"):
            sentences.append(f"The disk was full for {row['seconds']:g} s at {row['at']}.")
        for row in of_kind(self._rows, "no disk"):
            sentences.append(
                f"NO FULL DISK: mounting one needs rights that were not there ({row['reason']})."
            )
        for row in of_kind(self._rows, "damage"):
            sentences.append(f"stocks.db was overwritten at {row['at']}.")
        events = self._events()
        if of_kind(self._rows, "disk") and not (events["disk"] or self._waited_for_room()):
            self._fail("The terminal never told of the full disk.")
        if of_kind(self._rows, "damage") and not events["stocks"]:
            self._fail("The terminal never told of the damaged stocks.db.")
        counted = ", ".join(f"{kind} {count}" for kind, count in sorted(events.items()))
        return " ".join([*sentences, f"The terminal's own events: {counted or 'none'}."])

    def _events(self) -> Counter[str]:
        ledger = books.connect(self._system_db)
        try:
            return Counter(row[0] for row in ledger.execute("SELECT kind FROM events"))
        finally:
            ledger.close()

    def _waited_for_room(self) -> bool:
        """Whether a trader that was started on the full disk said so: it has no room for an event."""
        logs = (self._home / "logs").glob("orchestrator.log*")
        return any("Trading waits. The disk is full" in log.read_text() for log in logs)

    def _memory(self) -> str:
        text = (
            "## Memory and descriptors\n\nPSS in MB / open descriptors; workers summed.\n\n"
            + _markdown(memory.table(self._rows))
        )
        since = self._begin["calm_from"]
        if since is None:
            return text
        found = memory.lives(self._rows, since)
        for life in found:
            for what, growth in (("memory", life.growth), ("descriptors", life.descriptor_growth)):
                if growth > memory.LARGEST_GROWTH:
                    self._fail(f"In the calm days {what} of {life.role} grew by {growth:.1%}.")
        if self._complete and not found:
            self._fail("No process lived through the calm days: growth cannot be judged.")
        return (
            f"{text}\n\nFrom {since} on nothing was killed (faults went on). What lived through those"
            " days, its last day held against its second; both figures are medians of the looks at it"
            " all through the day (what requests under way open, and cut connections lack, comes and"
            " goes; what is never closed stays):\n\n" + _markdown(memory.growth_table(found))
        )

    def _owner(self) -> str:
        wishes = of_kind(self._rows, "owner")
        given_up = [row for row in wishes if str(row["done"]).startswith("given up")]
        for row in given_up:
            self._fail(f"{row['at']}: the owner's wish {row['wish']} was {row['done']}.")
        counted = Counter(row["wish"] for row in wishes)
        text = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
        parts = [f"## The owner and the page\n\nWishes with the PIN: {text or 'none'}."]
        for row in of_kind(self._rows, "wall"):
            answers = ", ".join(f"{k}: {n}" for k, n in sorted(row["answers"].items()))
            parts.append(
                f"The page asked every two seconds; answers by status: {answers}. The slowest took"
                f" {row['slowest']:.2f} s."
            )
        for row in of_kind(self._rows, "refused"):
            if (row["status"], row["code"]) not in HONEST or not self._is_broken(row["at"]):
                self._fail(f"{row['at']}: the page was answered {row['status']} {row['code']}.")
            parts.append(f"At {row['at']} it said {row['code']}.")
        return " ".join(parts)

    def _is_broken(self, at: str) -> bool:
        """Whether the disk was full or a database damaged then."""
        moment = clock.parse(at)
        return any(
            window.start <= moment <= window.end and window.cause in minutes.BROKEN
            for window in minutes.windows_of(self._rows, self._form.speed)
        )


HONEST = {("503", "disk_full"), ("503", "database_damaged")}  # for as long as it is so


def _form(begin: Row) -> Form:
    return Form(
        date.fromisoformat(begin["first_day"]),
        date.fromisoformat(begin["last_day"]),
        begin["speed"],
        begin["seed"],
        begin["kills"],
        tuple(begin["edge"]) if begin["edge"] else None,
    )


def _sizes(row: Row | None) -> list[str]:
    if row is None:
        return ["-", "-", "-"]
    return [f"{row['sizes'][name] / 1e6:.1f}" for name in ("log", "ledger", "stocks")]


def _markdown(table: Table) -> str:
    head, *rows = table
    lines: list[Any] = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
