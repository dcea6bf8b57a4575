"""The shelf on recorded minutes, against references written apart from it (fractions, no code shared)."""

import json
from fractions import Fraction
from pathlib import Path

from algorithms import breakout_channel, lot_by_lot, rsi_reversion, sma_crossover
from tests.algorithms.conftest import Bar, Load, played

DAYS = ("2019-02-11", "2019-02-12")
Trade = tuple[str, str, int]


def exact(bars: list[Bar], name: str = "close") -> list[Fraction]:
    return [Fraction(str(bar[name])) for bar in bars]


def in_and_out(bars: list[Bar], signals: list[str], skip: int) -> list[Trade]:
    """All in on ``up``, all out on ``down``, at the close; 10,000 dollars."""
    cash, held, trades = Fraction(10_000), 0, []
    for bar, close, signal in list(zip(bars, exact(bars), signals, strict=True))[skip:]:
        if signal == "up" and held == 0:
            held = int(cash / close)
            cash -= held * close
            trades.append((bar["timestamp"], "buy", held))
        elif signal == "down" and held:
            trades.append((bar["timestamp"], "sell", held))
            cash, held = cash + held * close, 0
    return trades


def test_sma_crossover_trades_as_the_oracle_does(recorded: Load, recorded_bars: Path) -> None:
    oracle = json.loads((recorded_bars / "oracle_public.json").read_text())["segments"]
    segment = next(s for s in oracle if s["ticker"] == "PPLT")
    days = sorted(path.stem for path in (recorded_bars / "PPLT").glob("*.csv"))
    bars = recorded("PPLT", *days)
    assert (len(bars), bars[0]["timestamp"]) == (segment["bars"], segment["first_bar"])
    crosses = dict.fromkeys(segment["crosses_up"], "up")
    crosses |= dict.fromkeys(segment["crosses_down"], "down")
    expected = in_and_out(bars, [crosses.get(bar["timestamp"], "") for bar in bars], 50)
    assert len(expected) > 5
    assert played(sma_crossover.Algorithm, "PPLT", bars, 50) == expected


def test_rsi_reversion(recorded: Load) -> None:
    bars = recorded("BAC", *DAYS)
    closes, signals = exact(bars), []
    for n in range(len(bars)):
        changes = [closes[k] - closes[k - 1] for k in range(n - 13, n + 1)] if n >= 14 else [0]
        up, down = sum(c for c in changes if c > 0), -sum(c for c in changes if c < 0)
        rsi = 100 * up / Fraction(up + down) if up + down else 50
        signals.append("up" if rsi < 30 else "down" if rsi > 70 else "")
    expected = in_and_out(bars, signals, 14)
    assert len(expected) > 10
    assert played(rsi_reversion.Algorithm, "BAC", bars, 14) == expected


def test_breakout_channel(recorded: Load) -> None:
    bars = recorded("BAC", *DAYS)
    closes, highs, lows = exact(bars), exact(bars, "high"), exact(bars, "low")
    signals = [
        "up"
        if n >= 60 and closes[n] > max(highs[n - 60 : n])
        else "down"
        if n >= 30 and closes[n] < min(lows[n - 30 : n])
        else ""
        for n in range(len(bars))
    ]
    expected = in_and_out(bars, signals, 60)
    assert len(expected) > 4
    assert played(breakout_channel.Algorithm, "BAC", bars, 60) == expected


def test_lot_by_lot(recorded: Load) -> None:
    """Every lot is a thing of its own here, with its own goal; nothing is matched afterwards."""
    bars = recorded("BAC", *DAYS)
    cash, lots, expected = Fraction(10_000), list[tuple[Fraction, int]](), []
    for bar, close in zip(bars, exact(bars), strict=True):
        gone = [lot for lot in lots if close >= lot[0] * Fraction("1.002")]
        if gone:
            shares = sum(shares for _, shares in gone)
            expected.append((bar["timestamp"], "sell", shares))
            lots = [lot for lot in lots if lot not in gone]
            cash += shares * close
        elif len(lots) < 4 and all(close <= price * Fraction("0.999") for price, _ in lots):
            shares = int(min(cash, Fraction(2500)) / close)
            if shares:
                lots.append((close, shares))
                cash -= shares * close
                expected.append((bar["timestamp"], "buy", shares))
    assert len(expected) > 10
    assert played(lot_by_lot.Algorithm, "BAC", bars, 0, lots=4, step=0.1, gain=0.2) == expected
