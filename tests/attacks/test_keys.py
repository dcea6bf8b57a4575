"""The broker's keys, under every failure the exchange knows: in no log, no event, no answer, no database."""

import json
import sqlite3
from pathlib import Path

import pytest

from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import logs, settings
from orchestra.base.errors import ExchangeUnavailable
from system_databse import system_db_manager
from tests.exchange_fixture import change, free_port, running_exchange
from tests.processes import Part, Terminal, running_terminal, until
from tests.web.conftest import close_logs

KEY, SECRET = "PKQ7WE3RT5YU8IO1PA2S", "sd0Fg4hJ6kL8zX2cV5bN7mQ9wE1rT3yU0iO4pA6s"
FAULTS: list[list[dict[str, object]]] = [
    [{"name": "echo_headers"}, {"name": "drop"}],  # 401, with both keys in its sentence
    [{"name": "unauthorized"}, {"name": "auth_failed"}],
    [{"name": "garble", "path": "/v"}, {"name": "garble_stream"}],
    [{"name": "cut", "path": "/v", "method": "GET"}],
    [{"name": "500"}],
]
ASKED = ("account/cash", "assets?q=A", "health", "algorithms?status=all", "report")


def keys_that_fit() -> dict[str, object]:
    port, stream = free_port(), free_port()
    return {
        "ALPACA_API_KEY": KEY,
        "ALPACA_SECRET": SECRET,
        "SIMULATOR_PORT": port,
        "SIMULATOR_STREAM_PORT": stream,
        "ALPACA_TRADING_URL": f"http://127.0.0.1:{port}",
        "ALPACA_DATA_URL": f"http://127.0.0.1:{port}",
        "ALPACA_STREAM_URL": f"ws://127.0.0.1:{stream}/v2/iex",
    }


def with_keys(terminal: Terminal, method: str, path: str, body: object = None) -> None:
    """Tell the exchange something; it knows only the real keys."""
    answer = terminal.http.request(method, terminal.exchange_url + path, json=body, timeout=20)
    assert answer.ok, answer.text


def newest_minute() -> str:
    row = system_db_manager.ledger().execute("SELECT MAX(minute) FROM decisions").fetchone()
    return row[0] or ""


def dump(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump())


def everything_written(folder: Path) -> str:
    chosen = settings.current()
    files = [*folder.glob("*.out"), *chosen.log_dir.iterdir()]
    texts = [path.read_text(errors="replace") for path in files]
    databases = [dump(path) for path in (chosen.system_db_path, chosen.stocks_db_path)]
    return "\n".join([*texts, *databases])


@pytest.fixture
def said() -> list[str]:
    """What the API has answered."""
    return []


def test_no_failure_brings_them_to_light(tmp_path: Path, said: list[str]) -> None:
    parts = ("exchange", "api", "orchestrator")
    system_db_manager.create_algorithm("AAPL", "lot_by_lot", 10_000)
    with running_terminal(tmp_path, parts, **keys_that_fit()) as terminal:
        for faults in FAULTS:
            for fault in faults:
                with_keys(terminal, "POST", "/_faults", fault)
            before = newest_minute()
            said += [terminal.call("GET", f"/api/{path}").text for path in ASKED]
            body = {"ticker": "MSFT", "algorithm_type": "lot_by_lot", "initial_capital": 100}
            said.append(terminal.call("POST", "/api/algorithms", body, terminal.token()).text)
            terminal.wait_for(lambda before=before: newest_minute() > before, what="a cycle")
            with_keys(terminal, "DELETE", "/_faults")
        arguments = [
            Path(f"/proc/{process.pid}/cmdline").read_text()
            for process in terminal.processes.values()
        ]
    everything = "\n".join([everything_written(tmp_path), *said, *arguments])
    assert "(hidden)" in everything, "the exchange has not even tried"
    for key in (KEY, SECRET, json.dumps(SECRET)[1:-1], SECRET.lower()):
        at = everything.find(key)
        assert at < 0, everything[max(0, at - 300) : at + 100]


def test_keys_that_are_refused_at_the_start_are_not_told_either(tmp_path: Path) -> None:
    wrong = {"ALPACA_API_KEY": "PKWRONGWRONGWRONG123", "ALPACA_SECRET": SECRET[::-1]}
    with running_terminal(tmp_path, ("exchange",), **keys_that_fit()):
        trader = Part("orchestrator", tmp_path, wrong)
        try:
            until(lambda: "refuses the keys" in trader.log, what="the broker's refusal is logged")
            assert trader.stop() == 0
        finally:
            trader.end()
        everything = everything_written(tmp_path)
    assert "check ALPACA_API_KEY, ALPACA_SECRET" in everything
    for key in (*wrong.values(), KEY, SECRET):
        assert key not in everything


def test_keys_that_end_under_a_running_terminal_are_named_with_what_to_do() -> None:
    with running_exchange(ALPACA_API_KEY=KEY, ALPACA_SECRET=SECRET) as exchange:
        wrapper = AlpacaWrapper()
        wrapper.get_time()
        exchange.faults.add({"name": "unauthorized"})
        with pytest.raises(
            ExchangeUnavailable, match=r"401.*Check ALPACA_API_KEY and ALPACA_SECRET"
        ):
            wrapper.get_time()


def test_a_traceback_in_a_log_is_without_them(tmp_path: Path) -> None:
    change(ALPACA_API_KEY=KEY, ALPACA_SECRET=SECRET)
    log = logs.start_logging("api", tmp_path, 10**6)
    try:
        raise ValueError(f"Invalid header value {SECRET!r}")
    except ValueError:
        log.exception("A request with %s failed: %s", KEY, settings.current())
    finally:
        close_logs()
    said = (tmp_path / "api.log").read_text()
    assert "Invalid header value '(hidden)'" in said and "A request with (hidden) failed" in said
    assert KEY not in said and SECRET not in said
