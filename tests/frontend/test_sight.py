"""Profit and loss differ for who sees no red and green, or no colour at all: in glyph, sign and line."""

import base64

import pytest

from tests.frontend.conftest import OpenWall
from tests.frontend.wire import FakeApi, card

# The part of a card's upper border that is lit, seen in a picture of the page
LIT = """async ([picture, left, right, y]) => {
    const image = await createImageBitmap(await (await fetch(picture)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const row = context.getImageData(left, y, right - left, 1).data;
    let lit = 0;
    for (let at = 0; at < row.length; at += 4) lit += row[at] + row[at + 1] + row[at + 2] > 120;
    return lit / (right - left);
}"""


@pytest.mark.parametrize("deficiency", ["deuteranopia", "achromatopsia"])
def test_the_outcome_shows_without_its_colour(open_wall: OpenWall, deficiency: str) -> None:
    api = FakeApi()
    api.cards = [card(1, 120.0), card(2, -120.0)]
    wall = open_wall(api)
    eyes = wall.page.context.new_cdp_session(wall.page)
    eyes.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
    picture = "data:image/png;base64," + base64.b64encode(wall.page.screenshot()).decode()
    reader = wall.page.context.new_page()
    lit = []
    for number in (1, 2):
        box = wall.card(number).bounding_box()
        assert box is not None
        edges = [round(box["x"]) + 12, round(box["x"] + box["width"]) - 12, round(box["y"]) + 3]
        lit.append(reader.evaluate(LIT, [picture, *edges]))
    assert lit[0] == 1  # a whole line
    assert 0.3 < lit[1] < 0.9  # dashes
    assert wall.card(1).locator(".pnl").inner_text() == "▲\n+120"
    assert wall.card(2).locator(".pnl").inner_text() == "▼\n−120"
