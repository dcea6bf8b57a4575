"""A sweep as a picture: the return of every choice of its two first parameters that vary."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Report = dict[str, Any]

SIZE = (10.0, 7.0)  # inches at 100 dots each
MOST_WRITTEN = 200  # cells with their figure in them


def draw(report: Report, path: Path) -> None:
    """Write the picture; where further parameters vary, each cell has their best."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    across, up = _varying(report)
    best = _best(report, across, up)
    xs, ys = sorted({x for x, _ in best}), sorted({y for _, y in best})
    grid = [[best.get((x, y), float("nan")) for x in xs] for y in ys]
    most = max(abs(value) for value in best.values()) or 1.0
    image = axes.imshow(grid, cmap="RdYlGn", vmin=-most, vmax=most, origin="lower", aspect="auto")
    if len(best) <= MOST_WRITTEN:
        _write(axes, grid, most)
    axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    axes.set_xlabel(across)
    axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys] if up else [""])
    axes.set_ylabel(up)
    figure.colorbar(image, ax=axes, format=lambda value, _: f"{100 * value:+.1f} %")
    held = report["buy_and_hold"]["return"]
    axes.set_title(
        f"{report['algorithm']} on {report['ticker']}, {report['start']} to {report['end']}:"
        f" return; buy and hold {held:+.2%}",
        loc="left",
    )
    figure.savefig(path, dpi=100, format="png")


def _varying(report: Report) -> tuple[str, str]:
    """The two first parameters with more than one value; empty where there is none."""
    choices = [each["parameters"] for each in report["choices"]]
    names = [name for name in choices[0] if len({each[name] for each in choices}) > 1]
    names = (names or list(choices[0])[:1]) + ["", ""]
    return names[0], names[1]


def _best(report: Report, across: str, up: str) -> dict[tuple[float, float], float]:
    found: dict[tuple[float, float], float] = {}
    for each in report["choices"]:
        values = each["parameters"]
        cell = (values.get(across, 0), values.get(up, 0))
        found[cell] = max(found.get(cell, each["return"]), each["return"])
    return found


def _write(axes: Axes, grid: list[list[float]], most: float) -> None:
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            if value == value:
                color = "black" if abs(value) < 0.8 * most else "white"
                axes.text(
                    x, y, f"{100 * value:+.1f}", ha="center", va="center", color=color, size=8
                )
