"""The pictures of a probe: validation accuracy over the L2 penalty, and over the depth of the layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bottleneck_features.pipeline.figures import Figure as Share
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.plots.style import COLOURS, SIDE_BY_SIDE, STYLES, fill, new_figure, spanned
from bottleneck_features.pipeline.tables import select_name, shown_name

LEAST_SPAN = 0.15  # of the vertical axis
TITLES = {"logistic": "logistic regression (L-BFGS)", "ridge": "ridge regression (closed form)"}
_MARKERS = {"logistic": "o", "ridge": "s", "knn": "^", "head": "D"}
NAMES = {
    "logistic": "logistic regression",
    "ridge": "ridge regression",
    "knn": "k-NN (cosine)",
    "head": "Dropout + Dense",
}


def paths(rows: Sequence[Mapping[str, Any]], select: str = "accuracy") -> Figure:
    """Draw what decides on validation images over L2: a panel each for logistic and ridge, a line per set of layers.

    The chosen penalty of each line is marked.

    Args:
        rows: the `paths` of a probe's result.
        select: what decides.
    """
    figure, axes = new_figure((11, 4.6), 1, 2, sharey=True)
    for panel, family in zip(axes, TITLES, strict=True):
        lines = [row for row in rows if row["family"] == family]
        for index, row in enumerate(lines):
            colour = COLOURS[index % len(COLOURS)]
            label = " + ".join(row["layers"])
            panel.plot(row["l2"], row["criterion"], color=colour, ls=STYLES[index % len(STYLES)], lw=1.6, label=label)
            panel.plot(row["chosen"], _reached(row), "o", color=colour, ms=7, mec="white", zorder=3)
        best = max(lines, key=_reached)
        title = f"{TITLES[family]}: best {_shown(_reached(best), select)} at L2 = {best['chosen']:.2g}"
        panel.set_title(title, fontsize=10, loc="left")
        panel.set(xscale="log", xlabel="L2 penalty (weak to strong)")
        panel.grid(alpha=0.25)
    axes[0].set_ylabel(f"{select_name(select)} on validation images{' (negative)' * (select == 'log-loss')}")
    axes[0].yaxis.set_major_formatter("{x:.2g}" if select == "log-loss" else PercentFormatter(1))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False, fontsize=8)
    return figure


def _reached(row: Mapping[str, Any]) -> float:
    """Return what decided, at the chosen L2."""
    return row["criterion"][row["l2"].index(row["chosen"])]


def _shown(value: float, select: str) -> str:
    return f"{value:.3g}" if select == "log-loss" else f"{value:.1%}"


def depth(
    methods: Sequence[Method], layers: Sequence[str], backbone: str, select: str = "accuracy", width: float = 8.0
) -> Figure:
    """Draw what decides, on validation images, with its 95 % interval over the layers, early to late, a line per family.

    Args:
        methods: probes on one layer or several.
        layers: of the network, early to late.
        backbone: its name.
        select: what decides.
        width: of the figure, inches.
    """
    figure, axes = new_figure((width, 4.4))
    spread = np.linspace(-0.09, 0.09, len(_MARKERS))
    shown: list[Share] = []
    for index, (family, marker) in enumerate(_MARKERS.items()):
        rows = sorted(
            (m for m in methods if m.name == family and len(m.layers) == 1), key=lambda m: layers.index(m.layers[0])
        )
        if not rows:
            continue
        found = [row.figure("validation", select) for row in rows]
        shown += found
        middle = np.array([one.value for one in found])
        reach = np.array([[one.value - one.low, one.high - one.value] for one in found]).T
        axes.errorbar(
            np.arange(len(rows)) + spread[index], middle, reach, color=COLOURS[index], marker=marker,
            ls=STYLES[index], lw=1.5, elinewidth=1, ms=6, label=NAMES[family],
        )  # fmt: skip
    title = [f"frozen features: {backbone}"]
    several = [method for method in methods if len(method.layers) > 1]
    if several:
        joined = max(several, key=lambda method: method.figure("validation", select).value)
        value = joined.figure("validation", select).value
        axes.axhline(value, color="0.35", lw=1, ls=(0, (1, 2)))
        title.append(f"dotted: {' + '.join(joined.layers)}, {NAMES[joined.name]}: {value:.1%}")
    crowded = sum(map(len, layers)) > 11 * width
    axes.set_xticks(
        range(len(layers)),
        layers,
        fontsize=9,
        parse_math=False,
        rotation=40 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.set_ylim(*spanned(min(one.low for one in shown), max(one.high for one in shown), LEAST_SPAN))
    axes.set_xlim(-0.4, len(layers) - 0.6)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlabel="layer, early to late", ylabel=f"{shown_name(select)} on validation images,\n95 % interval")
    lines = "\n".join(fill(line, width) for line in title)
    figure.suptitle(lines, fontsize=10, x=0.01, ha="left", parse_math=False)
    axes.grid(axis="y", alpha=0.25)
    figure.legend(frameon=False, fontsize=8, loc="outside lower left", ncols=4 if width >= SIDE_BY_SIDE else 1)
    return figure
