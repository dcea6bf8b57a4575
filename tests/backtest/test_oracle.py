"""The shipped crossover over every recorded segment, against an oracle that was made apart from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from database.recorded_files import load_csv_folder
from tests.backtest.conftest import answered
from tests.conftest import RECORDED_BARS

ORACLE = RECORDED_BARS / "oracle_public.json"
SEGMENTS = json.loads(ORACLE.read_text())["segments"] if ORACLE.is_file() else []
SAFE = [each for each in SEGMENTS if each["strict_test_safe"]]


def load(segment: dict[str, Any], folder: Path) -> None:
    """Put one segment's files, and no others, into stocks.db."""
    days = folder / segment["ticker"]
    days.mkdir(parents=True)
    first, last = segment["first_bar"][:10], segment["last_bar"][:10]
    for path in (RECORDED_BARS / segment["ticker"]).glob("*.csv"):
        if first <= path.stem <= last:
            (days / path.name).symlink_to(path)
    load_csv_folder(folder)


@pytest.mark.skipif(not SAFE, reason="no recorded bars beside the project (shared/data/bars)")
@pytest.mark.parametrize("segment", SAFE, ids=lambda each: each["segment"])
def test_a_segment_is_traded_to_the_cent(segment: dict[str, Any], tmp_path: Path) -> None:
    load(segment, tmp_path / "segment")
    first, last = segment["first_bar"][:10], segment["last_bar"][:10]
    found = answered("sma_crossover", segment["ticker"], "--start", first, "--end", last)
    expected = segment["pnl"]
    trades = [(t["bar"], t["type"], t["shares"], t["price"]) for t in found["trades"]]
    assert trades == [
        (t["timestamp"], t["type"], t["shares"], float(t["price"])) for t in expected["trades"]
    ]
    bars = {
        kind: {t["bar"] for t in found["trades"] if t["type"] == kind} for kind in ("buy", "sell")
    }
    assert bars["buy"] <= set(segment["crosses_up"])
    assert bars["sell"] <= set(segment["crosses_down"])
    assert (found["bars"], found["start"], found["end"]) == (segment["bars"], first, last)
    assert (found["end_shares"], found["last_close"]) == (
        expected["end_shares"],
        float(expected["last_close"]),
    )
    for name in ("end_cash", "end_equity", "pnl"):
        assert f"{found[name]:.4f}" == f"{float(expected[name]):.4f}"


def test_every_segment_of_the_calendars_years_is_tried(recorded_bars: Path) -> None:
    assert len(SAFE) == 14
