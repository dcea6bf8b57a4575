"""axe-core, from its package, finds nothing serious; the page can be used without seeing its colours."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.frontend.conftest import OpenWall, Wall
from tests.frontend.states import STATES, crowded

SERIOUS = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
        .filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""


@pytest.fixture(scope="session")
def axe() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("state", STATES)
def test_nothing_serious(open_wall: OpenWall, axe: str, state: Callable[[Wall], None]) -> None:
    wall = open_wall(crowded())
    state(wall)
    wall.page.evaluate(axe)
    assert wall.page.evaluate(SERIOUS) == []


def test_what_is_serious_is_found(wall: Wall, axe: str) -> None:
    wall.find("[data-action=add]").evaluate(
        "(node) => { node.removeAttribute('aria-label'); node.textContent = ''; }"
    )
    wall.page.evaluate(axe)
    assert [found.split(":")[0] for found in wall.page.evaluate(SERIOUS)] == ["button-name"]
