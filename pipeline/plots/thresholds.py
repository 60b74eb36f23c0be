"""The picture of a threshold that is moved: what is found, and how much of it is right."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, SIDE_BY_SIDE, STYLES, new_figure

Shares = Sequence[Sequence[float]]
AREA, MOVING = "area", "moving"  # names of the axes' area and of the line that a page's script moves


def threshold_chart(steps: Sequence[float], named: Mapping[str, Shares], axis: str, width: float = 8.0) -> Figure:
    """Draw shares over the threshold, with their intervals at 95 %, and a line at 0 that a page moves.

    Args:
        steps: rising thresholds, 0..1.
        named: by their names, a value with the ends of its interval for each threshold.
        axis: what the threshold is of.
        width: of the figure, inches.
    """
    figure, axes = new_figure((width, 3.6))
    for number, (name, shares) in enumerate(named.items()):
        value, low, high = np.array([share[:3] for share in shares]).T
        drawn = {"color": COLOURS[number], "step": "pre"}
        axes.fill_between(steps, low, high, alpha=0.18, linewidth=0, **drawn)
        axes.step(steps, value, where="pre", color=COLOURS[number], ls=STYLES[number], lw=1.8, label=name)
    axes.axvline(0, color="0.4", lw=1.6).set_gid(MOVING)
    axes.patch.set_gid(AREA)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=axis)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower left", ncols=2 if width >= SIDE_BY_SIDE else 1, frameon=False, fontsize=9)
    return figure
