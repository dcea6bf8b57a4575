"""``GET /api/openapi.json``: it describes every call that there is, and none that there is not."""

import re

import orchestra
from tests.web.conftest import CARD, Api, assert_error, ended

PAGE_FILES = {"/", "/{name}", "/lightweight-charts.js"}
METHODS = {"get", "post", "put", "patch", "delete"}
Calls = set[tuple[str, str]]


def described(api: Api) -> Calls:
    paths = api.read("/api/openapi.json")["paths"]
    return {(path, method) for path, of in paths.items() for method in of.keys() & METHODS}


def routed(api: Api) -> Calls:
    found: Calls = set()
    for rule in api.app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        found |= {(path, method.lower()) for method in rule.methods or ()}
    return {(path, method) for path, method in found if method in METHODS}


def test_every_call_is_described_and_nothing_else(locked: Api) -> None:
    calls = {(path, method) for path, method in routed(locked) if path not in PAGE_FILES}
    assert described(locked) == calls
    assert len(calls) >= 20


def test_it_names_this_version_and_the_pin(locked: Api) -> None:
    found = locked.read("/api/openapi.json")
    assert found["openapi"] == "3.1.0"
    assert found["info"]["version"] == orchestra.__version__
    assert found["components"]["securitySchemes"] == {"pin": {"type": "http", "scheme": "bearer"}}


def test_what_is_described_as_behind_the_pin_is_and_the_rest_is_not(locked: Api) -> None:
    paths = locked.read("/api/openapi.json")["paths"]
    behind = 0
    for path, method in sorted(described(locked)):
        call = paths[path][method]
        address = re.sub("{[a-z]+_id}", "1", path).replace("{ticker}", "AAPL")
        answer = locked.call(method.upper(), address, json=CARD)
        if call["security"] == [{"pin": []}]:
            assert_error(answer, 401, "pin_required")
            behind += 1
        else:
            assert answer.status_code != 401, path
        assert str(answer.status_code) in call["responses"], (path, method, answer.status_code)
    ended(locked, 1)  # or its watcher would look into the next test's ledger
    assert behind >= 7


def test_every_name_it_points_to_is_there(locked: Api) -> None:
    text = locked.get("/api/openapi.json").text
    things = locked.read("/api/openapi.json")["components"]["schemas"]
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert wanted == set(things)
