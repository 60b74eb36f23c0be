"""The picture of a label curve: accuracy over labelled images per class, one line a method."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from scipy.stats import sem, t

from bottleneck_features.pipeline.comparison.evaluation import CONFIDENCE
from bottleneck_features.pipeline.plots import COLOURS, save_figure, shortened

if TYPE_CHECKING:
    from bottleneck_features.pipeline.heads.label_curve import CurvePoint

STYLES = {
    "linear": ("linear probe, last layer", COLOURS[0], "-", "o"),
    "earlier": ("linear probe, best earlier layer", COLOURS[2], "--", "s"),
    "convnet-small": ("small ConvNet from scratch", COLOURS[1], "-.", "D"),
}
WIDEST = 80  # characters of a line of the title, which begins at the axis and ends before the picture does
TICKS_APART = 1.3  # ratio of two sizes whose names do not touch


def label_curve_chart(points: Sequence["CurvePoint"], title: str, path: Path) -> Path:
    """Draw mean test accuracy with its interval over seeds; the horizontal axis is logarithmic.

    Args:
        points: of one or several methods, in rising size a method.
        title: of the picture.
        path: of the PNG.

    Returns:
        `path`.
    """
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for method in dict.fromkeys(point.method for point in points):
        _line(axes, [point for point in points if point.method == method])
    axes.set_xscale("log")
    axes.set_xticks(*_ticks(points))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylim(0, 1.02)
    seeds = len(points[0].accuracies)
    spread = f"mean and 95 % t-interval over n = {seeds} seeds" if seeds > 1 else "one seed: no interval"
    axes.set(xlabel="labelled training images per class", ylabel=f"top-1 accuracy on test\n({spread})")
    lines = [line for text in (shortened(title, 2 * WIDEST), crossing(points)) for line in textwrap.wrap(text, WIDEST)]
    axes.set_title("\n".join(lines), fontsize=10, loc="left", parse_math=False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return save_figure(figure, path)


def crossing(points: Sequence["CurvePoint"]) -> str:
    """Return in one line at which sizes the better probe is ahead, at which the ConvNet, and where that cannot be told.

    One is ahead where Student's t interval of the paired differences over seeds leaves 0 out; with one seed nothing has an
    interval, and the figures alone decide.
    """
    sizes = list(dict.fromkeys(point.per_class for point in points))
    leader = {size: _ahead([point for point in points if point.per_class == size]) for size in sizes}
    said = {
        "transfer": "transfer is ahead",
        "scratch": "the ConvNet from scratch is ahead",
        "": "no difference can be told",
    }
    parts = []
    for who, words in said.items():
        where = ["all" if size is None else f"{size:,}" for size in sizes if leader[size] == who]
        if len(where) == len(sizes):
            return f"{words} at {'any' if not who else 'every'} size"
        parts += [f"{words} at {', '.join(where)}"] if where else []
    return f"{'; '.join(parts)} (images per class)"


def _ahead(points: list["CurvePoint"]) -> str:
    """`transfer`, `scratch`, or neither."""
    scratch = next(point for point in points if not point.layers)
    transfer = max((point for point in points if point.layers), key=lambda point: point.mean)
    gains = np.subtract(transfer.accuracies, scratch.accuracies)
    reach = 0.0 if np.ptp(gains) == 0 else sem(gains) * t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)
    if abs(gains.mean()) <= reach:
        return ""
    return "transfer" if gains.mean() > 0 else "scratch"


def _line(axes: Axes, points: list["CurvePoint"]) -> None:
    name, colour, style, marker = STYLES[points[0].method]
    places, means = [_position(point) for point in points], [point.mean for point in points]
    largest = "all" if points[-1].per_class is None else f"{points[-1].per_class:,}"
    legend = f"{name}: {means[-1]:.1%} at {largest}"
    axes.plot(places, means, color=colour, ls=style, marker=marker, ms=5, lw=1.8, label=legend)
    for place, point in zip(places, points, strict=True):
        if point.interval:
            axes.plot([place, place], point.interval, color=colour, lw=5, alpha=0.35, solid_capstyle="butt")


def _ticks(points: Sequence["CurvePoint"]) -> tuple[list[float], list[str]]:
    """Return the places of the sizes and their names; a number that would touch `all` has no name."""
    names = {_position(point): "" if point.per_class is None else f"{point.per_class:,}" for point in points}
    whole = next((place for place, name in names.items() if not name), None)
    if whole is not None:
        names = {place: name if place * TICKS_APART < whole else "" for place, name in names.items()}
        names[whole] = f"all\n({whole:,.0f})"
    return list(names), list(names.values())


def _position(point: "CurvePoint") -> float:
    return float(point.per_class or point.images / point.classes)
