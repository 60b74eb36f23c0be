"""The picture of calibration: reliability diagrams before and after temperature scaling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, SIDE_BY_SIDE, fill, new_figure


def reliability_diagram(calibration: Mapping[str, Any], title: str, width: float = 9.0) -> Figure:
    """Draw accuracy over confidence before and after temperature scaling, above the images in each bin.

    Args:
        calibration: as results have it, of the test images (of the validation images where there are none). Of a method
            whose own scores are no probabilities only what is after.
            Where no temperature is needed both are the same and drawn once.
        title: of the whole picture, such as the method's name and what it was scored on.
        width: of the figure, inches.
    """
    after = f"after, T = {calibration['temperature']:.2f}", calibration["after"]
    before = [("before", calibration["before"])] if calibration["before"] else []
    columns = before if before and calibration["temperature"] == 1 else [*before, after]
    figure, pairs = _panels(width, len(columns))
    for (diagram, histogram), (name, measured) in zip(pairs, columns, strict=True):
        _diagram(diagram, measured["bins"])
        _histogram(histogram, measured["bins"])
        error, low, high = (100 * value for value in (measured["expected_calibration_error"], *measured["interval"]))
        diagram.set_title(
            f"{name}\nerror {error:.1f} points [{low:.1f}, {high:.1f}],\n"
            f"{100 * measured['noise_floor']:.1f} if perfectly calibrated",
            fontsize=10,
            loc="left",
        )
        diagram.set_ylabel("top-1 accuracy")
        histogram.set_ylabel("share of images")
    figure.legend(
        *pairs[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3 if width >= SIDE_BY_SIDE else 1,
        frameon=False,
        fontsize=8,
    )
    figure.suptitle(fill(title, width), fontsize=10, x=0.01, ha="left", parse_math=False)
    return figure


def _panels(width: float, count: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Return a diagram and its histogram for each of `count` measurements: beside one another where there is room."""
    beside = count if width >= SIDE_BY_SIDE else 1
    heights = (3, 1) * (count // beside)
    size = (width if beside == count > 1 else min(width, 5.2), 1.35 * sum(heights) + 0.4)
    figure, axes = new_figure(size, len(heights), beside, squeeze=False, sharex=True, height_ratios=heights)
    for histogram in axes[1::2].ravel():
        histogram.xaxis.set_tick_params(labelbottom=True)
    return figure, [
        (axes[2 * (n // beside), n % beside], axes[2 * (n // beside) + 1, n % beside]) for n in range(count)
    ]


def _diagram(axes: Axes, bins: Mapping[str, Any]) -> None:
    centres, width = _places(bins)
    filled = np.array(bins["count"]) > 0
    confidence, accuracy = (np.array(bins[name], float)[filled] for name in ("confidence", "accuracy"))
    axes.bar(centres[filled], accuracy, width, color=COLOURS[0], label="accuracy of the bin")
    axes.plot(
        confidence, confidence, "D", color=COLOURS[1], ms=5, mfc="white",
        label="mean confidence of the bin",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--", label="confidence = accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.25)


def _histogram(axes: Axes, bins: Mapping[str, Any]) -> None:
    centres, width = _places(bins)
    axes.bar(centres, np.array(bins["count"]) / sum(bins["count"]), width, color="0.6")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("confidence (largest class probability)")
    axes.grid(alpha=0.25, axis="y")


def _places(bins: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """Return the centres of bins of equal width over 0..1, and how wide their bars are."""
    count = len(bins["count"])
    return (np.arange(count) + 0.5) / count, 0.92 / count
