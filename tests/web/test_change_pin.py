"""The PIN is changed by whoever knows the old one; what the old one opened is shut."""

from tests.web.conftest import Api, assert_error


def change(api: Api, pin: object) -> int:
    return api.call("PUT", "/api/pin", json={"pin": pin}).status_code


def test_the_new_pin_opens_and_the_old_one_does_not(api: Api) -> None:
    assert change(api, "048151623") == 200
    assert_error(api.enter_pin("2020"), 401, "wrong_pin")
    assert api.enter_pin("048151623").status_code == 200


def test_every_token_but_the_callers_ends(api: Api) -> None:
    earlier = api.token
    assert api.enter_pin().status_code == 200
    own = api.token
    assert change(api, "4815") == 200
    api.token = earlier
    assert_error(api.stop(1), 401, "pin_required")
    api.token = own
    assert_error(api.stop(1), 404, "not_found")


def test_wrong_tries_of_the_old_pin_are_forgotten(api: Api) -> None:
    for _ in range(4):
        api.enter_pin("0000")
    assert change(api, "4815") == 200
    assert assert_error(api.enter_pin("0000"), 401, "wrong_pin")["attempts_left"] == 4


def test_what_is_no_pin_changes_nothing(api: Api) -> None:
    for wrong in ("123", "1234567890123", "12a4", "１２３４", "", 1234, None, ["1234"]):
        assert change(api, wrong) == 400
    assert api.enter_pin("2020").status_code == 200


def test_the_pin_is_needed(locked: Api) -> None:
    assert_error(locked.call("PUT", "/api/pin", json={"pin": "1234"}), 401, "pin_required")
    assert locked.enter_pin("2020").status_code == 200
