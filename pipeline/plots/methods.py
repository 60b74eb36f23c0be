"""The pictures of trained methods: learning curves and confusion matrices."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bottleneck_features.pipeline.method_row import Curves, kept_epoch
from bottleneck_features.pipeline.plots.style import (
    COLOURS,
    LONGEST,
    NAMED_CLASSES,
    SIDE_BY_SIDE,
    fill,
    new_figure,
    new_panels,
    shortened,
)
from bottleneck_features.pipeline.tables import share_text

ANNOTATED_CLASSES = 20
RATED_CLASSES = 12  # whose cells have room for a rate under the count

ON_BLUES = ("#010101", "#fefefe")  # text on the light and the dark part of the colour map: contrast 4.5 at least
DARK = 0.71  # from this rate on


def learning_curves(name: str, curves: Curves, width: float = 9.5) -> Figure:
    """Draw a method's accuracy and loss over epochs; the kept epoch is marked.

    Args:
        name: of the method.
        curves: `loss`, `accuracy`, `val_loss` and `val_accuracy`, one value per epoch.
        width: of the figure, inches.
    """
    figure, (left, right) = new_panels(width, 3.1, 2)
    _curve(left, curves, "accuracy", "top-1 accuracy")
    _curve(right, curves, "loss", "cross-entropy (nats)")
    epoch = kept_epoch(curves)
    kept = curves["val_accuracy"][epoch - 1]
    title = fill(f"{shortened(name, LONGEST)}: {kept:.1%} on validation at epoch {epoch}", width)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    left.set_ylim(top=1.0)
    left.yaxis.set_major_formatter(PercentFormatter(1))
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


def confusion_matrices(
    matrices: Mapping[str, np.ndarray], class_names: Sequence[str], width: float | None = None
) -> Figure:
    """Draw one confusion matrix per method, side by side: colour is the row's rate, the number its count, above the rate.

    Args:
        matrices: `(classes, classes)` counts by method.
        class_names: of the classes; above `NAMED_CLASSES`, and on a phone, axes have their numbers, from 0.
        width: of the figure, inches; None: as wide as the classes need.
    """
    columns = min(2, len(matrices))
    size = width / columns if width else max(4.2, 0.36 * min(len(class_names), NAMED_CLASSES) + 1.6)
    named = class_names if len(class_names) <= NAMED_CLASSES and (width is None or width >= SIDE_BY_SIDE) else ()
    rows = -(-len(matrices) // columns)
    figure, axes = new_figure((size * columns, size * rows), rows, columns, squeeze=False)
    for panel in axes.flat[len(matrices) :]:
        panel.set_axis_off()
    for panel, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        _confusion(panel, counts, named)
        title = f"{shortened(name, LONGEST)}: {np.trace(counts):,} of {counts.sum():,} right"
        panel.set_title(title, fontsize=10, loc="left", parse_math=False)
    return figure


def _confusion(axes: Axes, counts: np.ndarray, class_names: Sequence[str]) -> None:
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class")
    if class_names:
        names = [shortened(name, 16) for name in class_names]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    if len(counts) > ANNOTATED_CLASSES:
        return
    rated = len(counts) <= RATED_CLASSES
    for row, column in np.argwhere(counts):
        rate = rates[row, column]
        note = f"{counts[row, column]:,}\n{share_text(rate)}" if rated else f"{counts[row, column]:,}"
        axes.text(column, row, note, ha="center", va="center", color=ON_BLUES[int(rate > DARK)], fontsize=6.5)
