"""The picture of a simulated stage one: hours over workers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from bottleneck_features.pipeline.plots.style import COLOURS, save_figure


def scale_chart(rows: Sequence[Mapping[str, Any]], seeds: int, title: str, path: Path) -> Path:
    """Draw hours over workers, both axes logarithmic, with the line of nothing ever going wrong.

    Args:
        rows: as from `simulated_rows`.
        seeds: how many runs each is the mean of.
        title: of the picture.
        path: of the PNG.

    Returns:
        `path`.
    """
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    workers, hours = [row["workers"] for row in rows], [row["hours"] for row in rows]
    ideal = [row["ideal_hours"] for row in rows]
    axes.plot(workers, ideal, color="0.45", linestyle="--", label="if nothing failed and all were equally fast")
    axes.plot(workers, hours, color=COLOURS[0], marker="o", label=f"simulated, mean of {seeds} runs")
    for count, value in zip(workers, hours, strict=True):
        axes.annotate(f"{value:,.3g} h", (count, value), xytext=(4, 7), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="hours until the last shard is written")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="0.9")
    axes.legend(frameon=False)
    axes.set_title(title, loc="left", fontsize=10)
    return save_figure(figure, path)
