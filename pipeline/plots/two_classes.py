"""The picture of two classes: what a moved threshold gains and costs."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, LONGEST, SIDE_BY_SIDE, STYLES, new_panels, shortened


def two_class_curves(curves: Mapping[str, Mapping[str, Any]], positive: str, width: float = 9.0) -> Figure:
    """Draw the ROC and the precision-recall curve of every method, side by side where there is room.

    Args:
        curves: as results have them, by the method's label.
        positive: the class that is looked for.
        width: of the figure, inches.
    """
    figure, (left, right) = new_panels(width, 4.0, 2)
    for number, (name, own) in enumerate(curves.items()):
        drawn = {"color": COLOURS[number % len(COLOURS)], "ls": STYLES[number % len(STYLES)], "lw": 1.8}
        left.plot(own["false_positive_rate"], own["true_positive_rate"], label=shortened(name, LONGEST), **drawn)
        right.plot(own["recall"], own["precision"], **drawn)
    left.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--", label="guessing")
    left.set(xlabel="share of the other class taken for it", ylabel=f"recall of {shortened(positive, 16)}")
    right.set(xlabel=f"recall of {shortened(positive, 16)}", ylabel="precision")
    for panel, title in ((left, "ROC curve"), (right, "precision-recall curve")):
        panel.set(xlim=(0, 1), ylim=(0, 1.02))
        panel.set_title(title, fontsize=10, loc="left")
        panel.xaxis.set_major_formatter(PercentFormatter(1))
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.grid(alpha=0.25)
    columns = 2 if width >= SIDE_BY_SIDE else 1
    legend = figure.legend(loc="outside lower left", ncols=columns, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure
