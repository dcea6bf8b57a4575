"""``./start_pi.sh`` as the owner runs it, in a copy of the project of its own."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests

from orchestra.base import clock, sqlite
from orchestra.base.settings import ROOT, Settings
from tests.exchange_fixture import free_port

PATIENCE_SECONDS = 120.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's files as a clone would have them, with the environment that exists."""
    copy = tmp_path / "autotrader"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


@pytest.fixture
def environment(configure) -> dict[str, str]:
    """No settings but three free ports."""
    ours = {each.name.upper() for each in fields(Settings)}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    ports = ("API_PORT", "SIMULATOR_PORT", "SIMULATOR_STREAM_PORT")
    return {**kept, **{name: str(free_port()) for name in ports}}


class Started:
    """A running ``start_pi.sh``."""

    def __init__(self, project: Path, environment: dict[str, str], *options: str) -> None:
        self.project, self.environment = project, environment
        self.url = f"http://127.0.0.1:{environment['API_PORT']}"
        self.process = subprocess.Popen(
            [project / "start_pi.sh", *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def output_until(self, wanted: str) -> str:
        """Read lines until one holds ``wanted``; fails where the output ends before."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if wanted in line:
                return seen
        raise AssertionError(f"{wanted!r} was never printed; the output was:\n{seen}")

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}{path}", timeout=5).json()

    def command(self, *arguments: str) -> Any:
        """Run one of the commands beside it; what it says as JSON."""
        done = subprocess.run(
            [self.project / ".venv/bin/python", "-m", "orchestra", *arguments, "--json"],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        return json.loads(done.stdout)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def start(project: Path, environment: dict[str, str]) -> Iterator[Any]:
    begun: list[Started] = []

    def run(*options: str, **changes: str) -> Started:
        begun.append(Started(project, {**environment, **changes}, *options))
        return begun[-1]

    yield run
    for started in begun:
        if started.process.poll() is None:
            os.killpg(started.process.pid, signal.SIGTERM)
            started.process.wait(60)
        if started.process.stdout is not None:
            started.process.stdout.close()


def wait_for(condition: Any, what: str) -> None:
    give_up_at = clock.elapsed() + PATIENCE_SECONDS
    while not condition():
        assert clock.elapsed() < give_up_at, f"waited in vain until {what}"
        clock.pause(0.1)


def refused(project: Path, environment: dict[str, str], **changes: str) -> str:
    """Run it, expecting one sentence and a non-zero exit; returns the sentence."""
    result = subprocess.run(
        [project / "start_pi.sh", "--no-browser"],
        env={**environment, **changes},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert result.returncode != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_from_nothing_to_cards_that_trade_and_on_again(start: Any, project: Path) -> None:
    terminal = start("--no-browser")
    terminal.output_until("AutoTrader is running (SIMULATED)")
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    first = terminal.get("/api/algorithms")
    assert [card["ticker"] for card in first["algorithms"]] == ["NVDA", "AAPL", "SPY"]
    assert (first["market"]["mode"], first["market"]["speed"]) == ("simulated", 60.0)
    assert terminal.get("/api/health")["status"] == "ok"

    def traded() -> bool:
        return any(card["trade_count"] for card in terminal.get("/api/algorithms")["algorithms"])

    wait_for(traded, "a card has traded")
    moved = terminal.get("/api/algorithms")
    assert moved["market"]["now"] > first["market"]["now"]
    before = {card["ticker"]: card["current_price"] for card in first["algorithms"]}
    assert any(card["current_price"] != before[card["ticker"]] for card in moved["algorithms"])
    asked = terminal.command("fetch", "AAPL", "--start", "2024-05-28")["tickers"][0]
    assert (asked["sessions"], asked["empty_minutes"]) == (5, 0)  # none that is still to come there
    assert terminal.command("report")["day"] == "2024-06-03"
    children = children_of(terminal.process.pid)
    assert len(children) >= 3
    assert terminal.stop() == 0
    wait_for(lambda: not any(map(is_alive, children)), "every process has ended")

    again = start("--no-browser")
    again.output_until("AutoTrader is running (SIMULATED)")
    resumed = again.get("/api/algorithms")
    assert resumed["market"]["now"] >= moved["market"]["now"]
    assert [card["id"] for card in resumed["algorithms"]] == [1, 2, 3]
    assert all(
        new["trade_count"] >= old["trade_count"]
        for new, old in zip(resumed["algorithms"], moved["algorithms"], strict=True)
    )


def test_a_second_start_beside_a_running_one_only_points_to_it(start: Any) -> None:
    terminal = start("--no-browser")
    terminal.output_until("AutoTrader is running (SIMULATED)")
    second = start("--no-browser")
    assert terminal.url in second.output_until("is running already")
    assert second.process.wait(30) == 0
    assert terminal.process.poll() is None


def test_killed_outright_it_leaves_nothing_behind(start: Any) -> None:
    terminal = start("--no-browser")
    terminal.output_until("AutoTrader is running (SIMULATED)")
    children = children_of(terminal.process.pid)
    terminal.process.kill()
    terminal.process.wait()
    wait_for(lambda: not any(map(is_alive, children)), "every process has ended")


def test_a_part_that_dies_is_started_again(start: Any, project: Path) -> None:
    terminal = start("--no-browser")
    terminal.output_until("AutoTrader is running (SIMULATED)")
    shutil.rmtree(project / "logs")  # somebody has tidied up
    (project / "logs" / "orchestrator.stderr").mkdir(parents=True)  # and it cannot be written
    orchestrator = next(
        pid for pid in children_of(terminal.process.pid) if runs(pid, "orchestrator")
    )
    os.kill(orchestrator, signal.SIGKILL)
    assert "orchestrator ended" in terminal.output_until("starting it again")
    terminal.output_until("The orchestrator cannot be started: ")
    shutil.rmtree(project / "logs")
    wait_for(
        lambda: any(
            runs(pid, "orchestrator") and pid != orchestrator
            for pid in children_of(terminal.process.pid)
        ),
        "the orchestrator runs again",
    )


def test_what_an_algorithm_has_said_on_stderr_does_not_fill_the_disk(
    start: Any, project: Path
) -> None:
    # Not by Python, whose print is taken care of: a program that it runs in each minute
    (project / "algorithms" / "sma_crossover.py").write_text(
        "import subprocess\n\n\nclass Algorithm:\n"
        "    def __init__(self, ticker, initial_capital): ...\n\n"
        "    def run(self, current_time, algo_id):\n"
        "        subprocess.run('head -c 300000 /dev/zero >&2', shell=True)\n"
        "        return ('hold', 0)\n"
    )
    terminal = start("--no-browser")
    terminal.output_until("AutoTrader is running (SIMULATED)")
    file, sizes = project / "logs" / "orchestrator.stderr", [0]

    def shrank() -> bool:
        sizes.append(file.stat().st_size)
        return sizes[-1] < sizes[-2]

    wait_for(shrank, "the file is begun anew")
    assert max(sizes) < 3_000_000


def test_setting_up_only_starts_nothing(project: Path, environment: dict[str, str]) -> None:
    command = [project / "start_pi.sh", "--setup-only"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "is set up" in done.stdout
    for folder in ("system_databse", "database"):
        assert (project / folder / "simulated.db").stat().st_mode & 0o777 == 0o600


def test_keys_added_after_a_demo_begin_a_ledger_of_their_own(
    project: Path, environment: dict[str, str]
) -> None:
    command = [project / "start_pi.sh", "--setup-only"]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    demo = project / "system_databse" / "simulated.db"
    with closing(sqlite.connect(demo)) as ledger:
        insert = "INSERT INTO system_config VALUES ('mark', 'demo')"
        ledger.execute(insert)
    with (project / ".env").open("a") as file:
        file.write("ALPACA_API_KEY=K\nALPACA_SECRET=S\n")
    subprocess.run(command, env=environment, capture_output=True, check=True)
    found = "SELECT value FROM system_config WHERE key = 'mark'"
    with closing(sqlite.connect(demo)) as ledger:
        assert ledger.execute(found).fetchone()["value"] == "demo"
    with closing(sqlite.connect(project / "system_databse" / "system.db")) as ledger:
        assert ledger.execute(found).fetchone() is None
        assert ledger.execute("SELECT COUNT(*) FROM algorithm_instances").fetchone()[0] == 0
    assert (project / "database" / "stocks.db").exists()


def environment_of_its_own(project: Path, *options: str) -> Path:
    """Give the project a real .venv without its packages; returns where packages are."""
    (project / ".venv").unlink()
    command = [sys.executable, "-m", "venv", *options, str(project / ".venv")]
    subprocess.run(command, check=True)
    [packages] = (project / ".venv" / "lib").glob("python*/site-packages")
    return packages


def set_up_in_vain(project: Path, environment: dict[str, str]) -> str:
    """What a set-up says that can get no package."""
    done = subprocess.run(
        [project / "start_pi.sh", "--setup-only"],
        env={**environment, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_new_python_of_the_system_gets_its_packages(
    project: Path, environment: dict[str, str]
) -> None:
    """.venv's Python is the system's: after its upgrade it is another one, that has none of them."""
    environment_of_its_own(project, "--without-pip")
    wanted = hashlib.sha256((project / "requirements.txt").read_bytes()).hexdigest()
    (project / ".venv" / ".installed").write_text(f"{wanted}\n")
    said = set_up_in_vain(project, environment)
    assert "Setting up Python in .venv" in said
    assert "The packages could not be installed: check the network" in said


def test_an_installation_that_was_cut_off_is_not_built_upon(
    project: Path, environment: dict[str, str]
) -> None:
    """The power fails meanwhile; of what pip had written then some may be lost, some empty."""
    half = environment_of_its_own(project) / "half.py"
    half.touch()
    with socket.create_server(("127.0.0.1", 0)) as index:  # takes pip's call, and never answers
        address = f"http://127.0.0.1:{index.getsockname()[1]}/"
        process = subprocess.Popen(
            [project / "start_pi.sh", "--setup-only"],
            env={**environment, "PIP_INDEX_URL": address, "NO_PROXY": "127.0.0.1"},
            start_new_session=True,
        )
        index.settimeout(PATIENCE_SECONDS)
        try:
            index.accept()[0].close()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = set_up_in_vain(project, environment)
    assert "Setting up Python in .venv" in said and not half.exists()
    half.touch()  # one that ended by itself, for want of a network say, leaves what was there
    assert "Setting up Python in .venv" not in set_up_in_vain(project, environment)
    assert half.exists()


def test_a_busy_port_is_one_sentence(project: Path, environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["API_PORT"])))
        taken.listen()
        sentence = refused(project, environment)
    assert f"Port {environment['API_PORT']} on 127.0.0.1 is not free" in sentence
    assert "set API_PORT" in sentence


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"ALPACA_PAPER": "yes"}, "ALPACA_PAPER: expected exactly True or False"),
        ({"ALPACA_API_KEY": "K"}, "ALPACA_API_KEY and ALPACA_SECRET go together"),
        (
            {"ALPACA_API_KEY": "K", "ALPACA_SECRET": "S", "ALPACA_PAPER": "False"},
            "LIVE trading is locked",
        ),
        ({"PYTHON": "no-such-python"}, "Python is missing"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    project: Path, environment: dict[str, str], changes: dict[str, str], wanted: str
) -> None:
    (project / ".env").touch(0o600)
    assert wanted in refused(project, environment, **changes)


def test_a_bad_value_in_the_file_is_one_sentence(
    project: Path, environment: dict[str, str]
) -> None:
    (project / ".env").write_text("API_PORT=eighty\n")
    del environment["API_PORT"]
    assert "API_PORT: expected a port number" in refused(project, environment)


def children_of(pid: int) -> list[int]:
    """Every process below ``pid``."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children_of(int(child))]
    return found


def runs(pid: int, name: str) -> bool:
    try:
        return name in Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
