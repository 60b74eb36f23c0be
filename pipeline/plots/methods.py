"""The pictures of trained methods: learning curves, confusion matrices, and accuracies beside one another."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from bottleneck_features.pipeline.method_row import CROSS_VALIDATED, Curves, Method, kept_epoch
from bottleneck_features.pipeline.plots.style import (
    COLOURS,
    LONGEST,
    MARKERS,
    NAMED_CLASSES,
    new_figure,
    shortened,
)
from bottleneck_features.pipeline.tables import SPLIT_TITLES, share_text, shown_name

ANNOTATED_CLASSES = 20
RATED_CLASSES = 12  # whose cells have room for a rate under the count

ON_BLUES = ("#010101", "#fefefe")  # text on the light and the dark part of the colour map: contrast 4.5 at least
DARK = 0.71  # from this rate on


def learning_curves(histories: Mapping[str, Curves]) -> Figure:
    """Draw accuracy and loss over epochs, one row per method; the kept epoch is marked.

    Args:
        histories: by method, `loss`, `accuracy`, `val_loss` and `val_accuracy`, one value per epoch.
    """
    figure, axes = new_figure((9.5, 3.1 * len(histories)), len(histories), 2, squeeze=False)
    for (name, curves), (left, right) in zip(histories.items(), axes, strict=True):
        _curve(left, curves, "accuracy", "top-1 accuracy")
        _curve(right, curves, "loss", "cross-entropy (nats)")
        epoch = kept_epoch(curves)
        kept = curves["val_accuracy"][epoch - 1]
        title = f"{shortened(name, LONGEST)}: {kept:.1%} on validation at epoch {epoch}"
        left.set_title(title, fontsize=10, loc="left", parse_math=False)
        left.set_ylim(top=1.0)
    return figure


def _curve(axes: Axes, curves: Curves, metric: str, name: str) -> None:
    epochs = np.arange(1, len(curves[metric]) + 1)
    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, curves[metric], color=COLOURS[0], label="training", lw=1.6, marker=marker)
    validation = curves[f"val_{metric}"]
    axes.plot(epochs, validation, color=COLOURS[1], label="validation", ls="--", lw=1.6, marker=marker)
    axes.axvline(kept_epoch(curves), color="0.4", lw=1, ls=":", label="kept epoch")
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)


def confusion_matrices(matrices: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """Draw one confusion matrix per method, side by side: colour is the row's rate, the number its count, above the rate."""
    size = max(4.2, 0.36 * min(len(class_names), NAMED_CLASSES) + 1.6)
    columns = min(2, len(matrices))
    rows = -(-len(matrices) // columns)
    figure, axes = new_figure((size * columns, size * rows), rows, columns, squeeze=False)
    for panel in axes.flat[len(matrices) :]:
        panel.set_axis_off()
    for panel, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        _confusion(panel, counts, class_names)
        title = f"{shortened(name, LONGEST)}: {np.trace(counts):,} of {counts.sum():,} right"
        panel.set_title(title, fontsize=10, loc="left", parse_math=False)
    return figure


def _confusion(axes: Axes, counts: np.ndarray, class_names: Sequence[str]) -> None:
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(class_names) <= NAMED_CLASSES:
        names = [shortened(name, 16) for name in class_names]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    if len(class_names) > ANNOTATED_CLASSES:
        return
    rated = len(class_names) <= RATED_CLASSES
    for row, column in np.argwhere(counts):
        rate = rates[row, column]
        note = f"{counts[row, column]:,}\n{share_text(rate)}" if rated else f"{counts[row, column]:,}"
        axes.text(column, row, note, ha="center", va="center", color=ON_BLUES[int(rate > DARK)], fontsize=6.5)


def comparison(methods: Sequence[Method], backbone: str, select: str = "accuracy") -> Figure:
    """Draw what decides of each method with its 95 % interval: on test images or cross-validated, else on validation images."""
    lines = sum(max(2, _in_lines(method).count("\n") + 1) for method in methods)
    figure, axes = new_figure((8.5, 0.27 * lines + 1.6))
    for row, method in enumerate(methods):
        split = next(name for name in ("test", CROSS_VALIDATED, "validation") if name in method.scores)
        seen = split == "validation"
        found, n = method.figure(split, select), method.scores[split].n
        axes.plot([found.low, found.high], [row, row], color=COLOURS[0], lw=2.4, solid_capstyle="butt")
        axes.plot(
            found.value, row, "D" if seen else "o", color=COLOURS[0], ms=7, mfc="white" if seen else COLOURS[0],
        )  # fmt: skip
        note = f"{found.value:.1%} {SPLIT_TITLES.get(split, split)}, n = {n:,}"
        side, shift = ("right", 8) if found.value > 0.5 else ("left", -8)
        axes.annotate(note, (found.value, row), (shift, 9), textcoords="offset points", ha=side, fontsize=8)
    names = [_in_lines(method) for method in methods]
    axes.set_yticks(range(len(methods)), names, fontsize=9, parse_math=False)
    axes.set_ylim(len(methods) - 0.4, -0.8)
    axes.set_xlim(0, 1.04)
    axes.set_xticks(np.arange(0, 1.01, 0.2))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(
        f"{shown_name(select)} with 95 % interval\n(filled: test or cross-validated;\nopen: validation only)",
        fontsize=9,
    )
    axes.set_title(f"frozen features: {shortened(backbone, LONGEST)}", fontsize=10, loc="left", parse_math=False)
    axes.grid(axis="x", alpha=0.25)
    return figure


def _in_lines(method: Method) -> str:
    """Return a method's title, a line for its name and one for each layer, so that the chart keeps its width."""
    start, at, layers = method.title.partition("@")
    name = "\n".join(shortened(part, LONGEST) for part in start.split(": "))
    return name + at + "\n+".join(shortened(layer, LONGEST) for layer in layers.split("+"))


def accuracy_over_time(methods: Sequence[Method], split: str, select: str = "accuracy") -> Figure:
    """Draw what decides of each method with its 95 % interval over its total time, extraction included."""
    figure, axes = new_figure((8.5, 4.2))
    for number, method in enumerate(methods):
        value = method.figure(split, select)
        seconds = sum(part or 0.0 for part in method.seconds.values())
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([seconds, seconds], [value.low, value.high], color=colour, lw=2.4, solid_capstyle="butt")
        unknown = ", extraction not counted" if method.seconds.get("extract") is None else ""
        name = f"{shortened(method.title, LONGEST)}: {value.value:.1%}{unknown}"
        axes.plot(seconds, value.value, MARKERS[number % len(MARKERS)], color=colour, ms=8, label=name)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.12)
    axes.set_ylim(max(0, axes.get_ylim()[0]), min(1.02, axes.get_ylim()[1]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    shown = f"{shown_name(select)} ({SPLIT_TITLES.get(split, split)})"
    axes.set(xlabel="seconds on this machine, extraction and training (log)", ylabel=shown)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.25)
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure
