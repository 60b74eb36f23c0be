"""The picture of a label curve: accuracy over labelled images per class, one line per method."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, LONGEST, SIDE_BY_SIDE, fill, new_figure, shortened

_STYLES = {
    "logistic": ("logistic regression, last layer", COLOURS[0], "-", "o"),
    "logistic@best": ("logistic regression, best layer", COLOURS[2], "--", "s"),
    "convnet-small": ("small ConvNet from scratch", COLOURS[1], "-.", "D"),
}
TICKS_APART = 1.3  # ratio of two sizes whose names do not touch


Point = Mapping[str, Any]


def label_curve_chart(
    points: Sequence[Point], *, data: str, backbone: str, answer: str, scored_on: str, width: float = 8.0
) -> Figure:
    """Draw the mean accuracy with its interval over seeds; the horizontal axis is logarithmic.

    Args:
        points: as results have them, of one or several methods, in rising size per method.
        data: their title.
        backbone: whose frozen features they are of.
        answer: which method is ahead where, under the title.
        scored_on: `test` or `validation`.
        width: of the figure, inches.
    """
    figure, axes = new_figure((width, 4.8))
    for method in dict.fromkeys(point["method"] for point in points):
        _line(axes, [point for point in points if point["method"] == method])
    axes.set_xscale("log")
    axes.set_xticks(*_ticks(points))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1.02)
    seeds = points[0]["seeds"]
    spread = f"mean and 95 % t-interval over n = {seeds} seeds" if seeds > 1 else "one seed: no interval"
    axes.set(xlabel="labelled training images per class", ylabel=f"top-1 accuracy on {scored_on} images\n({spread})")
    title = f"{shortened(data, LONGEST)}: frozen features of {shortened(backbone, LONGEST)}"
    lines = "\n".join(fill(text, width) for text in (title, answer))
    figure.suptitle(lines, fontsize=10, x=0.01, ha="left", parse_math=False)
    axes.grid(alpha=0.25)
    if width >= SIDE_BY_SIDE:
        axes.legend(frameon=False, fontsize=9, loc="best")
    else:
        figure.legend(frameon=False, fontsize=8, loc="outside lower left")
    return figure


def _line(axes: Axes, points: list[Point]) -> None:
    name, colour, style, marker = _STYLES[points[0]["method"]]
    places, means = [_position(point) for point in points], [point["mean"] for point in points]
    legend = f"{name}: {means[-1]:.1%} at {_size(points[-1])}"
    axes.plot(places, means, color=colour, ls=style, marker=marker, ms=5, lw=1.8, label=legend)
    for place, point in zip(places, points, strict=True):
        if point["interval"]:
            axes.plot([place, place], point["interval"], color=colour, lw=5, alpha=0.35, solid_capstyle="butt")


def _ticks(points: Sequence[Point]) -> tuple[list[float], list[str]]:
    """Return the places of the sizes and their names; a number that would touch `all` has no name."""
    names = {_position(point): _size(point) for point in points}
    whole = next((place for place, name in names.items() if name == "all"), None)
    if whole is not None:
        names = {place: name if place * TICKS_APART < whole else "" for place, name in names.items()}
        names[whole] = f"all\n({whole:,.0f})"
    return list(names), list(names.values())


def _size(point: Point) -> str:
    return "all" if point["per_class"] == "all" else f"{point['per_class']:,}"


def _position(point: Point) -> float:
    return float(point["images"] / point["classes"] if point["per_class"] == "all" else point["per_class"])
