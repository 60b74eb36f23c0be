"""The pictures of compared methods: what each one reaches, and what it takes."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bottleneck_features.pipeline.method_row import CROSS_VALIDATED, Method
from bottleneck_features.pipeline.plots.points import Point, over_cost
from bottleneck_features.pipeline.plots.style import (
    COLOURS,
    LONGEST,
    SIDE_BY_SIDE,
    fill,
    new_figure,
    shortened,
    spanned,
)
from bottleneck_features.pipeline.tables import SPLIT_TITLES, shown_name

LEAST_SPAN = 0.25  # of the axis of accuracies
_ROW, _LINE = 0.46, 0.15  # inches of a method, and of each further line of its name


def comparison(
    methods: Sequence[Method], backbone: str, select: str = "accuracy", best: str = "", width: float = 8.5
) -> Figure:
    """Draw what decides of each method with its 95 % interval: on test images or cross-validated, else on validation images.

    Args:
        methods: in the order of the rows.
        backbone: whose frozen features they are of.
        select: what decides.
        best: the label of the method whose name is drawn bold.
        width: of the figure, inches.
    """
    names = [_in_lines(method, width) for method in methods]
    further = [name.count("\n") for name in names]
    figure, axes = new_figure(
        (width, _ROW * len(methods) + _LINE * sum(further) + (1.3 if width >= SIDE_BY_SIDE else 1.6))
    )
    splits = [
        next(one for one in ("test", CROSS_VALIDATED, "validation") if one in method.scores) for method in methods
    ]
    found = [method.figure(split, select) for method, split in zip(methods, splits, strict=True)]
    rows, place = [], 0.0
    for lines in further:
        place += 1 + lines * _LINE / _ROW
        rows.append(place)
    for row, method, name, split, figured in zip(rows, methods, names, splits, found, strict=True):
        weight = "bold" if method.label == best else "normal"
        written = {"textcoords": "offset points", "va": "bottom", "fontsize": 9, "fontweight": weight}
        note = f"{figured.value:.1%}" + ("" if split != "validation" else ", validation only")
        axes.annotate(name, (0, row), (2, 5), xycoords=("axes fraction", "data"), parse_math=False, **written)
        axes.annotate(note, (1, row), (-2, 5), xycoords=("axes fraction", "data"), ha="right", **written)
        axes.plot([figured.low, figured.high], [row, row], color=COLOURS[0], lw=3, solid_capstyle="butt")
        filled = "white" if split == "validation" else COLOURS[0]
        axes.plot(figured.value, row, "D" if split == "validation" else "o", color=COLOURS[0], ms=7, mfc=filled)
    axes.set_ylim(rows[-1] + 0.35, 0.1)
    axes.set_yticks(rows, [""] * len(rows))
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(*spanned(min(one.low for one in found), max(one.high for one in found), LEAST_SPAN))
    axes.xaxis.set_major_locator(MaxNLocator(6 if width >= SIDE_BY_SIDE else 4))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    counts = dict.fromkeys(
        (SPLIT_TITLES.get(split, f"{split} images"), method.scores[split].n)
        for method, split in zip(methods, splits, strict=True)
    )
    scored = "; ".join(f"{title}, n = {n:,}" for title, n in counts)
    axes.set_xlabel(fill(f"{shown_name(select)} with 95 % interval ({scored})", width), fontsize=9)
    title = f"frozen features: {shortened(backbone, LONGEST)}"
    axes.set_title(fill(title, width), fontsize=10, loc="left", parse_math=False)
    axes.spines["left"].set_visible(False)
    axes.grid(alpha=0.25)
    return figure


def _in_lines(method: Method, width: float) -> str:
    """Return a method's title, in several lines where it has too many layers for the width."""
    most = round(9.5 * width) if width >= SIDE_BY_SIDE else 34
    start, at, layers = method.title.partition("@")
    lines = [start + at]
    for number, layer in enumerate(layers.split("+")):
        part = f"+{layer}" if number else layer
        if len(lines[-1] + part) <= most:
            lines[-1] += part
        else:
            lines.append(part)
    return "\n".join(shortened(line, most) for line in lines)


def accuracy_over_time(methods: Sequence[Method], split: str, select: str = "accuracy", width: float = 8.5) -> Figure:
    """Draw what decides of each method with its 95 % interval over its total time, extraction included.

    Args:
        methods: at least one.
        split: that they were scored on.
        select: what decides.
        width: of the figure, inches.
    """
    points = []
    for method in methods:
        value = method.figure(split, select)
        unknown = ", extraction not counted" if method.seconds.get("extract") is None else ""
        label = f"{shortened(method.title, LONGEST)}\n{value.value:.1%}{unknown}"
        seconds = max(0.01, sum(part or 0.0 for part in method.seconds.values()))
        points.append(Point(seconds, value.value, value.low, value.high, label))
    shown = f"{shown_name(select)} ({SPLIT_TITLES.get(split, split)})"
    return over_cost(points, width, fill("seconds on this machine, extraction and training (log)", width), shown)
