"""The picture of compared networks: what decides, over what an image costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.plots.style import COLOURS, LONGEST, MARKERS, new_figure, shortened
from bottleneck_features.pipeline.tables import SPLIT_TITLES, megabytes_text, shown_name

HEIGHT = 190  # points of the axes of an SVG
APART = 24  # points between the first lines of two labels


@dataclass(frozen=True)
class _Point:
    """A network: milliseconds per image, what decides with its interval, and its label."""

    cost: float
    value: float
    low: float
    high: float
    label: str

    @classmethod
    def of(cls, row: Mapping[str, Any], split: str, select: str) -> "_Point":
        network, found = row["network"], Method.from_json(row).figure(split, select)
        label = f"{shortened(row['name'], LONGEST)}\n{found.value:.1%}, {megabytes_text(network['megabytes'])} MB"
        return cls(1000 / network["images_per_second"], found.value, found.low, found.high, label)


def _label(axes: Axes, points: Sequence[_Point]) -> None:
    """Write the labels towards the middle of the picture, those on one side apart from each other."""
    middle = np.sqrt(min(point.cost for point in points) * max(point.cost for point in points))
    bottom, top = axes.get_ylim()
    for place, side in ((9, "left"), (-9, "right")):
        lowest = -np.inf
        own = [point for point in points if (point.cost <= middle) == (side == "left")]
        for point in sorted(own, key=lambda one: one.value):
            height = (point.value - bottom) / (top - bottom) * HEIGHT
            lowest = max(height, lowest + APART)
            axes.annotate(
                point.label, (point.cost, point.value), (place, lowest - height), textcoords="offset points", va="center",
                ha=side, fontsize=8.5, parse_math=False,
            )  # fmt: skip


def networks(rows: Sequence[Mapping[str, Any]], split: str, select: str = "accuracy") -> Figure | None:
    """Draw what decides of each network's best probe with its 95 % interval, over the milliseconds an image takes to extract.

    Args:
        rows: the `methods` of a comparison of networks.
        split: that they were scored on.
        select: what decides.

    Returns:
        The figure; None where no network's speed is known. Those whose speed is not known are named under it.
    """
    known = [row for row in rows if row["network"]["images_per_second"]]
    if not known:
        return None
    figure, axes = new_figure((8.5, 4.4))
    points = [_Point.of(row, split, select) for row in known]
    for number, point in enumerate(points):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot([point.cost, point.cost], [point.low, point.high], color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot(point.cost, point.value, marker, color=colour, ms=8)
    axes.set_xscale("log")
    axes.margins(x=0.3, y=0.12)
    axes.set_ylim(max(0, axes.get_ylim()[0]), min(1.02, axes.get_ylim()[1]))
    _label(axes, points)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    unknown = [row["name"] for row in rows if row not in known]
    missing = f"\nspeed not known: {shortened(', '.join(unknown), LONGEST)}" if unknown else ""
    shown = f"{shown_name(select)} ({SPLIT_TITLES.get(split, split)}), 95 % interval"
    axes.set(xlabel=f"milliseconds per image, features of all kept layers (log){missing}", ylabel=shown)
    axes.grid(alpha=0.25)
    return figure
