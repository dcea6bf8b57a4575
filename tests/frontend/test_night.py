"""A screen that is never switched off: dimmed, shifted, reloaded; and the day's trades on its line."""

from playwright.sync_api import expect

from tests.frontend.conftest import Call, OpenWall
from tests.frontend.wire import CLOSED_MARKET, FakeApi, card, minute, spark

FRIDAY_NIGHT = "2024-01-05T21:30:00Z"
DAY_SECONDS = 86_400


def closed() -> FakeApi:
    api = FakeApi()
    api.market_open, api.market = False, CLOSED_MARKET
    return api


def test_dims_off_hours_until_somebody_comes(open_wall: OpenWall) -> None:
    wall = open_wall(closed(), frozen_at=FRIDAY_NIGHT)
    page = wall.find("[data-page]")
    wall.jump_seconds(119)
    expect(page).not_to_have_attribute("data-night", "")
    wall.jump_seconds(3)
    expect(page).to_have_attribute("data-night", "")
    expect(page).to_have_css("opacity", "0.4")
    wall.page.mouse.move(100, 100)
    expect(page).not_to_have_attribute("data-night", "")


def test_never_dims_while_the_market_is_open(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at="2024-01-02T15:42:05Z")
    wall.jump_seconds(600)
    wall.pass_seconds(1)
    expect(wall.find("[data-page]")).not_to_have_attribute("data-night", "")


def test_a_server_silent_since_the_night_leaves_no_dim_wall_by_day(open_wall: OpenWall) -> None:
    wall = open_wall(closed(), frozen_at=FRIDAY_NIGHT)
    wall.api.silent = True
    page = wall.find("[data-page]")
    wall.jump_seconds(64 * 3600)  # to an hour before the open
    wall.jump_seconds(3)
    expect(page).to_have_attribute("data-night", "")
    wall.jump_seconds(3600)
    wall.jump_seconds(3)
    expect(page).not_to_have_attribute("data-night", "")


def test_the_page_moves_by_a_pixel_each_hour(open_wall: OpenWall, call: Call) -> None:
    hours = [call("night", "shiftAt", hour * 3_600_000) for hour in range(9)]
    assert len(set(hours)) == 9
    wall = open_wall(closed(), frozen_at=FRIDAY_NIGHT)
    before = wall.find("[data-page]").get_attribute("style")
    wall.jump_seconds(3600)
    wall.pass_seconds(1)
    assert wall.find("[data-page]").get_attribute("style") != before
    scrolls = "document.documentElement.scrollWidth > innerWidth"
    assert wall.page.evaluate(scrolls) is False


def test_reloads_once_a_night_but_not_under_a_dialog_or_offline(open_wall: OpenWall) -> None:
    wall = open_wall(closed(), frozen_at=FRIDAY_NIGHT)
    wall.page.evaluate("window.known = true")
    wall.api.offline = True
    wall.jump_seconds(DAY_SECONDS)
    wall.poll()
    assert wall.page.evaluate("window.known") is True
    wall.act("menu")
    wall.find("[data-menu]").wait_for()
    wall.api.offline = False
    wall.poll()
    assert wall.page.evaluate("window.known") is True
    with wall.page.expect_navigation():
        wall.act("cancel")
    assert wall.page.evaluate("window.known") is None


def test_does_not_reload_in_the_session(open_wall: OpenWall) -> None:
    wall = open_wall(frozen_at="2024-01-02T15:42:05Z")
    wall.page.evaluate("window.known = true")
    wall.jump_seconds(DAY_SECONDS)
    wall.poll()
    assert wall.page.evaluate("window.known") is True


def test_a_finger_hides_the_arrow_and_a_mouse_brings_it_back(open_wall: OpenWall) -> None:
    wall = open_wall(has_touch=True)
    wall.find("[data-market]").tap()
    expect(wall.find("body")).to_have_css("cursor", "none")
    wall.page.mouse.move(50, 50)
    expect(wall.find("body")).not_to_have_css("cursor", "none")


def test_the_days_trades_are_ticks_on_the_line(open_wall: OpenWall) -> None:
    api = FakeApi()
    marks = [
        [minute(2), "buy"],
        [minute(1), "sell"],
        [minute(3), "buy"],
        ["2023-12-29T15:00:00Z", "buy"],
    ]
    line = spark([10000, 10010, 9990, 10005, 10000])
    now = {"spark": line, "last_bar_at": minute(4)}
    api.cards = [card(1, **now, marks=marks), card(2, **now)]
    wall = open_wall(api)
    assert wall.card(1).locator(".spark-buys").get_attribute("d") == "M50 89v11M75 32v11"
    assert wall.card(1).locator(".spark-sells").get_attribute("d") == "M25 11v-11"
    assert wall.card(2).locator(".spark-buys").get_attribute("d") == ""
