"""The check that every state goes through finds what it is there to find."""

from tests.frontend.axe import serious
from tests.frontend.conftest import Wall


def test_what_is_serious_is_found(wall: Wall) -> None:
    wall.find("[data-action=add]").evaluate(
        "(node) => { node.removeAttribute('aria-label'); node.textContent = ''; }"
    )
    assert [found.split(":")[0] for found in serious(wall)] == ["button-name"]
