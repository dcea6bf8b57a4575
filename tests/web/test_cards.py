"""What a card shows, computed by hand from its transactions and the bars; stopping; its transactions."""

import pytest

from database import db_manager
from database.historical_pull import HistoricalFetcher
from orchestra.base import clock, sqlite
from orchestra.simulator import Exchange
from system_databse import (
    card_states,
    decision_journal,
    labels,
    order_journal,
    system_db_manager,
)
from system_databse.decision_journal import JournalledDecision
from system_databse.system_db_manager import create_algorithm, record_buy, record_sell
from tests.exchange_fixture import set_clock
from tests.web.conftest import Api, assert_error


def insert_bar(ticker: str, stamp: str, close: float) -> None:
    db_manager.insert_minute_data(ticker, stamp, close, close, close, close, 100)


def test_a_card_born_today(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(card, 50, 100.0)
    insert_bar("NVDA", "2024-06-04T14:29:00Z", 101.5)
    shown = api.card(card)
    assert (shown["current_shares"], shown["trade_count"]) == (50, 1)
    assert (shown["invested"], shown["cash"]) == (5000.0, 5000.0)
    assert (shown["current_price"], shown["current_value"]) == (101.5, 10075.0)
    assert (shown["pnl"], shown["today_pnl"]) == (75.0, 75.0)
    assert (shown["last_bar_at"], shown["price_stale"]) == ("2024-06-04T14:29:00Z", False)


def test_a_card_born_before_today(api: Api) -> None:
    set_clock("2024-06-03T15:00:00Z")
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(card, 40, 100.0)
    record_sell(card, 10, 105.0)
    insert_bar("NVDA", "2024-06-03T14:59:00Z", 103.0)
    set_clock("2024-06-04T14:30:00Z")
    insert_bar("NVDA", "2024-06-03T19:59:00Z", 102.0)  # then: 30 x 102 + 7,050 = 10,110
    record_buy(card, 5, 110.0)
    insert_bar("NVDA", "2024-06-04T14:29:00Z", 111.0)  # now: 35 x 111 + 6,500 = 10,385
    shown = api.card(card)
    assert (shown["current_shares"], shown["trade_count"]) == (35, 3)
    assert (shown["invested"], shown["cash"]) == (3500.0, 6500.0)
    assert (shown["current_value"], shown["pnl"], shown["today_pnl"]) == (10385.0, 385.0, 275.0)


def test_a_card_in_loss_to_the_cent(api: Api) -> None:
    card = create_algorithm("F", "sma_crossover", 1_000)
    record_buy(card, 3, 12.35)
    record_buy(card, 7, 12.41)  # 37.05 + 86.87 = 123.92
    insert_bar("F", "2024-06-04T14:29:00Z", 12.07)
    shown = api.card(card)
    assert (shown["invested"], shown["cash"]) == (123.92, 876.08)
    assert (shown["current_value"], shown["pnl"]) == (996.78, -3.22)


def test_a_card_keeps_what_it_earned_after_selling(api: Api) -> None:
    card = create_algorithm("F", "sma_crossover", 1_000)
    record_buy(card, 10, 12.0)
    record_sell(card, 10, 13.5)
    insert_bar("F", "2024-06-04T14:29:00Z", 99.0)
    shown = api.card(card)
    assert (shown["current_shares"], shown["invested"], shown["cash"]) == (0, -15.0, 1015.0)
    assert (shown["current_value"], shown["pnl"]) == (1015.0, 15.0)


def test_the_spark_has_a_point_every_five_minutes_since_the_open(api: Api) -> None:
    set_clock("2024-06-04T13:25:00Z")
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    set_clock("2024-06-04T13:36:02Z")
    record_buy(card, 10, 100.0)
    set_clock("2024-06-04T13:45:00Z")
    for minute in range(15):
        insert_bar("NVDA", f"2024-06-04T13:{30 + minute}:00Z", 100.0 + minute)
    assert api.card(card)["spark"] == [
        ["2024-06-04T13:34:00Z", 1000.0],
        ["2024-06-04T13:39:00Z", 1090.0],
        ["2024-06-04T13:44:00Z", 1140.0],
    ]


def test_the_spark_of_a_card_begins_with_the_card(api: Api) -> None:
    set_clock("2024-06-04T13:37:00Z")
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    set_clock("2024-06-04T13:45:00Z")
    for minute in range(15):
        insert_bar("NVDA", f"2024-06-04T13:{30 + minute}:00Z", 100.0)
    stamps = [stamp for stamp, _ in api.card(card)["spark"]]
    assert stamps == ["2024-06-04T13:39:00Z", "2024-06-04T13:44:00Z"]


def test_the_spark_of_a_whole_session_has_78_points(api: Api, exchange: Exchange) -> None:
    set_clock("2024-06-04T13:25:00Z")
    card = create_algorithm("AAPL", "sma_crossover", 1_000)
    set_clock("2024-06-04T21:00:00Z")
    HistoricalFetcher().fetch("AAPL", "2024-06-04T13:30:00Z", "2024-06-04T19:59:00Z")
    spark = api.card(card)["spark"]
    assert len(spark) == 78
    assert (spark[0][0], spark[-1][0]) == ("2024-06-04T13:34:00Z", "2024-06-04T19:59:00Z")


def test_no_price_and_no_shares_is_no_loss(api: Api) -> None:
    shown = api.card(create_algorithm("NVDA", "sma_crossover", 10_000))
    assert (shown["current_price"], shown["price_stale"]) == (0.0, False)
    assert (shown["current_value"], shown["pnl"], shown["today_pnl"]) == (10000.0, 0.0, 0.0)
    assert shown["last_bar_at"] is None


def test_shares_without_a_bar_are_worth_their_last_price_and_stale(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    record_buy(card, 10, 50.0)
    record_buy(card, 5, 60.0)
    shown = api.card(card)
    assert (shown["current_price"], shown["price_stale"]) == (60.0, True)
    assert (shown["current_value"], shown["pnl"]) == (1100.0, 100.0)


@pytest.mark.parametrize(
    ("newest", "now", "stale"),
    [
        ("2024-06-04T14:26:00Z", "2024-06-04T14:30:00Z", False),  # three minutes unknown
        ("2024-06-04T14:25:00Z", "2024-06-04T14:30:00Z", True),  # four
        ("2024-06-03T19:59:00Z", "2024-06-04T13:30:00Z", False),  # the open: nothing is missing
        ("2024-05-31T19:59:00Z", "2024-06-02T12:00:00Z", False),  # a weekend does not age
        ("2024-05-31T19:54:00Z", "2024-06-02T12:00:00Z", True),  # but Friday's end is unknown
    ],
)
def test_a_price_is_stale_after_open_minutes_nobody_answered_for(
    api: Api, newest: str, now: str, stale: bool
) -> None:
    set_clock(now)
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    insert_bar("NVDA", newest, 100.0)
    shown = api.card(card)
    assert (shown["last_bar_at"], shown["price_stale"]) == (newest, stale)


def test_minutes_known_to_have_had_no_trade_do_not_age_a_price(
    api: Api, exchange: Exchange
) -> None:
    card = create_algorithm("SOYB", "sma_crossover", 1_000)
    HistoricalFetcher().fetch("SOYB", "2024-06-04T13:30:00Z", "2024-06-04T14:29:00Z")
    shown = api.card(card)
    assert (shown["last_bar_at"], shown["current_price"]) == ("2024-06-04T13:40:00Z", 17.74)
    assert shown["price_stale"] is False  # 49 minutes later


def test_a_card_shows_its_newest_decision(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    assert api.card(card)["last_decision"] is None
    of = [
        ("2024-06-04T14:28:00Z", "2024-06-04T14:27:00Z", "buy", 66, "crossed above"),
        ("2024-06-04T14:29:00Z", "2024-06-04T14:28:00Z", "hold", 0, "short above long"),
    ]
    decision_journal.record(
        [
            JournalledDecision(card, minute, bar, action, shares, reason, "bar", 1.5)
            for minute, bar, action, shares, reason in of
        ]
    )
    assert api.card(card)["last_decision"] == {
        "bar": "2024-06-04T14:28:00Z",
        "action": "hold",
        "shares": 0,
        "reason": "short above long",
        "verdict": "bar",
    }


def test_a_card_shows_its_state_and_why(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    assert (api.card(card)["state"], api.card(card)["state_reason"]) == ("running", "")
    card_states.set_state(card, "paused", "It failed three times.")
    shown = api.card(card)
    assert (shown["status"], shown["state"]) == ("running", "paused")
    assert shown["state_reason"] == "It failed three times."


def test_the_list_carries_market_and_health(api: Api) -> None:
    create_algorithm("NVDA", "sma_crossover", 10_000)
    answer = api.read("/api/algorithms")
    names = {"market_open", "market", "build", "health", "totals", "algorithms"}
    assert answer.keys() == names
    assert answer["market_open"] is True
    assert answer["market"] == {
        "now": "2024-06-04T14:30:00Z",
        "next_open": "2024-06-05T13:30:00Z",
        "next_close": "2024-06-04T20:00:00Z",
        "mode": "simulated",
        "speed": 1e-06,
        "skip_closed": False,
    }
    assert answer["health"]["status"] == "down"
    assert [card["ticker"] for card in answer["algorithms"]] == ["NVDA"]


@pytest.mark.parametrize(
    ("now", "is_open", "next_open", "next_close"),
    [
        ("2024-06-04T13:29:59Z", False, "2024-06-04T13:30:00Z", "2024-06-04T20:00:00Z"),
        ("2024-06-04T13:30:00Z", True, "2024-06-05T13:30:00Z", "2024-06-04T20:00:00Z"),
        ("2024-06-04T20:00:00Z", False, "2024-06-05T13:30:00Z", "2024-06-05T20:00:00Z"),
        ("2024-07-03T17:00:00Z", False, "2024-07-05T13:30:00Z", "2024-07-05T20:00:00Z"),
        ("2024-01-02T14:29:00Z", False, "2024-01-02T14:30:00Z", "2024-01-02T21:00:00Z"),
        ("2031-01-02T15:00:00Z", False, None, None),  # the calendar has ended
    ],
)
def test_the_market_is_open_by_the_exchanges_calendar(
    api: Api, now: str, is_open: bool, next_open: str | None, next_close: str | None
) -> None:
    set_clock(now)
    answer = api.read("/api/algorithms")
    assert answer["market_open"] is is_open
    market = answer["market"]
    assert (market["next_open"], market["next_close"]) == (next_open, next_close)


def test_cards_are_listed_by_status(api: Api) -> None:
    running = create_algorithm("NVDA", "sma_crossover", 1_000)
    empty = create_algorithm("AAPL", "sma_crossover", 1_000)
    holding = create_algorithm("SPY", "sma_crossover", 1_000)
    record_buy(holding, 1, 500.0)
    for card in (empty, holding):
        assert api.stop(card).status_code == 200

    def ids(query: str) -> list[int]:
        return [card["id"] for card in api.cards(query)]

    assert ids("") == [running, holding]  # shares never leave the wall unseen
    assert ids("?status=running") == [running]
    assert ids("?status=stopped") == [empty, holding]
    assert ids("?status=all") == [running, empty, holding]
    for query in ("?status=", "?status=RUNNING", "?status=' OR 1=1"):
        assert_error(api.get(f"/api/algorithms{query}"), 400, "bad_input")


def test_a_card_is_stopped_and_its_shares_are_kept(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    record_buy(card, 5, 100.0)
    for query in ("", "?liquidate=false"):
        response = api.stop(card, query)
        if query == "":
            assert response.status_code == 200
            shown = response.json or {}
            assert (shown["status"], shown["state"]) == ("stopped", "stopped")
            assert (shown["stopped_at"], shown["current_shares"]) == ("2024-06-04T14:30:00Z", 5)
        else:
            assert_error(response, 409, "nothing_to_do")
    assert [(each["id"], each["current_shares"]) for each in api.cards()] == [(card, 5)]


def test_a_card_is_stopped_and_its_shares_are_to_be_sold(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    record_buy(card, 5, 100.0)
    response = api.stop(card, "?liquidate=true")
    assert response.status_code == 200
    assert (response.json or {})["status"] == "stopped"
    assert (response.json or {})["state"] == "stopping"
    assert_error(api.stop(card, "?liquidate=true"), 409, "nothing_to_do")  # under way already
    assert_error(api.stop(card), 409, "nothing_to_do")


def test_a_stopped_card_can_be_sold_later(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    record_buy(card, 5, 100.0)
    assert api.stop(card).status_code == 200
    response = api.stop(card, "?liquidate=true")
    assert (response.status_code, (response.json or {})["state"]) == (200, "stopping")


def test_a_card_without_shares_may_have_a_buy_on_its_way(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 1_000)
    response = api.stop(card, "?liquidate=true")
    assert (response.status_code, (response.json or {})["state"]) == (200, "stopping")
    assert api.cards() == []


def test_a_stopped_card_whose_buy_is_under_way_is_not_gone(api: Api) -> None:
    """What it still gets can be sold, and no sum misses it meanwhile."""
    kept, gone = (create_algorithm("NVDA", "sma_crossover", 1_000) for _ in range(2))
    order = order_journal.intend(kept, "NVDA", "buy", 5, clock.parse("2024-06-04T14:30:00Z"))
    assert order is not None
    for card in (kept, gone):
        assert api.stop(card).status_code == 200
    assert [(each["id"], each["current_shares"], each["order_open"]) for each in api.cards()] == [
        (kept, 0, True)
    ]
    assert api.read("/api/algorithms")["totals"]["closed"] == 1
    response = api.stop(kept, "?liquidate=true")
    assert (response.status_code, (response.json or {})["state"]) == (200, "stopping")
    order_journal.close_unfilled(order.client_order_id, "cancelled", "too late")
    assert api.cards() == []
    assert api.read("/api/algorithms")["totals"]["closed"] == 2


def test_stopping_what_is_not_there(api: Api) -> None:
    for number in ("1", "0", str(2**63 - 1), str(2**63), str(10**30)):
        for query in ("", "?liquidate=true"):
            body = assert_error(
                api.call("DELETE", f"/api/algorithms/{number}{query}"), 404, "not_found"
            )
            assert body["error"] == "Algorithm not found"
    assert_error(api.stop(1, "?liquidate=yes"), 400, "bad_input")


def test_a_card_that_is_not_there(api: Api) -> None:
    for number in ("1", "0", str(2**63 - 1), str(2**63), str(10**30)):
        for path in (f"/api/algorithms/{number}", f"/api/algorithms/{number}/transactions"):
            body = assert_error(api.get(path), 404, "not_found")
            assert body["error"] == "Algorithm not found"
    for number in ("-1", "1.0", "one", "1'--", "..%2f1"):
        assert_error(api.get(f"/api/algorithms/{number}"), 404, "not_found")


def test_transactions_come_in_pages_newest_first(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    other = create_algorithm("AAPL", "sma_crossover", 10_000)
    for number in range(1, 6):
        record_buy(card, number, 10.0)
        record_buy(other, 1, 10.0)
    path = f"/api/algorithms/{card}/transactions"
    first = api.read(f"{path}?limit=2")
    assert [row["shares"] for row in first["items"]] == [5, 4]
    assert first["items"][0] == {
        "id": 9,
        "algorithm_id": card,
        "type": "buy",
        "shares": 5,
        "price": 10.0,
        "timestamp": "2024-06-04T14:30:00Z",
        "label": None,
    }
    second = api.read(f"{path}?limit=2&cursor={first['next']}")
    assert [row["shares"] for row in second["items"]] == [3, 2]
    last = api.read(f"{path}?limit=2&cursor={second['next']}")
    assert ([row["shares"] for row in last["items"]], last["next"]) == ([1], None)
    assert len(api.read(path)["items"]) == 5
    assert api.read(path)["next"] is None


def test_a_correction_is_no_trade_and_says_what_it_is(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    record_buy(card, 50, 100.0)
    with sqlite.transaction(system_db_manager.writable_ledger()) as connection:
        labels.correct(
            connection, card, "sell", 5, 101.0, labels.SOLD_BY_HAND, "not there any more"
        )
    for shown in (api.card(card), api.read(f"/api/algorithms/{card}")):
        assert (shown["current_shares"], shown["trade_count"]) == (45, 1)
        assert shown["marks"] == [["2024-06-04T14:30:00Z", "buy"]]
    rows = api.read(f"/api/algorithms/{card}/transactions")["items"]
    assert [(row["type"], row["label"]) for row in rows] == [
        ("sell", "sold by hand"),
        ("buy", None),
    ]


def test_a_page_has_fifty_rows_unless_asked_and_never_more_than_500(api: Api) -> None:
    card = create_algorithm("NVDA", "sma_crossover", 10_000)
    system_db_manager.ledger().executemany(
        "INSERT INTO transactions (algorithm_id, type, shares, price, timestamp)"
        " VALUES (?, 'buy', 1, 1.0, '2024-06-04T14:30:00Z')",
        [(card,)] * 501,
    )
    path = f"/api/algorithms/{card}/transactions"
    assert (len(api.read(path)["items"]), api.read(path)["next"]) == (50, 452)
    assert len(api.read(f"{path}?limit=100000")["items"]) == 500
    for query in ("cursor=x", "cursor=0", "cursor=-1", f"cursor={10**30}", "limit=0", "limit=x"):
        assert_error(api.get(f"{path}?{query}"), 400, "bad_input")
