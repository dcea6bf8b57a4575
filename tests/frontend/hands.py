"""Three ways to work the page: each presses, holds and types as its owner would, and nothing else."""

from abc import ABC, abstractmethod

from playwright.sync_api import Locator

from tests.frontend.conftest import Wall

MOST_STEPS = 80
AT = "(node) => node === document.activeElement"


class Hand(ABC):
    """``press`` and ``hold`` a place, ``type`` on the keys that are shown, ``enter`` a PIN."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall

    @abstractmethod
    def press(self, selector: str) -> None: ...

    @abstractmethod
    def _down(self, place: Locator) -> None: ...

    @abstractmethod
    def _up(self) -> None: ...

    @abstractmethod
    def type(self, keys: str) -> None: ...

    def enter(self, pin: str) -> None:
        self.wall.find("[data-pinpad]").wait_for()
        self.type(pin)
        self.press("[data-action=submit]")

    def hold(self, selector: str) -> None:
        """Keep it down until the page takes it for meant."""
        self._down(self.wall.find(selector))
        self.wall.find("[data-holding]").wait_for()
        self.wall.find("[data-holding]").wait_for(state="detached")
        self._up()


class Mouse(Hand):
    def press(self, selector: str) -> None:
        self.wall.find(selector).click()

    def type(self, keys: str) -> None:
        self.wall.press(keys)

    def _down(self, place: Locator) -> None:
        place.hover()
        self.wall.page.mouse.down()

    def _up(self) -> None:
        self.wall.page.mouse.up()


class Finger(Hand):
    """Needs a page with touch."""

    def __init__(self, wall: Wall) -> None:
        super().__init__(wall)
        self._screen = wall.page.context.new_cdp_session(wall.page)

    def press(self, selector: str) -> None:
        self.wall.find(selector).tap()

    def type(self, keys: str) -> None:
        for key in keys:
            self.press(f'[data-key="{key}"]')

    def _down(self, place: Locator) -> None:
        box = place.bounding_box()
        assert box is not None
        self._send("touchStart", [{"x": box["x"] + 20, "y": box["y"] + 20}])

    def _up(self) -> None:
        self._send("touchEnd", [])

    def _send(self, kind: str, points: list[dict[str, float]]) -> None:
        self._screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


class Keyboard(Hand):
    """Goes from place to place with the keys that lead there; what it cannot get to, it cannot press."""

    def press(self, selector: str) -> None:
        place = self.wall.find(selector)
        self._reach(place)
        if place.evaluate("(node) => node.matches('button, [data-card]')"):
            self.wall.page.keyboard.press("Enter")

    def type(self, keys: str) -> None:
        self.wall.page.keyboard.type(keys.lower())

    def _down(self, place: Locator) -> None:
        self._reach(place)
        self.wall.page.keyboard.down("Enter")

    def _up(self) -> None:
        self.wall.page.keyboard.up("Enter")

    def _reach(self, place: Locator) -> None:
        """Tab leads everywhere but to another tab of a row, and to the keys of the add dialog's field."""
        place.wait_for()
        if place.evaluate("(node) => node.role === 'tab' && node.tabIndex < 0"):
            self._walk("Tab", self.wall.find("[role=tab][aria-selected=true]"))
            self._walk("ArrowRight", place)
        else:
            in_pad = place.evaluate("(node) => node.closest('[data-add] .pad') !== null")
            self._walk("ArrowDown" if in_pad else "Tab", place)

    def _walk(self, key: str, place: Locator) -> None:
        for _ in range(MOST_STEPS):
            if place.evaluate(AT):
                return
            self.wall.page.keyboard.press(key)
        raise AssertionError(f"{key} never leads to {place}")
