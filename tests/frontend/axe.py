"""axe-core, from its package: what makes a page hard to use without seeing its colours."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.frontend.conftest import Wall

SERIOUS = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
        .filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""


@cache
def script() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def serious(wall: Wall) -> list[str]:
    """What is serious or worse on the page as it is."""
    wall.page.evaluate(script())
    found: list[str] = wall.page.evaluate(SERIOUS)
    return found
