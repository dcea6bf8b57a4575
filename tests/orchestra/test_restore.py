"""``python -m orchestra restore``: one command, nothing lost by it, also where it is cut off half-way."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.base import settings, single, sqlite
from orchestra.base.settings import ROOT
from system_databse import backups, card_states, create_system_db, heartbeats, system_db_manager
from tests.conftest import Configure

HOLD = """
import sys
from pathlib import Path
from orchestra.base import single
{hold}
print("held", flush=True)
sys.stdin.read()
"""
ALONE = 'place = single.only_one("orchestrator", Path(sys.argv[1]))\nplace.__enter__()'
SHARED = 'single.one_of_many("api", Path(sys.argv[1]))'
# Ends the command with SIGKILL before its nth change to the names of files
CUT_OFF = """
import os, runpy, signal, sys
left = int(sys.argv[1])
def watch(event, arguments):
    global left
    if event in ("os.rename", "os.link", "os.remove") and "system.db" in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
sys.argv = ["orchestra", "restore"]
runpy.run_module("orchestra", run_name="__main__")
"""


def ledger() -> Path:
    return settings.current().system_db_path


def folder() -> Path:
    return settings.current().backup_dir


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def restore(*arguments: str) -> "subprocess.CompletedProcess[str]":
    sqlite.close_kept()
    return run("-m", "orchestra", "restore", *arguments)


def transactions(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM transactions").fetchone()[0])
    finally:
        connection.close()


def backed_up_as(stamp: str) -> Path:
    """Back up now, under another date."""
    taken = backups.take(ledger())
    return taken.path.rename(folder() / f"system-{stamp}.db")


@pytest.fixture
def card() -> int:
    return system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)


def buy(card: int, times: int) -> None:
    for _ in range(times):
        system_db_manager.record_buy(card, 1, 100.0)


def test_the_newest_whole_backup_comes_back_and_nothing_is_lost(card: int) -> None:
    buy(card, 1)
    backed_up_as("20240601T230000Z")
    buy(card, 1)
    good = backed_up_as("20240602T230000Z")
    buy(card, 1)
    damaged = backed_up_as("20240603T230000Z")
    damaged.write_bytes(damaged.read_bytes()[:40_000])
    buy(card, 1)
    done = restore("--json")
    assert done.returncode == 0, done.stderr
    assert f"{damaged} cannot be restored" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["restored"] == str(good)
    assert (answer["cards"], answer["transactions"], answer["before"]["transactions"]) == (1, 2, 4)
    assert transactions(ledger()) == 2
    assert transactions(Path(answer["replaced"])) == 4
    assert Path(answer["replaced"]).parent == ledger().parent
    events = system_db_manager.ledger().execute("SELECT kind, message FROM events").fetchall()
    assert [row["kind"] for row in events] == ["restored"]
    assert good.name in events[0]["message"]


def test_what_the_old_log_held_goes_aside_and_never_into_the_new_ledger(card: int) -> None:
    buy(card, 1)
    backups.take(ledger())
    script = (
        "import os, signal; from system_databse import system_db_manager as m\n"
        f"for _ in range(50): m.record_buy({card}, 1, 100.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run("-c", script).returncode == -signal.SIGKILL
    assert ledger().with_name("system.db-wal").stat().st_size > 0
    answer = json.loads(restore("--json").stdout)
    assert transactions(ledger()) == 1
    assert transactions(Path(answer["replaced"])) == 51


def test_a_machine_that_lost_everything_but_the_backups(
    card: int, tmp_path: Path, configure: Configure
) -> None:
    algorithms = tmp_path / "algorithms"
    algorithms.mkdir()
    (algorithms / "mine.py").write_text("class Algorithm: ...")
    configure(ALGORITHMS_DIR=algorithms)
    buy(card, 3)
    backups.take(ledger())
    number = system_db_manager.get_config("ledger")
    sqlite.close_kept()
    for path in ledger().parent.glob("system.db*"):
        path.unlink()
    shutil.rmtree(algorithms)
    done = restore()
    assert "Algorithms put back: mine.py" in done.stdout and (algorithms / "mine.py").exists()
    assert done.returncode == 0, done.stderr
    assert "1 running cards, 3 transactions" in done.stdout and "Replaced" not in done.stdout
    assert "asks the broker for all orders since" in done.stdout
    assert system_db_manager.get_config("ledger") == number


def test_a_damaged_ledger_is_kept_as_it_was(card: int) -> None:
    buy(card, 1)
    backups.take(ledger())
    sqlite.close_kept()
    ledger().write_bytes(b"\xa5" * 50_000)
    answer = json.loads(restore("--json").stdout)
    assert transactions(ledger()) == 1
    assert Path(answer["replaced"]).read_bytes() == b"\xa5" * 50_000
    assert answer["stopped_again"] is None


def test_what_was_stopped_since_the_backup_does_not_trade_again(card: int) -> None:
    """A stop without a sale leaves no trace at the broker: only what is replaced tells of it."""
    sold = system_db_manager.create_algorithm("MSFT", "sma_crossover", 10_000)
    runs = system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    buy(card, 1)
    buy(sold, 1)
    card_states.set_state(card, "paused", "by a brake")
    backups.take(ledger())
    system_db_manager.stop_algorithm(card)
    card_states.stop_and_sell(sold)
    why = card_states.all_states()[sold]
    system_db_manager.stop_algorithm(
        system_db_manager.create_algorithm("NVDA", "sma_crossover", 10_000)  # not in the backup
    )
    cards = system_db_manager.get_all_algorithms()
    names = [row["display_name"] for row in cards if row["id"] in (card, sold)]
    done = restore()
    assert f"Stopped since then, and again now: {', '.join(names)}" in done.stdout, done.stderr
    assert [row["id"] for row in system_db_manager.get_all_algorithms("running")] == [runs]
    assert card_states.all_states() == {sold: why}
    events = system_db_manager.ledger().execute("SELECT kind, algorithm_id FROM events ORDER BY id")
    assert [tuple(row) for row in events] == [
        ("stopped-again", card),
        ("stopped-again", sold),
        ("restored", None),
    ]


def test_a_new_ledgers_stops_are_none_of_the_old_ones(card: int) -> None:
    backups.take(ledger())
    sqlite.close_kept()
    for path in ledger().parent.glob("system.db*"):
        path.unlink()
    script = (
        "from system_databse import create_system_db, system_db_manager as m\n"
        "create_system_db.create_database()\n"
        "assert m.stop_algorithm(m.create_algorithm('NVDA', 'sma_crossover', 10_000))"
    )
    assert run("-c", script).returncode == 0
    done = restore()
    assert "Which cards were stopped since then cannot be told" in done.stdout
    assert [row["id"] for row in system_db_manager.get_all_algorithms("running")] == [card]


def test_a_plain_copy_of_a_ledger_in_use_can_be_named(card: int, tmp_path: Path) -> None:
    buy(card, 2)
    for name in ("system.db", "system.db-wal"):
        shutil.copy(ledger().parent / name, tmp_path / f"copied{name.removeprefix('system.db')}")
    buy(card, 2)
    done = restore(str(tmp_path / "copied"))
    assert done.returncode == 0, done.stderr
    assert transactions(ledger()) == 2


def test_the_list_says_what_is_in_each(card: int) -> None:
    system_db_manager.set_config("broker_account", "simulated account SIM1")
    first = backed_up_as("20240601T230000Z")
    buy(card, 2)
    second = backed_up_as("20240602T230000Z")
    found = json.loads(restore("--list", "--json").stdout)["backups"]
    assert [each["path"] for each in found] == [str(second), str(first)]
    assert [each["transactions"] for each in found] == [2, 0]
    said = restore("--list").stdout.splitlines()
    assert said[1] == f"{first}: 1 running cards, 0 transactions; simulated account SIM1"


def test_nothing_is_touched_where_it_is_refused(card: int, tmp_path: Path) -> None:
    buy(card, 1)
    future = backed_up_as("20240601T230000Z")
    connection = sqlite3.connect(future)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE shopping (item)").connection.close()
    text = tmp_path / "letter.db"
    text.write_text("Dear Sir," * 1000)
    before = sorted(path.name for path in ledger().parent.glob("system.db*"))
    for file, why in (
        (future, "newer version"),
        (other, "no ledger of AutoTrader"),
        (text, "not a database"),
        (tmp_path / "nowhere.db", "no file"),
    ):
        done = restore(str(file))
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr and "Traceback" not in done.stderr
    assert restore().returncode == 1  # the only backup is the one from the future
    assert transactions(ledger()) == 1
    after = sorted(
        path.name for path in ledger().parent.glob("system.db*") if ".lock" not in path.name
    )
    assert after == [name for name in before if ".lock" not in name and "-" not in name]


def test_without_a_backup_of_this_ledger_it_says_which_there_are(
    card: int, tmp_path: Path, configure: Configure
) -> None:
    assert "There is no backup of system.db" in restore().stderr
    backups.take(ledger())
    configure(SYSTEM_DB=tmp_path / "simulated.db")
    said = restore().stderr
    assert "no backup of simulated.db" in said and "There are some of system.db" in said


def test_a_paper_ledger_is_not_taken_for_a_simulated_one(card: int) -> None:
    system_db_manager.set_config("broker_account", "paper account PA1")
    taken = backups.take(ledger())
    said = restore(str(taken.path)).stderr
    assert "ledger of a paper account PA1" in said and "keys into .env first" in said


@pytest.mark.parametrize(
    ("what", "hold"),
    [("orchestrator", ALONE), ("api", SHARED)],
    ids=["orchestrator", "api"],
)
def test_a_ledger_in_use_is_not_replaced(card: int, what: str, hold: str) -> None:
    backups.take(ledger())
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(hold=hold), str(ledger())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        done = restore()
        assert done.returncode == 1
        assert f"The terminal is running. Another {what} (pid {holder.pid})" in done.stderr
    finally:
        holder.kill()
        holder.communicate()
    assert restore().returncode == 0


def test_two_servers_share_their_place() -> None:
    create_system_db.create_database()
    single.one_of_many("api", ledger())
    assert run("-c", HOLD.format(hold=SHARED), str(ledger())).stdout == "held\n"


def test_a_simulated_market_does_not_go_back_in_time(card: int, configure: Configure) -> None:
    configure(MARKET_CLOCK_START="2024-06-04T14:30:00Z", MARKET_CLOCK_SPEED="1e-6")
    heartbeats.beat({"orchestrator": ("ok", "")})
    backups.take(ledger())
    configure(MARKET_CLOCK_START="2024-06-05T19:00:00Z")
    heartbeats.beat({"orchestrator": ("ok", "")})
    assert restore().returncode == 0
    assert heartbeats.newest_market_time() == "2024-06-05T19:00:00Z"


def test_cut_off_at_any_step_there_is_one_whole_ledger(card: int) -> None:
    """Before each change to a name, a power cut: system.db is the old one or the new one."""
    buy(card, 1)
    backups.take(ledger())
    buy(card, 1)
    sqlite.close_kept()
    cut = seen = 0
    for step in range(1, 30):
        done = run("-c", CUT_OFF, str(step))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        cut += 1
        assert sqlite.faults(ledger()) == ""
        seen |= transactions(ledger())
    assert cut >= 3
    assert seen & 2 and seen & 1  # it was cut off before the exchange and after it
    assert transactions(ledger()) == 1
    assert not list(ledger().parent.glob("system.db.restoring*"))
