"""Points with intervals over a logarithmic cost, each named where it lies: methods over seconds, networks over milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, MARKERS, SIDE_BY_SIDE, new_figure, shortened, spanned

LEAST_SPAN = 0.15  # of the vertical axis
LEAST_RATIO = 4.0  # of the horizontal axis' ends
HEIGHT = 230  # points of the axes of a picture
LONGEST_LISTED = 32  # characters of a name below the picture of a phone
LINE = 14  # points that a line of a label takes


@dataclass(frozen=True)
class Point:
    """What is drawn of one thing.

    Attributes:
        cost: above 0, on the horizontal axis.
        value: 0..1, with its interval `low` and `high`.
        label: one or more lines.
    """

    cost: float
    value: float
    low: float
    high: float
    label: str


def over_cost(points: Sequence[Point], width: float, cost: str, value: str) -> Figure:
    """Draw points with their intervals; names stand beside them, or in a list below where there is no room.

    Args:
        points: at least one.
        width: of the figure, inches.
        cost: what the horizontal axis shows.
        value: what the vertical axis shows.
    """
    figure, axes = new_figure((width, 4.2 if width >= SIDE_BY_SIDE else 3.4 + 0.2 * len(points)))
    for number, point in enumerate(points):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot([point.cost, point.cost], [point.low, point.high], color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot(point.cost, point.value, marker, color=colour, ms=8, label=_in_list(point))
    axes.set_xscale("log")
    axes.set_xlim(*_reach([point.cost for point in points], 1.8 if width >= SIDE_BY_SIDE else 1.3))
    axes.set_ylim(*spanned(min(point.low for point in points), max(point.high for point in points), LEAST_SPAN))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if width >= SIDE_BY_SIDE else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(cost)
    axes.set_ylabel(value)
    axes.grid(alpha=0.25)
    if width >= SIDE_BY_SIDE:
        _name_beside(axes, points)
    else:
        handles, names = axes.get_legend_handles_labels()
        legend = figure.legend(handles, names, loc="outside lower left", ncols=1, frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _in_list(point: Point) -> str:
    name, *further = point.label.split("\n")
    return ", ".join([shortened(name, LONGEST_LISTED), *further])


def _reach(costs: Sequence[float], room: float) -> tuple[float, float]:
    low, high = min(costs) / room, max(costs) * room
    missing = max(1.0, LEAST_RATIO / (high / low)) ** 0.5
    return low / missing, high * missing


def _name_beside(axes: Axes, points: Sequence[Point]) -> None:
    """Write the labels towards the middle of the picture, none at the height of another one."""
    middle = np.sqrt(np.prod(axes.get_xlim()))
    bottom, top = axes.get_ylim()
    ordered = sorted(points, key=lambda one: one.value)
    own = [(point.value - bottom) / (top - bottom) * HEIGHT for point in ordered]
    rooms = [LINE * (point.label.count("\n") + 1) for point in ordered]
    for point, height, centre in zip(ordered, own, _apart(own, rooms), strict=True):
        place, side = (9, "left") if point.cost <= middle else (-9, "right")
        axes.annotate(
            point.label, (point.cost, point.value), (place, centre - height), textcoords="offset points", va="center",
            ha=side, fontsize=8.5, parse_math=False,
        )  # fmt: skip


def _apart(heights: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """Return rising heights, each with its room, moved up where they are too near, and down where that leaves the picture."""
    centres, lowest = [], -np.inf
    for height, room in zip(heights, rooms, strict=True):
        centres.append(max(height, lowest + room / 2))
        lowest = centres[-1] + room / 2
    highest = float(HEIGHT)
    for number in reversed(range(len(centres))):
        centres[number] = min(centres[number], highest - rooms[number] / 2)
        highest = centres[number] - rooms[number] / 2
    return centres
