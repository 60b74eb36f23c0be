"""The picture of calibration: reliability diagrams before and after temperature scaling."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from bottleneck_features.pipeline.heads.calibration import BINS, Calibration, Reliability
from bottleneck_features.pipeline.plots import COLOURS, save_figure

CENTRES = (np.arange(BINS) + 0.5) / BINS


def reliability_diagram(calibration: Calibration, title: str, path: Path) -> Path:
    """Draw accuracy over confidence before and after temperature scaling, above the images in each bin.

    Args:
        calibration: of the test images (of the validation images where there are none).
        title: of the whole picture, such as the method's name and what it was scored on.
        path: of the PNG.

    Returns:
        `path`.
    """
    figure, axes = plt.subplots(
        2, 2, figsize=(9, 5.6), sharex=True, sharey="row", layout="constrained", height_ratios=(3, 1)
    )
    columns = (("before", calibration.before), (f"after, T = {calibration.temperature:.2f}", calibration.after))
    for column, (name, measured) in enumerate(columns):
        _diagram(axes[0, column], measured)
        _histogram(axes[1, column], measured)
        axes[0, column].set_title(f"{name}: error {100 * measured.expected_error:.1f} points", fontsize=10, loc="left")
    axes[0, 0].set_ylabel("top-1 accuracy")
    axes[1, 0].set_ylabel("share of images")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    return save_figure(figure, path)


def _diagram(axes: Axes, measured: Reliability) -> None:
    filled = measured.counts > 0
    axes.bar(CENTRES[filled], measured.accuracy[filled], 0.92 / BINS, color=COLOURS[0], label="accuracy of the bin")
    axes.plot(
        measured.confidence[filled], measured.confidence[filled], "D", color=COLOURS[1], ms=5, mfc="white",
        label="mean confidence of the bin",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--", label="confidence = accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)


def _histogram(axes: Axes, measured: Reliability) -> None:
    axes.bar(CENTRES, measured.counts / measured.counts.sum(), 0.92 / BINS, color="0.6")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("confidence (largest class probability)")
    axes.grid(alpha=0.25, axis="y")
