"""Boots the machine that ``tests/boot.sh`` has made, and tells what was seen; see there."""

import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests import boot_limits, boot_screen
from tests.boot_machine import PROJECT, SERVICES, Machine, Table, seconds_since, wait_for


class Story:
    """What is done with the machine, in order."""

    def __init__(self, machine: Machine, table: Table) -> None:
        self.machine = machine
        self.table = table
        self.limits = boot_limits.Limits(machine, table, self.is_well)
        self.screen = boot_screen.Screen(machine, table, self.doctor)

    def tell(self) -> None:
        machine = self.machine
        machine.power_on()
        self.before = machine.files()
        said = self.doctor("packages", python="python3")
        self.table.note("doctor before the set-up", said, "start_pi.sh --setup-only" in said)
        self.install("the first")
        self.screen.look_at_the_desktop()
        self.screen.open_the_window()
        self.trade()
        self.look_at_the_sandbox()
        self.kill_each()
        self.hang_each()
        self.a_second_start()
        self.turn_off_and_on("reboot", lambda: machine.run("systemctl", "reboot"))
        self.turn_off_and_on("power cut", machine.cut_the_power)
        self.limits.fill_the_memory()
        self.change_settings()
        self.ask_the_doctor()
        self.compare_with_the_broker()
        self.screen.take_the_desktop_away()
        self.install("without a desktop, a fourth")
        self.screen.look_at_the_console()
        self.screen.keep_the_page_off()
        self.screen.give_the_desktop_back()
        self.uninstall()
        machine.run("systemctl", "poweroff")
        machine.wait_until_off()

    def install(self, which: str) -> None:
        began = time.monotonic()
        said = self.machine.run(f"{PROJECT}/systemd/install.sh")
        fine = "AutoTrader is installed and running" in said
        last = said.splitlines()[-2] if fine else said
        self.table.note(f"install.sh, {which} time", f"{seconds_since(began)}: {last}", fine)
        assert fine, "without it there is nothing more to see"

    def trade(self) -> None:
        machine, table = self.machine, self.table
        token = machine.send("/api/validate-pin", {"pin": "2020"})["token"]
        for ticker in ("MSFT", "AMZN"):
            card = {"ticker": ticker, "algorithm_type": "lot_by_lot", "initial_capital": 5000}
            machine.send("/api/algorithms", card, token)
        began = time.monotonic()
        wait_for(lambda: self.transactions() >= 5)
        cards = machine.get("/api/algorithms")["algorithms"]
        decided = sum(card["last_decision"] is not None for card in cards)
        seen = f"{len(cards)} cards, {decided} have decided, {self.transactions()} transactions"
        table.note("trades on the simulator", f"{seen} after {seconds_since(began)}", decided == 5)
        table.note("health", machine.get("/api/health")["status"], self.is_well())
        for name in SERVICES:
            table.note(f"memory of {name}", f"{machine.memory(name):.0f} MB (PSS)")

    def look_at_the_sandbox(self) -> None:
        for name in (*SERVICES, "prepare", "backup"):
            said = self.machine.run("systemd-analyze", "security", f"autotrader-{name}.service")
            found = re.search(r"exposure level for .*?: ([0-9.]+)", said)
            exposure = float(found.group(1)) if found else 10.0
            self.table.note(f"exposure of {name}", exposure, exposure <= 2.0)
        self.machine.shell("echo hidden >/home/pi/secret; chown pi /home/pi/secret")
        inside = f"nsenter -m -t {self.machine.pid('orchestrator')} "
        secret = self.machine.shell(f"{inside} cat /home/pi/secret")
        self.table.note("the owner's other files", secret, "No such file" in secret)
        for folder, writable in (("orchestra", False), ("system_databse", True)):
            said = self.machine.shell(
                f"{inside} sh -c 'touch {PROJECT}/{folder}/new && rm {PROJECT}/{folder}/new'"
            )
            self.table.note(f"writing to {folder}/", said or "can", (said == "") == writable)
        said = self.machine.run("systemctl", "start", "autotrader-backup.service")
        backups = self.machine.shell(f"ls {PROJECT}/backups")
        self.table.note("autotrader-backup.service", said or backups, said == "" and backups != "")

    def kill_each(self) -> None:
        for name in SERVICES:
            self.lose(f"kill -9 of {name}", name, self.machine.pid(name), "KILL")

    def hang_each(self) -> None:
        for name in SERVICES:
            self.lose(f"{name} hangs (SIGSTOP)", name, self.machine.pid(name), "STOP")
        master = self.machine.pid("api")
        worker = int(self.machine.run("pgrep", "-P", str(master)).split()[0])
        began = time.monotonic()
        self.machine.run("kill", "-STOP", str(worker))
        wait_for(
            lambda: str(worker) not in self.machine.run("pgrep", "-P", str(self.machine.pid("api")))
        )
        wait_for(self.is_well)
        self.table.note("the page's worker hangs", f"replaced after {seconds_since(began)}")

    def lose(self, what: str, name: str, pid: int, signal: str) -> None:
        """Send a signal; the service must be another process and all of it well again."""
        machine = self.machine
        clock_before = machine.shell("cat /run/autotrader/clock.env")
        trades, restarts = self.transactions(), int(machine.unit(name, "NRestarts"))
        began = time.monotonic()
        machine.run("kill", f"-{signal}", str(pid))
        wait_for(lambda: int(machine.unit(name, "NRestarts")) > restarts)
        ended = seconds_since(began)
        wait_for(lambda: machine.unit(name, "ActiveState") == "active" and self.is_well())
        seen = f"noticed after {ended}, well again after {seconds_since(began)}"
        if signal == "STOP":
            journal = machine.run(
                "journalctl", "-q", "-o", "cat", "-u", f"autotrader-{name}", "-n", "200"
            )
            seen += ", where it hung is in the journal" * ("most recent call first" in journal)
        same = machine.shell("cat /run/autotrader/clock.env") == clock_before
        wait_for(lambda: self.transactions() > trades)
        apart = self.clocks_apart()
        seen += f", trades on, clocks {apart:.0f} market seconds apart"
        self.table.note(what, seen, same and apart < 120)

    def a_second_start(self) -> None:
        said = self.machine.run(
            "runuser", "-u", "pi", "--", f"{PROJECT}/start_pi.sh", "--no-browser"
        )
        self.table.note("start_pi.sh beside it", said, "is running already" in said)

    def turn_off_and_on(self, what: str, turn_off: Callable[[], object]) -> None:
        machine = self.machine
        before = machine.get("/api/algorithms")
        trades = self.transactions()
        turn_off()
        machine.wait_until_off()
        began = time.monotonic()
        machine.power_on()
        wait_for(lambda: machine.get("/api/algorithms"))
        page = seconds_since(began)
        wait_for(self.is_well)
        after = machine.get("/api/algorithms")
        seen = f"page after {page}, trading after {seconds_since(began)}"
        was, now = before["market"]["now"], after["market"]["now"]
        kept = [card["id"] for card in after["algorithms"]] == [1, 2, 3, 4, 5]
        fine = kept and self.transactions() >= trades and was[:13] <= now[:13]
        seen += f", market time {was} -> {now}, {self.transactions()} transactions (were {trades})"
        wait_for(lambda: self.transactions() > trades)
        failed = machine.run("systemctl", "--failed", "--no-legend")
        self.table.note(what, seen, fine and failed == "")

    def change_settings(self) -> None:
        machine, table = self.machine, self.table
        self.edit("ALPACA_PAPER", "maybe")
        machine.run("systemctl", "restart", "autotrader.target")
        wait_for(lambda: int(machine.unit("api", "NRestarts")) > 3)
        journal = machine.run(
            "journalctl", "-q", "-o", "cat", "-u", "autotrader-prepare", "-n", "50"
        )
        sentence = next(line for line in journal.splitlines() if line.startswith("Setting"))
        table.note("ALPACA_PAPER=maybe", sentence)
        said = machine.run(f"{PROJECT}/systemd/install.sh")
        on = wait_for(
            lambda: machine.run("systemctl", "is-active", "autotrader.target") == "active"
        )
        fine = sentence in said and on
        table.note("install.sh that fails leaves it on", said.splitlines()[-1], fine)
        began = time.monotonic()
        self.edit("ALPACA_PAPER", "True")
        wait_for(self.is_well)
        table.note("corrected, nothing else done", f"well again after {seconds_since(began)}")
        self.edit("ALPACA_API_KEY", "any")
        self.edit("ALPACA_SECRET", "pair")
        self.install("with keys, a second")
        wait_for(lambda: "exchange" in self.message("orchestrator"))
        state = {name: machine.unit(name, "ActiveState") for name in SERVICES}
        answer = machine.get("/api/algorithms")
        seen = f"mode {answer['market']['mode']}, {len(answer['algorithms'])} cards, {state}"
        fine = state == {"simulator": "inactive", "api": "active", "orchestrator": "active"}
        table.note("with keys (and no network)", f"{seen}; {self.message('orchestrator')}", fine)
        self.edit("ALPACA_TRADING_URL", "http://127.0.0.1:6010")
        self.edit("ALPACA_DATA_URL", "http://127.0.0.1:6010")
        self.edit("ALPACA_STREAM_URL", "ws://127.0.0.1:6011/v2/iex")
        self.edit("SYSTEM_DB", "system_databse/ahead.db")  # another account's
        self.edit("STOCKS_DB", "database/ahead.db")
        self.limits.start_without_the_time()
        for name in ("ALPACA_TRADING_URL", "ALPACA_DATA_URL", "ALPACA_STREAM_URL"):
            self.edit(name, "")
        for name in ("SYSTEM_DB", "STOCKS_DB"):
            self.edit(name, "")
        self.edit("ALPACA_API_KEY", "")
        self.edit("ALPACA_SECRET", "")
        self.install("without keys again, a third")
        wait_for(self.is_well)
        cards = len(machine.get("/api/algorithms")["algorithms"])
        table.note("the demo is where it was", f"{cards} cards", cards == 5)

    def compare_with_the_broker(self) -> None:
        """The ledger against the exchange's own account, with trading stopped."""
        machine = self.machine
        machine.run("systemctl", "stop", "autotrader-orchestrator")
        orders = machine.get("/v2/orders?status=all&limit=500", 5010)
        filled = sum(order["status"] == "filled" for order in orders)
        held = {each["symbol"]: int(each["qty"]) for each in machine.get("/v2/positions", 5010)}
        signed = "SUM(CASE t.type WHEN 'buy' THEN t.shares ELSE -t.shares END)"
        ours = machine.ledger(
            f"SELECT a.ticker, {signed} FROM transactions t JOIN algorithm_instances a"
            f" ON a.id = t.algorithm_id GROUP BY a.ticker HAVING {signed} != 0"
        )
        seen = f"{filled} orders filled at the broker, {self.transactions()} transactions, positions {held}"
        fine = filled == self.transactions() and dict(ours) == held
        self.table.note("ledger and broker after all that", seen, fine)
        counted = sorted({part for (part,) in machine.ledger("SELECT part FROM wear")})
        self.table.note("whose writing to the card is counted", counted, "orchestrator" in counted)

    def ask_the_doctor(self) -> None:
        said = self.doctor(" services", "^. clock", "^. disk")
        self.table.note("doctor", said, "Installed, started at power-on, running: " in said)
        self.machine.run("systemctl", "stop", "autotrader-orchestrator")
        said = self.doctor(" services")
        self.table.note("doctor, the trader stopped", said, "(trader) is stopped." in said)
        self.machine.run("systemctl", "start", "autotrader.target")  # its remedy
        wait_for(self.is_well)

    def doctor(self, *lines: str, python: str = ".venv/bin/python") -> str:
        chosen = " ".join(f"-e '{line}'" for line in lines)
        command = f"cd {PROJECT} && runuser -u pi -- {python} -m orchestra doctor"
        return self.machine.shell(f"{command} 2>&1 | grep {chosen}")

    def uninstall(self) -> None:
        machine = self.machine
        said = machine.run(f"{PROJECT}/systemd/install.sh", "--uninstall")
        after = machine.files()
        different = sorted(
            path for path in {*self.before, *after} if self.before.get(path) != after.get(path)
        )
        units = machine.run("systemctl", "list-units", "--all", "--no-legend", "autotrader*")
        python = machine.shell("pgrep -a python || true")
        fine = different == [] and units == "" and python == ""
        left = " / ".join(filter(None, (units, python))) or "none"
        seen = f"{said.splitlines()[-1]} Files that differ: {different or 'none'}, left: {left}"
        self.table.note("install.sh --uninstall", seen, fine)
        again = machine.shell(f"{PROJECT}/systemd/install.sh --uninstall && echo done")
        self.table.note("--uninstall once more", again.splitlines()[-1], again.endswith("done"))
        said = self.doctor(" services")
        self.table.note("doctor after it", said, "Not installed" in said)
        kept = machine.shell(f"ls {PROJECT}/system_databse/*.db {PROJECT}/.env")
        self.table.note(
            "what stays", kept.replace(f"{PROJECT}/", "").replace("\n", " "), ".env" in kept
        )

    def edit(self, name: str, value: str) -> None:
        self.machine.shell(f"sed -i 's|^{name}=[^ ]*|{name}={value}|' {PROJECT}/.env")

    def transactions(self) -> int:
        return int(self.machine.ledger("SELECT COUNT(*) FROM transactions")[0][0])

    def is_well(self) -> bool:
        """Whether page, trader and exchange are all well, as the page itself says, and fresh."""
        health = self.machine.get("/api/health")
        if not health or health["status"] != "ok":
            return False
        return bool(health["parts"]["orchestrator"]["age"] < 5)

    def message(self, part: str) -> str:
        health = self.machine.get("/api/health")
        return str(health["parts"][part]["message"]) if health else ""

    def clocks_apart(self) -> float:
        """Market seconds between the page's clock and the exchange's, a request's time included."""
        ours = self.machine.get("/api/algorithms")["market"]["now"]
        theirs = self.machine.get("/v2/clock", 5010)["timestamp"]
        return abs(seconds_of(theirs) - seconds_of(ours))


def seconds_of(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def main() -> int:
    machine, table = Machine(Path(sys.argv[1])), Table()
    try:
        Story(machine, table).tell()
    except Exception:
        table.note("the story", "ended early", False)
        raise
    finally:
        machine.end()
        fine = table.show()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
