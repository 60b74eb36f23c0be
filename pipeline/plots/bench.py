"""The picture of the benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bottleneck_features.pipeline.plots.style import COLOURS, new_figure


def benchmark(variants: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw images/s of every variant, as results have it: the bar is the median of its repeats, the line their range."""
    figure, axes = new_figure((9, 0.42 * len(variants) + 1.3))
    for row, variant in enumerate(variants):
        rates = variant["images_per_second"]
        full = variant["share_of_bare"] is not None
        middle = float(np.median(rates))
        axes.barh(row, middle, color=COLOURS[0] if full else "0.75", height=0.7)
        axes.plot([min(rates), max(rates)], [row, row], color="black", lw=1.2)
        note = f"{middle:.0f}  ({variant['ratio']:.2f}×)"
        axes.annotate(note, (max(rates), row), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(variants)), [variant["name"] for variant in variants], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("images/s, median and range (in brackets: times the walk-through's script in the same round)")
    return figure
