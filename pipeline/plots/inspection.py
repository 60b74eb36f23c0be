"""The pictures of a data set: how many images a class has, and how large they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from bottleneck_features.pipeline.plots.style import (
    COLOURS,
    MARKERS,
    NAMED_CLASSES,
    SIDE_BY_SIDE,
    new_figure,
    shortened,
)

SHADES = (*COLOURS, "#000000", "#999999")


def class_balance(counts: Mapping[str, Sequence[int]], class_names: Sequence[str], width: float = 8.5) -> Figure:
    """Draw the images of each class, stacked by split, in a figure `width` inches wide.

    Args:
        counts: by split, in the order of the classes.
        class_names: likewise.
        width: of the figure, inches.
    """
    rows = np.arange(len(class_names))
    height = min(14.0, 0.21 * len(rows) + 1.3)
    figure, axes = new_figure((width, height))
    longest = 40 if width >= SIDE_BY_SIDE else 20
    left = np.zeros(len(rows))
    for colour, (split, own) in zip(COLOURS, counts.items(), strict=False):
        axes.barh(rows, own, left=left, color=colour, label=f"{split}, {sum(own):,}", height=0.75)
        left += own
    if len(rows) <= NAMED_CLASSES:
        axes.set_yticks(rows, [shortened(name, longest) for name in class_names], fontsize=8, parse_math=False)
        for row, total in enumerate(left):
            axes.annotate(f"{total:,.0f}", (total, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    else:
        axes.set_ylabel(f"{len(rows):,} classes")
        axes.set_yticks([])
    axes.invert_yaxis()
    axes.margins(x=0.09)
    axes.set_xlabel("images")
    figure.legend(loc="outside upper left", ncols=3 if width >= SIDE_BY_SIDE else 2, frameon=False, fontsize=8)
    return figure


def image_sizes(sizes: np.ndarray, labels: np.ndarray, class_names: Sequence[str], width: float = 7.5) -> Figure:
    """Draw width and height of the images: a mark per size and class, its area by the number of images.

    Args:
        sizes: `(n, 2)` width and height.
        labels: `(n,)` integers.
        class_names: of the labels; above eight, classes are not told apart.
        width: of the figure, inches.
    """
    figure, axes = new_figure((width, 5.2))
    told_apart = len(class_names) <= len(MARKERS)
    for number, name in enumerate(class_names if told_apart else ["all classes"]):
        own = sizes[labels == number] if told_apart else sizes
        counts = Counter(map(tuple, own.tolist()))
        (wide, high), most = counts.most_common(1)[0]
        places = np.array(list(counts))
        axes.scatter(
            places[:, 0], places[:, 1], s=8 * np.sqrt(np.array(list(counts.values()))) + 6, marker=MARKERS[number], alpha=0.7,
            facecolors="none", edgecolors=SHADES[number], linewidths=1.3,
            label=f"{shortened(name, 24)}: {most / len(own):.0%} are {wide:.0f}×{high:.0f}".replace("$", r"\$"),
        )  # fmt: skip
    axes.set(xlabel="width (pixels)", ylabel="height (pixels)", xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=10) if high > 10 * low else MaxNLocator(6))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="x", rotation=60)
    axes.grid(alpha=0.25)
    place: Literal["outside right upper", "outside lower left"]
    place = "outside right upper" if width >= SIDE_BY_SIDE else "outside lower left"
    figure.legend(loc=place, frameon=False, fontsize=8, title="most frequent size", title_fontsize=8)
    return figure
