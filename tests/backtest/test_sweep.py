"""Many values over one history: on this machine's cores, and on a real Dask cluster on loopback."""

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestra.__main__ import main
from orchestra.backtest import sweep
from orchestra.backtest.sweep import Tried
from orchestra.backtest.sweep_command import choices_of
from orchestra.base.errors import BadInput
from orchestra.base.settings import ROOT
from tests.backtest.conftest import Write, answered, shelf
from tests.backtest.dask_cluster import needs_distributed, running_cluster
from tests.backtest.test_command import climb, store
from tests.exchange_fixture import free_port

ENTRY = (sys.executable, "-m", "orchestra", "sweep")
ALONE = ("--parts", "1", "--workers", "1")
TIMES = ("--start", "2024-06-03", "--end", "2024-06-04")


def wave(count: int) -> list[float]:
    return [100 + abs(n % 40 - 20) / 4 for n in range(count)]


def swept(*arguments: object, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["sweep", *map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_ranges_include_their_ends_and_keep_what_is_not_named(write: Write) -> None:
    path = shelf("sma_crossover")
    assert choices_of(path, ("short=5:20:5", "long=30")) == [
        {"short": short, "long": 30} for short in (5, 10, 15, 20)
    ]
    assert choices_of(path, ("short=5:9:3",)) == [
        {"short": 5, "long": 50},
        {"short": 8, "long": 50},
    ]
    steps = [each["step"] for each in choices_of(shelf("lot_by_lot"), ("step=0.1:0.5:0.1",))]
    assert steps == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert choices_of(path, ()) == [{"short": 20, "long": 50}]


@pytest.mark.parametrize(
    "text",
    ["short", "short=", "short=5:4:1", "short=5:9:0", "short=a:b:c", "short=1:2", "x=1:2:3:4"],
)
def test_a_range_that_makes_no_sense(text: str) -> None:
    with pytest.raises(BadInput, match="Expected NAME=FIRST:LAST:STEP"):
        choices_of(shelf("sma_crossover"), (text,))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("short=1:5:1", "from 2 to 200"),
        ("none=1:5:1", "no parameter 'none'"),
        ("short=2:200:0.001", "are too many"),
    ],
)
def test_values_are_held_against_what_is_declared(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        choices_of(shelf("sma_crossover"), (text,))


def test_each_choice_is_what_a_backtest_of_it_is(tmp_path: Path) -> None:
    store(wave(780))
    table, picture = tmp_path / "sweep.csv", tmp_path / "heat.png"
    more = ("--plot", picture) if find_spec("matplotlib") else ()
    found = swept(
        "sma_crossover", "AAPL", *TIMES, "--set", "short=3:9:3", "--set", "long=10:20:10",
        "--parts", 2, "--workers", 2, "--csv", table, *more,
    )  # fmt: skip
    returns = [each["return"] for each in found["choices"]]
    assert len(returns) == 6
    assert returns == sorted(returns, reverse=True)
    for each in found["choices"]:
        pairs = [f"--set={name}={value}" for name, value in each["parameters"].items()]
        alone = answered("sma_crossover", "AAPL", *TIMES, *pairs, "--no-research")["measures"]
        assert alone.pop("buy_and_hold") == found["buy_and_hold"]
        assert alone == {name: each[name] for name in alone}
        assert len(each["parts"]) == 2
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["return"]) for row in rows] == returns
    assert list(rows[0]) == [
        *("short", "long", "return", "max_drawdown", "trades", "win_rate", "exposure"),
        *("return_from_2024-06-03", "return_from_2024-06-04"),
    ]
    assert not more or picture.read_bytes().startswith(b"\x89PNG")
    told = CliRunner().invoke(main, ["sweep", "sma_crossover", "AAPL", *TIMES, "--parts", "1"])
    assert "1 choices; buy and hold " in told.stdout


def test_a_part_begins_flat_and_sees_what_was_before(write: Write) -> None:
    """At the opening of the second part it is asked with the bars of the first, and without its shares."""
    store(climb(780))
    path = write(
        "held = card_calculations.calculate_position(algo_id)\n"
        "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=400)\n"
        "if held or (current_time[:10] == '2024-06-04') != (len(bars) > 390): return ('hold', 0)\n"
        "return ('buy', 10)"
    )
    found = swept(path, "AAPL", *TIMES, "--parts", 2, "--capital", 10_000)
    [choice] = found["choices"]
    # Bought at 100.00, worth 197.25 at the first close; again at 197.50, worth 294.75 at the second
    assert choice["parts"] == [pytest.approx(0.09725), pytest.approx(0.09725)]
    assert choice["return"] == pytest.approx(0.19475)
    assert [part["start"] for part in found["parts"]] == ["2024-06-03", "2024-06-04"]


def tried(parts: list[float], at: int) -> Tried:
    return Tried({"at": at}, {"return": 0.0}, parts, [0.01, 0.02, 0.03])


def test_the_walk_forward_chooses_by_what_was_before() -> None:
    steps = sweep.walk_forward(
        [tried([0.10, -0.50, 0.05], 1), tried([0.02, 0.04, -0.03], 2), tried([-0.9, 9.0, 9.0], 3)]
    )
    assert [(step.part, step.values["at"], step.found, step.held) for step in steps] == [
        (1, 1, -0.50, 0.02),  # the best in the first part
        (2, 2, -0.03, 0.03),  # 1.02 x 1.04 is more than 1.10 x 0.50, and than 0.1 x 10
    ]
    assert steps[1].before == pytest.approx(0.0608)
    assert sweep.compounded([0.1, -0.5]) == pytest.approx(-0.45)
    assert sweep.walk_forward([]) == []


def test_a_choice_that_fails_is_named_and_the_others_stand(write: Write) -> None:
    store(climb(780))
    body = "if self.short == 3: raise ValueError('three')\nreturn ('hold', 0)"
    path = write(body)
    code = path.read_text().replace(
        "class Algorithm:\n",
        "class Algorithm:\n    parameters = {'short': {'default': 2, 'min': 2, 'max': 9}}\n",
    )
    path.write_text(code)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    found = swept(path, "AAPL", *TIMES, "--set", "short=2:4:1", "--parts", 1)
    assert [each["parameters"] for each in found["choices"]] == [{"short": 2}, {"short": 4}]
    [failed] = found["failed"]
    assert failed["parameters"] == {"short": 3}
    assert "ValueError: three" in failed["failure"]
    assert "failed: It failed 3 times in a row" in found["notes"][0]


def test_another_tickers_bars_are_not_made_up(write: Write) -> None:
    store(climb(780))
    path = write("db_manager.get_latest_price('SPY')\nreturn ('hold', 0)")
    done = CliRunner().invoke(main, ["sweep", str(path), "AAPL", *TIMES, "--parts", "1"])
    assert done.exit_code == 2
    assert "A sweep holds the bars of AAPL only, and SPY is asked for." in " ".join(
        done.stderr.replace("│", " ").split()
    )


def test_more_parts_than_sessions() -> None:
    store(climb(780))
    done = CliRunner().invoke(main, ["sweep", "buy_and_hold", "AAPL", *TIMES, "--parts", "3"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "each of the 3 parts, found 2 in all: begin earlier" in " ".join(done.stderr.split())


@needs_distributed
def test_a_dask_cluster_gives_the_same_answers(tmp_path: Path) -> None:
    """In a process of its own, as it is run: its client leaves threads behind."""
    store(wave(780))
    arguments = ["sma_crossover", "AAPL", *TIMES, "--set", "short=3:9:2", "--parts", "2"]
    here = swept(*arguments, "--workers", 1)
    with running_cluster(tmp_path, threads=2) as cluster:
        done = subprocess.run(
            [*ENTRY, *arguments, "--json", "--scheduler", cluster.address],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == here


@needs_distributed
def test_a_scheduler_that_does_not_answer() -> None:
    store(wave(780))
    nobody = f"tcp://127.0.0.1:{free_port()}"
    done = subprocess.run(
        [*ENTRY, "buy_and_hold", "AAPL", *TIMES, *ALONE, "--scheduler", nobody],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "The Dask scheduler tcp://127.0.0.1:" in done.stderr
    assert done.stdout == ""
