"""A backtest as a picture: worth beside buy and hold with its trades, and the fall from the peak."""

from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from orchestra.backtest.result import Result

GREEN, RED, BLUE, GREY = "#1a7f37", "#c62828", "#1f5fa8", "#8a8f98"
SIZE = (12.0, 7.0)  # inches at 100 dots each


def draw(result: Result, path: Path) -> None:
    """Write the picture; its horizontal axis counts bars, so that nights take no room."""
    figure = Figure(figsize=SIZE, layout="constrained")
    worth, fall = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_worth(worth, result)
    _draw_fall(fall, result)
    _name_days(fall, result.stamps)
    for axes in (worth, fall):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.5)
    figure.savefig(path, dpi=100, format="png")


def _draw_worth(axes: Axes, result: Result) -> None:
    subject, sessions, own = result.subject, result.history.sessions, result.equity.values
    axes.plot(result.yardstick.values, color=GREY, linewidth=1, label="buy and hold")
    axes.plot(own, color=BLUE, linewidth=1.4, label=subject.path.stem)
    for kind, marker, color in (("buy", "^", GREEN), ("sell", "v", RED)):
        bars = (t.ended - 1 - result.history.warmup for t in result.run.trades if t.type == kind)
        at = [
            max(0, bar) for bar in bars
        ]  # decided on a bar of the warm-up, it counts from the first
        label = f"{len(at)} {kind}s"
        axes.scatter(at, [own[n] for n in at], s=14, c=color, marker=marker, label=label, zorder=3)
    axes.axhline(subject.capital, color=GREY, linewidth=0.6, linestyle=":")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:,.0f}"))
    axes.legend(frameon=False, loc="best")
    own_return, kept = (m["return"] for m in (result.measures, result.measures["buy_and_hold"]))
    axes.set_title(
        f"{subject.path.stem} on {subject.ticker}, {sessions[0].day} to {sessions[-1].day}:"
        f" {own_return:+.2%}, buy and hold {kept:+.2%}; filled {result.fill}",
        loc="left",
    )


def _draw_fall(axes: Axes, result: Result) -> None:
    capital = result.subject.capital
    for found, color in ((result.yardstick, GREY), (result.equity, RED)):
        peaks = list(accumulate(found.values, max, initial=capital))[1:]
        depth = [100 * (value / peak - 1) for value, peak in zip(found.values, peaks, strict=True)]
        axes.plot(depth, color=color, linewidth=1)
    axes.set_ylabel("below peak, %")


def _name_days(axes: Axes, stamps: list[str]) -> None:
    """At most ten days along the axis, each at its first bar."""
    first = [n for n, stamp in enumerate(stamps) if n == 0 or stamp[:10] != stamps[n - 1][:10]]
    shown = first[:: -(-len(first) // 10)]
    axes.set_xticks(shown, [stamps[n][:10] for n in shown])
    axes.margins(x=0.01)
