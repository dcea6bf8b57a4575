"""Who is let in: the PIN, its token, foreign pages, and bodies that are no JSON."""

import re

import pytest

from orchestra.base import clock, sqlite
from orchestra.simulator import Exchange
from orchestra.web import security
from system_databse import system_db_manager
from tests.web.conftest import CARD, Api, assert_error, new_api

PROTECTED = [("POST", "/api/algorithms"), ("DELETE", "/api/algorithms/1")]
CHANGES_NOTHING = ("/api/validate-pin", "/api/backtests")
READABLE = ["/", "/script.js", "/healthz", "/api/algorithms", "/api/health", "/api/nothing"]


def end_lock_out() -> None:
    with sqlite.transaction(system_db_manager.ledger()) as connection:
        connection.execute("UPDATE access SET locked_until = 0")


def test_the_right_pin_gives_a_token(locked: Api, exchange: Exchange) -> None:
    response = locked.enter_pin("2020")
    assert response.status_code == 200
    body = response.json
    assert body is not None
    assert body == {"valid": True, "token": body["token"], "expires_in": 120}
    assert len(body["token"]) >= 32
    assert locked.add().status_code == 201


def test_a_wrong_pin_says_how_many_tries_are_left(locked: Api) -> None:
    body = assert_error(locked.enter_pin("2021"), 401, "wrong_pin")
    assert (body["valid"], body["attempts_left"]) == (False, 4)
    assert "token" not in body
    assert_error(locked.enter_pin("202"), 401, "wrong_pin")
    assert locked.enter_pin("2020").status_code == 200
    body = assert_error(locked.enter_pin("2021"), 401, "wrong_pin")
    assert body["attempts_left"] == 4  # the right one has forgiven the others


def test_wrong_pins_lock_out_and_a_restart_does_not_help(locked: Api) -> None:
    for left in (4, 3, 2, 1):
        assert assert_error(locked.enter_pin("1"), 401, "wrong_pin")["attempts_left"] == left
    response = locked.enter_pin("1")
    body = assert_error(response, 429, "locked_out")
    assert (response.headers["Retry-After"], body["retry_after"], body["valid"]) == (
        "30",
        30,
        False,
    )
    restarted = new_api()
    response = restarted.enter_pin("2020")  # not even the right one
    assert_error(response, 429, "locked_out")
    assert 1 <= int(response.headers["Retry-After"]) <= 30
    end_lock_out()
    assert restarted.enter_pin("1").headers["Retry-After"] == "60"  # each lock is twice as long
    end_lock_out()
    assert restarted.enter_pin("2020").status_code == 200


def test_what_cannot_be_a_pin_is_no_try(locked: Api) -> None:
    for pin in (None, 2020, True, "", ["2020"], "2" * 65, "\ud800", "\0"):
        body = assert_error(locked.post("/api/validate-pin", {"pin": pin}), 400, "bad_input")
        assert body["valid"] is False
    assert assert_error(locked.enter_pin("1"), 401, "wrong_pin")["attempts_left"] == 4


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_a_change_needs_a_token(locked: Api, method: str, path: str) -> None:
    system_db_manager.create_algorithm("AAPL", "sma_crossover", 10_000)
    for header in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic MjAyMA=="):
        headers = {} if header is None else {"Authorization": header}
        response = locked.call(method, path, json=CARD, headers=headers)
        assert_error(response, 401, "pin_required")
    assert [(each["id"], each["status"]) for each in locked.cards()] == [(1, "running")]


def test_every_change_there_is_needs_a_token(locked: Api) -> None:
    asked = 0
    with locked.app.test_request_context():
        rules = list(locked.app.url_map.iter_rules())
    for rule in rules:
        for method in sorted((rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}):
            if rule.rule not in CHANGES_NOTHING:
                path = re.sub("<int:[a-z_]+>", "1", rule.rule).replace("<ticker>", "AAPL")
                assert_error(locked.call(method, path, json=CARD), 401, "pin_required")
                asked += 1
    assert asked >= 6


def test_a_token_runs_out(locked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "TOKEN_SECONDS", 0.005)
    locked.enter_pin()
    clock.pause(0.010)
    assert_error(locked.add(), 401, "pin_required")


def test_a_token_that_is_used_lives_on(locked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "TOKEN_SECONDS", 0.4)
    locked.enter_pin()
    monkeypatch.setattr(security, "TOKEN_SECONDS", 60)
    assert_error(locked.stop(1), 404, "not_found")
    clock.pause(0.45)
    assert_error(locked.stop(1), 404, "not_found")


def test_reading_needs_no_token(locked: Api) -> None:
    for path in ("/api/algorithms", "/api/health", "/api/available-algorithms"):
        assert locked.get(path).status_code == 200


def test_a_body_that_is_no_json_object_is_refused(api: Api) -> None:
    deep = ("[" * 16_000, '{"a":' * 3_000)
    for text in ("", "{", "[]", '"pin"', "null", "2020", "{'pin': 1}", b"\xff\xfe\x00", *deep):
        for path in ("/api/validate-pin", "/api/algorithms"):
            assert_error(api.post_text(path, text), 400, "bad_json")


def test_another_content_type_is_refused(api: Api) -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        for path in ("/api/validate-pin", "/api/algorithms"):
            response = api.call("POST", path, data='{"pin": "2020"}', content_type=kind)
            assert_error(response, 415, "json_only")


def test_a_charset_is_no_other_content_type(locked: Api) -> None:
    kind = "application/json; charset=utf-8"
    response = locked.call("POST", "/api/validate-pin", data='{"pin": "2020"}', content_type=kind)
    assert response.status_code == 200


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    text = '{"pin": "' + "0" * 17_000 + '"}'
    for path in ("/api/validate-pin", "/api/algorithms"):
        assert_error(api.post_text(path, text), 413, "too_large")


def test_a_foreign_host_is_refused(locked: Api) -> None:
    for host in ("evil.example", "evil.example:5000", "127.0.0.1.evil.example"):
        for path in ("/", "/healthz", "/api/algorithms"):
            assert_error(locked.get(path, Host=host), 400, "bad_request")


def test_our_own_hosts_are_served(locked: Api) -> None:
    for host in ("127.0.0.1:5000", "localhost:5000", "127.0.0.1"):
        assert locked.get("/api/algorithms", Host=host).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_foreign_origin_is_refused(api: Api, method: str) -> None:
    others = ("https://127.0.0.1:5000", "http://127.0.0.1:5001", "http://localhost:5000")
    for origin in ("http://evil.example", "null", "", *others):
        headers = {"Host": "127.0.0.1:5000", "Origin": origin}
        response = api.call(method, "/api/algorithms", json=CARD, headers=headers)
        assert_error(response, 403, "foreign_origin")
    assert api.cards() == []


def test_what_another_site_sends_is_refused(api: Api) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert_error(api.call("GET", "/api/algorithms", headers=headers), 403, "foreign_origin")
        response = api.call("POST", "/api/algorithms", json=CARD, headers=headers)
        assert_error(response, 403, "foreign_origin")
    assert api.cards() == []


def test_a_browser_may_come_to_the_page_from_elsewhere_and_to_nothing_else(api: Api) -> None:
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert api.call("GET", "/", headers=visit).status_code == 200
    assert_error(api.call("POST", "/", json={}, headers=visit), 403, "foreign_origin")
    assert_error(api.call("GET", "/api/algorithms", headers=visit), 403, "foreign_origin")
    framed = {**visit, "Sec-Fetch-Dest": "iframe"}
    assert_error(api.call("GET", "/", headers=framed), 403, "foreign_origin")


def test_our_own_page_is_let_in(api: Api, exchange: Exchange) -> None:
    headers = {
        "Host": "127.0.0.1:5000",
        "Origin": "http://127.0.0.1:5000",
        "Sec-Fetch-Site": "same-origin",
    }
    assert api.call("POST", "/api/algorithms", json=CARD, headers=headers).status_code == 201


def test_every_answer_carries_the_security_headers(locked: Api) -> None:
    for path in READABLE:
        headers = locked.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_no_answer_invites_other_sites(locked: Api) -> None:
    for path in READABLE:
        for method in ("GET", "OPTIONS"):
            names = [name.lower() for name, _ in locked.call(method, path).headers]
            assert [name for name in names if name.startswith("access-control-")] == []


def test_answers_of_the_api_are_not_stored(locked: Api) -> None:
    for path in ("/api/algorithms", "/api/health", "/api/nothing"):
        assert locked.get(path).headers["Cache-Control"] == "no-store"


def test_an_unknown_address_or_method_is_refused_in_json(api: Api) -> None:
    assert_error(api.get("/api/nothing"), 404, "not_found")
    assert_error(api.get("/nothing.js"), 404, "not_found")
    assert_error(api.get("/../api_server.py"), 404, "not_found")
    response = api.call("DELETE", "/api/health")
    assert_error(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
