"""The picture of compared networks: what decides, over what an image costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.plots.points import Point, over_cost
from bottleneck_features.pipeline.plots.style import LONGEST, fill, shortened
from bottleneck_features.pipeline.tables import SPLIT_TITLES, megabytes_text, shown_name


def networks(
    rows: Sequence[Mapping[str, Any]], split: str, select: str = "accuracy", width: float = 8.5
) -> Figure | None:
    """Draw what decides of each network's best probe with its 95 % interval, over the milliseconds an image takes to extract.

    Args:
        rows: the `methods` of a comparison of networks.
        split: that they were scored on.
        select: what decides.
        width: of the figure, inches.

    Returns:
        The figure; None where no network's speed is known. Those whose speed is not known are named under it.
    """
    known = [row for row in rows if row["network"]["images_per_second"]]
    if not known:
        return None
    unknown = [row["name"] for row in rows if row not in known]
    missing = f"\nspeed not known: {shortened(', '.join(unknown), LONGEST)}" if unknown else ""
    cost = fill("milliseconds per image, features of all kept layers (log)", width) + missing
    shown = f"{shown_name(select)} ({SPLIT_TITLES.get(split, split)}), 95 % interval"
    return over_cost([_point(row, split, select) for row in known], width, cost, shown)


def _point(row: Mapping[str, Any], split: str, select: str) -> Point:
    network, found = row["network"], Method.from_json(row).figure(split, select)
    label = f"{shortened(row['name'], LONGEST)}\n{found.value:.1%}, {megabytes_text(network['megabytes'])} MB"
    return Point(1000 / network["images_per_second"], found.value, found.low, found.high, label)
