"""At what price a market order of a backtest is filled: the simulated exchange's two rules."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from database.bars import Row

OPEN, CLOSE = 1, 4  # places in a row
TICK = Decimal("0.0001")


@dataclass(frozen=True)
class FillRule:
    """``close``: at the newest ended bar's close. ``open``: at the open of the minute in progress, or
    that close where nothing trades in it or it is not among the bars. Then worse by the slippage.
    """

    name: str = "close"
    slippage_bps: float = 0.0

    def price(self, side: str, rows: list[Row], ended: int, moment: str) -> float:
        """Dollars a share at this stamp, when ``ended`` of the rows have ended."""
        raw = rows[ended - 1][CLOSE]
        if self.name == "open" and self.has_bar(rows, ended, moment):
            raw = rows[ended][OPEN]
        if not self.slippage_bps:
            return float(raw)
        slippage = Decimal(str(self.slippage_bps)) / 10_000
        worse = 1 + slippage if side == "buy" else 1 - slippage
        return float(max(TICK, (Decimal(str(raw)) * worse).quantize(TICK, ROUND_HALF_UP)))

    @staticmethod
    def has_bar(rows: list[Row], ended: int, moment: str) -> bool:
        """Whether there is a bar of the minute in progress, the one after the ``ended`` ones."""
        return ended < len(rows) and rows[ended][0] == f"{moment[:17]}00Z"

    def __str__(self) -> str:
        where = "the last close" if self.name == "close" else "the next bar's open"
        slipped = f", {self.slippage_bps:g} bps worse" if self.slippage_bps else ""
        return f"at {where}{slipped}"
