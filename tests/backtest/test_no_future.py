"""An algorithm that cheats is given nothing; one that writes into what it was given fools only itself."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import algorithms
from database import db_manager
from orchestra.__main__ import main
from orchestra.base import settings
from system_databse import system_db_manager
from tests.backtest.conftest import DAY, Write, answered, in_memory, minutes, played, row
from tests.backtest.test_command import climb, store

LATER = "'2030-01-01T00:00:00Z'"
ROWS = [row(stamp, 100 + n % 7, 100 + n % 5) for n, stamp in enumerate(minutes(DAY, 60))]
CHEATS = {
    "by time range": f"db_manager.get_data_for_algorithm(self.ticker, 'time_range',"
    f" start=current_time, end={LATER})",
    "from long ago": "[bar for bar in db_manager.get_data_for_algorithm(self.ticker, 'time_range',"
    f" start='2018-01-02T00:00:00Z', end={LATER}) if bar['timestamp'][:16] >= current_time[:16]]",
    "by n": "[bar for bar in db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=10**9)"
    " if bar['timestamp'][:16] >= current_time[:16]]",
    "before later": "[bar for bar in db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars',"
    f" n=5, before_timestamp={LATER}) if bar['timestamp'][:16] >= current_time[:16]]",
    "historical": f"db_manager.get_historical_data(self.ticker, current_time, {LATER})",
    "counted": f"db_manager.count_bars(self.ticker, current_time, {LATER})",
    "as a frame": f"len(db_manager.get_bars_frame(self.ticker, current_time, {LATER}))",
    "newest": f"db_manager.newest_bar(self.ticker, {LATER})['timestamp'][:16] >= current_time[:16]",
    "latest price": "db_manager.get_latest_price(self.ticker) != db_manager.get_data_for_algorithm("
    "self.ticker, 'last_n_bars', n=1, before_timestamp=current_time)[-1]['close']",
    "the view": "schema.stocks().execute('SELECT * FROM market_data').fetchall()",
    "the table": "schema.stocks().execute('SELECT * FROM bars').fetchall()",
    "the file that the settings name": "sqlite.connect(settings.current().stocks_db_path)"
    ".execute('SELECT name FROM sqlite_master').fetchall()",
}


@pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
def test_whoever_asks_for_the_future_is_given_nothing(write: Write, cheat: str) -> None:
    before = "from database import schema\nfrom orchestra.base import settings, sqlite\n"
    path = write(f"seen = {cheat}\nreturn ('hold', 0, repr(seen) if seen else '')", before)
    run, journal = played(path, in_memory(ROWS, DAY))
    assert run.failed == {}
    assert run.asked == len(journal) == 390
    assert {decided.reason for decided in journal} == {""}


def test_now_is_the_simulated_minute(write: Write) -> None:
    body = "return ('hold', 0, ' '.join((current_time, clock.stamp(), str(clock.speed()))))"
    _, journal = played(write(body, "from orchestra.base import clock\n"), in_memory(ROWS, DAY))
    assert journal[0].reason == "2024-06-04T13:31:02Z 2024-06-04T13:31:02Z 1.0"
    assert journal[-1].reason == "2024-06-05T13:30:02Z 2024-06-05T13:30:02Z 1.0"


@pytest.mark.parametrize(
    "body",
    [
        "system_db_manager.record_buy(algo_id, 1, 1.0)",
        "system_db_manager.create_algorithm('AAPL', 'any', 1.0)",
        "system_db_manager.ledger().execute('DELETE FROM algorithm_instances')",
    ],
)
def test_it_writes_no_ledger(write: Write, body: str) -> None:
    run, _ = played(write(f"{body}\nreturn ('hold', 0)"), in_memory(ROWS, DAY))
    assert run.stopped.startswith("failed 3 times in a row: guest.py line ")
    assert not settings.current().system_db_path.exists()


def test_the_real_databases_are_back_afterwards(write: Write, tmp_path: Path) -> None:
    card = system_db_manager.create_algorithm("AAPL", "any", 500.0)
    found = in_memory(ROWS, DAY)
    real = settings.current()
    played(write("return ('buy', 1)"), found)
    assert settings.current() is real
    assert db_manager.get_latest_price("AAPL") is None
    assert system_db_manager.get_transactions(card) == []
    system_db_manager.record_buy(card, 1, 2.0)


TRADES = "held = card_calculations.calculate_position(algo_id)\n"
PLAIN = (
    "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=3,"
    " before_timestamp=current_time)\n"
    "done = system_db_manager.get_transactions(algo_id)\n" + TRADES + "close = bars[-1]['close']\n"
    "paid = done[0]['price'] if done else 0\n"
    "{writes}"
    "if held: return ('sell', held, str(paid)) if close != paid else ('hold', 0)\n"
    "return ('buy', 1, str(close)) if bars[0]['close'] < 104 else ('hold', 0, str(len(done)))"
)
WRITES = {
    "a price": "bars[0]['close'] = bars[-1]['close'] = 1.0\n",
    "a new key": "bars[0]['close'] += 'mean' in bars[0]\nbars[0]['mean'] = 5\n",
    "a list's order": "bars.reverse()\n",
    "transactions turned round": "done.reverse()\n",
    "transactions sorted": "done.sort(key=lambda each: each['price'])\n",
    "transactions taken out": "del done[1:]\n",
    "a transaction": "if len(done) > 3: done[2]['price'] = 0.5\n",
    "late": "if current_time[11:16] == '19:00': bars[0]['close'] = 1.0\n",
}


@pytest.mark.parametrize("writes", WRITES.values(), ids=WRITES)
def test_what_it_writes_into_its_data_is_forgotten_by_the_next_minute(
    write: Write, writes: str
) -> None:
    """As on the wall, where every minute reads the databases anew."""
    rows = [row(stamp, 100 + n * 7 % 9) for n, stamp in enumerate(minutes(DAY, 390))]
    fresh = "import copy\n"
    copying = PLAIN.format(writes="bars, done = copy.deepcopy((bars, done))\n" + writes)
    expected, decisions = played(write(copying, fresh, "copying"), in_memory(rows, DAY))
    run, journal = played(write(PLAIN.format(writes=writes), fresh), in_memory(rows, DAY))
    assert len(expected.trades) > 20
    assert run.trades == expected.trades
    assert journal == decisions
    assert run.asked == 390


def test_other_tickers_are_seen_as_of_the_minute(write: Write) -> None:
    stamps = minutes(DAY, 60)
    for ticker, price in (("AAPL", 10.0), ("SPY", 20.0)):
        bars = [
            dict(zip(("timestamp", "open", "high", "low", "close", "volume"), each, strict=True))
            for each in (row(stamp, price + n) for n, stamp in enumerate(stamps))
        ]
        db_manager.insert_historical_data(ticker, bars)
    path = write(
        "bars = db_manager.get_data_for_algorithm('SPY', 'last_n_bars', n=400)\n"
        "none = db_manager.get_data_for_algorithm('QQQ', 'last_n_bars', n=400)\n"
        "due = current_time[11:16] == '13:45' and len(bars) == 15 and not none\n"
        "return ('buy', int(bars[-1]['close'])) if due else ('hold', 0)"
    )
    found = answered(path, "AAPL", "--start", DAY, "--end", DAY)
    assert [(t["bar"], t["shares"], t["price"]) for t in found["trades"]] == [
        (stamps[14], 34, 24.0)
    ]
    assert "It asks for QQQ, of which no bars are stored in this time." in found["notes"]


def test_other_tickers_are_seen_again_where_it_wrote_into_its_data(write: Write) -> None:
    """It is run a second time then."""
    for ticker, price in (("AAPL", 10.0), ("SPY", 20.0)):
        store([price] * 390, ticker=ticker)
    path = write(
        "bars = db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=1)\n"
        "bars[0]['close'] += 1\n"
        "return ('buy', 1) if db_manager.get_latest_price('SPY') == 20 else ('hold', 0)"
    )
    found = answered(path, "AAPL", "--start", DAY, "--end", DAY)
    assert (found["stopped"], len(found["trades"])) == ("", 390)


def test_what_is_missing_of_another_ticker_is_said(write: Write) -> None:
    """The wall would fetch it."""
    store(climb(390))
    store(climb(390)[:100], last="2024-06-04T15:09:00Z", ticker="SPY")
    path = write("db_manager.get_latest_price('SPY')\nreturn ('hold', 0)")
    assert answered(path, "AAPL", "--start", DAY, "--end", DAY)["notes"] == [
        "It asks for SPY, of which 290 minutes of history are missing and count as without a trade:"
        " python -m orchestra fetch SPY --start 2024-06-04 brings it."
    ]


REMEMBERS = (
    "later = any(each > current_time for each in seen)\n"
    "seen.append(current_time)\n"
    "{writes}return ('buy', 1) if later else ('hold', 0)"
)


SHARED = "from algorithms._remembers import seen\n"
in_each_place = pytest.mark.parametrize(
    ("before", "within"), [("seen = []\n", ""), (SHARED, ""), ("", SHARED)]
)


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``_remembers.py`` lie among the project's algorithms, which a swept copy does not."""
    (tmp_path / "_remembers.py").write_text("seen = []\n")
    monkeypatch.setattr(algorithms, "__path__", [str(tmp_path)])


@in_each_place
@pytest.mark.usefixtures("remembering")
def test_what_its_module_remembers_of_a_first_run_is_gone_in_the_second(
    write: Write, before: str, within: str
) -> None:
    """It is run twice, for it writes into its data: it would know the future otherwise."""
    store(climb(390))
    writes = "db_manager.get_data_for_algorithm(self.ticker, 'last_n_bars', n=1)[0]['mine'] = 1\n"
    path = write(within + REMEMBERS.format(writes=writes), before)
    found = answered(path, "AAPL", "--start", DAY, "--end", DAY)
    assert (found["asked"], found["trades"]) == (390, [])


@in_each_place
@pytest.mark.usefixtures("remembering")
def test_what_its_module_remembers_of_one_choice_is_gone_in_the_next(
    write: Write, before: str, within: str
) -> None:
    """And of the whole time in each part, by which the walk forward chooses."""
    store(climb(780))
    path = write(within + REMEMBERS.format(writes=""), before, parameter="at")
    times = ("--start", "2024-06-03", "--end", str(DAY), "--parts", "2")
    more = (*times, "--set", "at=1:3:1", "--workers", "1", "--json")
    done = CliRunner().invoke(main, ["sweep", str(path), "AAPL", *more])
    choices = json.loads(done.stdout)["choices"]
    assert [(each["trades"], each["parts"]) for each in choices] == [(0, [0.0, 0.0])] * 3
