"""The daily report over HTTP."""

from tests.exchange_fixture import set_clock
from tests.web.conftest import Api, assert_error


def test_the_newest_session_up_to_now_and_no_day_kept_yet(api: Api) -> None:
    answer = api.read("/api/report")
    assert answer["days"] == []
    assert answer["report"]["day"] == "2024-06-04"
    assert answer["report"]["minutes"] == {"due": 0, "run": 0, "missed": {}}
    assert answer["report"]["memory_mb"] is None  # the trader's, which this process does not know


def test_a_day_without_a_session_is_not_found(api: Api) -> None:
    assert_error(api.get("/api/report?day=2024-06-02"), 404, "not_found")
    assert_error(api.get("/api/report?day=2024-06-05"), 404, "not_found")  # tomorrow's


def test_what_is_no_day_is_refused(api: Api) -> None:
    assert_error(api.get("/api/report?day=yesterday"), 400, "bad_input")


def test_before_the_first_session_there_is_none(api: Api) -> None:
    set_clock("2018-01-01T12:00:00Z")
    assert_error(api.get("/api/report"), 404, "not_found")
