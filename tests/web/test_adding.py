"""Adding a card: what is accepted, what is refused and in which words, and what cash allows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import clock, sqlite
from orchestra.simulator import Exchange
from system_databse import order_journal, system_db_manager
from tests.conftest import Configure
from tests.exchange_fixture import change
from tests.processes import until
from tests.web.conftest import Api, assert_error

pytestmark = pytest.mark.usefixtures("exchange")

NEW_CARD = {
    "id": 1,
    "display_name": "AAPL_sma_crossover_20240604_143000",
    "algorithm_type": "sma_crossover",
    "ticker": "AAPL",
    "initial_capital": 10000.0,
    "status": "running",
    "state": "running",
    "state_reason": "",
    "created_at": "2024-06-04T14:30:00Z",
    "stopped_at": None,
    "current_shares": 0,
    "trade_count": 0,
    "current_value": 10000.0,
    "pnl": 0.0,
    "today_pnl": 0.0,
    "current_price": 0.0,
    "price_stale": False,
    "order_open": False,
    "cash": 10000.0,
    "invested": 0.0,
    "last_bar_at": None,
    "last_decision": None,
    "spark": [],
    "marks": [],
    "parameters": {"short": 20, "long": 50},
}


def test_a_new_card_is_answered_in_full_and_listed(api: Api) -> None:
    response = api.add()
    assert (response.status_code, response.json) == (201, NEW_CARD)
    assert api.cards() == [NEW_CARD]
    assert api.card(1) == NEW_CARD


def test_a_ticker_may_be_typed_in_lower_case(api: Api) -> None:
    assert api.added(ticker=" nvda ")["ticker"] == "NVDA"
    assert api.added(ticker="brk.b")["ticker"] == "BRK.B"


def test_a_ticker_of_another_shape_is_refused(api: Api) -> None:
    path_tricks = ("../account", "AAPL/../../v2/account", "AAPL?x=1", "AAPL#", "%2e%2e", ".", "..")
    others = ("<b>A</b>", "A'; DROP TABLE transactions;--", "AAPL MSFT", "ABCDEFGHIJK", "ÄÖÜ", "")
    for ticker in (*path_tricks, *others, "A\0", "AAPL\nX", "АAPL", "\ud800", None, 5, True, ["A"]):
        assert_error(api.add(ticker=ticker), 400, "bad_input")
    assert api.cards() == []


def test_an_algorithm_of_another_shape_is_refused(api: Api) -> None:
    for name in (None, 5, True, "", ["sma_crossover"], {"name": "sma_crossover"}):
        assert_error(api.add(algorithm_type=name), 400, "bad_input")
    assert api.cards() == []


def test_an_algorithm_that_is_not_there_is_not_found(api: Api) -> None:
    tricks = ("../algorithms/sma_crossover", "sma_crossover.py", "os", "__init__", "/etc/passwd")
    for name in (*tricks, "SMA_CROSSOVER", "sma_crossover\0", "<script>", "' OR 1=1--", "\ud800"):
        assert_error(api.add(algorithm_type=name), 404, "no_such_algorithm")
    assert api.cards() == []


def test_capital_must_be_a_sensible_number_of_dollars(api: Api) -> None:
    for capital in (None, "10000", True, [1], 0, -1, 0.0, -0.5, 10**400, 1e300, 10**13):
        assert_error(api.add(initial_capital=capital), 400, "bad_input")
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000):
        body = f'{{"ticker": "AAPL", "algorithm_type": "sma_crossover", "initial_capital": {text}}}'
        response = api.post_text("/api/algorithms", body)
        assert response.status_code == 400, text
        assert_error(response, 400, str((response.json or {})["code"]))
    assert api.cards() == []


def test_a_missing_field_is_refused(api: Api) -> None:
    assert_error(api.post("/api/algorithms", {}), 400, "bad_input")
    assert_error(api.post("/api/algorithms", {"ticker": "AAPL"}), 400, "bad_input")


def test_a_ticker_that_cannot_be_traded_is_refused(api: Api) -> None:
    body = assert_error(api.add(ticker="ZZZZ"), 422, "not_tradable")
    assert body["error"] == "ZZZZ cannot be traded at this broker."
    assert api.cards() == []


def test_an_algorithm_that_cannot_run_is_refused(
    api: Api, tmp_path: Path, configure: Configure
) -> None:
    folder = tmp_path / "algorithms"
    folder.mkdir()
    (folder / "half.py").write_text("class Algorithm:\n")
    change(ALGORITHMS_DIR=folder)
    body = assert_error(api.add(algorithm_type="half"), 422, "broken_algorithm")
    assert "half" in body["error"] and "line 1" in body["error"]
    (folder / "flag.py").write_text(
        "class Algorithm:\n"
        "    parameters = {'on': {'default': 1, 'max': 1}}\n"
        "    def run(self, current_time, algo_id): ...\n"
    )
    body = assert_error(api.add(algorithm_type="flag"), 422, "broken_algorithm")
    assert body["error"] == (
        "flag cannot run: Parameter on: min is missing; it takes the numbers default, min, max."
    )
    assert api.cards() == []


def test_more_than_there_is_names_rule_and_shortfall(api: Api) -> None:
    api.added(initial_capital=60_000)
    body = assert_error(api.add(initial_capital=40_000.5), 409, "not_enough_cash")
    assert body["error"] == (
        "$40,000.50 is $0.50 more than the $40,000.00 available by the strict rule."
    )
    assert api.added(initial_capital=40_000)["id"] == 2
    body = assert_error(api.add(initial_capital=1), 409, "not_enough_cash")
    assert body["error"] == "$1.00 is $1.00 more than the $0.00 available by the strict rule."


def test_cash_of_a_new_account(api: Api) -> None:
    assert api.read("/api/account/cash") == {
        "available": 100000.0,
        "cash": 100000.0,
        "allocated": 0.0,
        "invested": 0.0,
        "uncommitted": 100000.0,
        "rule": "strict",
        "as_of": "2024-06-04T14:30:00Z",
    }


def buy_ten_shares(card: int) -> None:
    """Ten AAPL at 211.54, at the broker and in the ledger: 2,115.40 dollars."""
    assert AlpacaWrapper().place_market_buy("AAPL", 10) == 211.54
    system_db_manager.record_buy(card, 10, 211.54)


def test_cash_by_both_rules_once_a_card_has_bought(api: Api) -> None:
    buy_ten_shares(api.added()["id"])
    strict = api.read("/api/account/cash")
    assert (strict["cash"], strict["allocated"], strict["invested"]) == (97884.6, 10000.0, 2115.4)
    assert (strict["available"], strict["uncommitted"]) == (87884.6, 90000.0)
    change(ALLOCATION_RULE="net")
    net = api.read("/api/account/cash")
    assert net == strict | {"rule": "net", "available": 90000.0}


def test_the_strict_rule_can_leave_less_than_nothing(api: Api) -> None:
    buy_ten_shares(api.added(initial_capital=100_000)["id"])
    body = assert_error(api.add(initial_capital=1), 409, "not_enough_cash")
    assert (
        body["error"] == "$1.00 is $2,116.40 more than the -$2,115.40 available by the strict rule."
    )


def test_the_net_rule_lets_money_in_that_strict_counts_twice(api: Api) -> None:
    buy_ten_shares(api.added()["id"])
    assert_error(api.add(initial_capital=90_000), 409, "not_enough_cash")
    change(ALLOCATION_RULE="net")
    body = assert_error(api.add(initial_capital=90_000.01), 409, "not_enough_cash")
    assert body["error"] == (
        "$90,000.01 is $0.01 more than the $90,000.00 available by the net rule."
    )
    assert api.added(initial_capital=90_000)["id"] == 2


def test_the_net_rule_gives_nothing_out_while_an_order_is_under_way(api: Api) -> None:
    """The broker has the proceeds of the sale already, and the ledger still the shares."""
    card = api.added()["id"]
    buy_ten_shares(card)
    order = order_journal.intend(card, "AAPL", "sell", 10, clock.now())
    assert order is not None
    assert AlpacaWrapper().place_market_sell("AAPL", 10) == 211.54
    assert api.added(initial_capital=5)["id"] == 2  # the strict rule does not mind
    change(ALLOCATION_RULE="net")
    body = assert_error(api.add(initial_capital=90_000.01), 409, "order_open")
    assert body["error"] == (
        "What cards hold back changes at the moment, an order is under way: try again shortly."
    )
    other = "/api/algorithms/2"
    assert_error(api.call("PATCH", other, json={"initial_capital": 90_000.01}), 409, "order_open")
    assert api.call("PATCH", other, json={"initial_capital": 4}).status_code == 200
    order_journal.close_filled(order.client_order_id, 10, 211.54, clock.now())
    assert_error(api.add(initial_capital=89_996.01), 409, "not_enough_cash")
    assert api.added(initial_capital=89_996)["id"] == 3


@pytest.mark.parametrize("rule", ["net", "strict"])
def test_no_rule_trusts_cash_from_before_a_fill(api: Api, exchange: Exchange, rule: str) -> None:
    """A stopped card's buy is filled and recorded after the cash was asked for and before the ledger is."""
    card = api.added()["id"]
    order = order_journal.intend(card, "AAPL", "buy", 10, clock.now())
    assert order is not None
    assert api.stop(card).status_code == 200
    change(ALLOCATION_RULE=rule)
    exchange.faults.add({"name": "delay", "seconds": 0, "path": "/v2/account", "times": 1})
    with ThreadPoolExecutor(1) as other:
        with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
            late = other.submit(api.add, initial_capital=98_000)
            until(lambda: not exchange.faults.standing("delay"), 30, what="the cash is asked for")
            bought = system_db_manager.insert_transaction(
                connection, card, "buy", 10, 211.54, clock.stamp()
            )
            connection.execute("UPDATE orders SET state = 'filled', transaction_id = ?", (bought,))
        assert_error(late.result(timeout=30), 409, "order_open")


def test_a_stopped_card_gives_its_allocation_back(api: Api) -> None:
    card = api.added(initial_capital=100_000)
    assert api.read("/api/account/cash")["available"] == 0.0
    assert api.stop(card["id"]).status_code == 200
    assert api.read("/api/account/cash")["available"] == 100000.0


def test_without_the_broker_nothing_is_added_and_no_cash_made_up(
    api: Api, exchange: Exchange
) -> None:
    exchange.stop()
    try:
        assert_error(api.get("/api/account/cash"), 503, "broker_unreachable")
        assert_error(api.add(), 503, "broker_unreachable")
        assert api.cards() == []
    finally:
        exchange.start()  # for the fixture to stop


def test_a_broker_that_answers_nonsense_is_no_broker(api: Api, exchange: Exchange) -> None:
    for name in ("500", "429", "unauthorized"):
        exchange.faults.add({"name": name})
        assert_error(api.get("/api/account/cash"), 503, "broker_unreachable")
        assert_error(api.add(), 503, "broker_unreachable")
        exchange.faults.clear()
    assert api.added()["id"] == 1
