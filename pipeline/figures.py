"""What stands beside an accuracy in results: figures that see unequal classes, with their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95  # of every interval
SIGNIFICANT = 0.05  # a difference with a p-value below is said to be more than chance
MEASURES = ("balanced_accuracy", "macro_f1", "auroc", "average_precision")


@dataclass(frozen=True)
class Figure:
    """A figure, 0..1, and its interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """How well a method answers on some images.

    Attributes:
        n: the number of images.
        groups: how many groups they come in, which the intervals count; None where each image is one of its own.
        accuracy: the share of right answers.
        majority: the accuracy of always answering with the labels' most frequent class.
        balanced_accuracy: the mean recall of the classes that occur in the labels.
        macro_f1: the mean F1 of the classes that occur in the labels or the answers.
        worst_class: the class of the lowest recall, of those that occur in the labels; of equals the first.
        worst_recall: its recall.
        auroc: of two classes the area under the ROC curve; None for more, or where one is absent.
        average_precision: likewise, of the class that is rarer in the labels, the second where both are equally frequent.
    """

    n: int
    accuracy: Figure
    majority: float
    balanced_accuracy: Figure
    macro_f1: Figure
    worst_class: int
    worst_recall: float
    auroc: Figure | None = None
    average_precision: Figure | None = None
    groups: int | None = None

    def named(self, select: str) -> Figure:
        """Return the figure of a criterion; accuracy where it has none: of log loss, and of one class alone."""
        found: Figure | None = getattr(self, select.replace("-", "_"), None)
        return found or self.accuracy


def figures_json(by_split: Mapping[str, Figures | None]) -> dict[str, Any]:
    """Return what a method's row has beside its accuracy: each figure by split, as `accuracy` is.

    Args:
        by_split: the figures of every split the row has; None where it was not scored.

    Returns:
        `majority`, `worst_recall` and `worst_class` (a number) by split; each of `MEASURES` and its `…_interval`, those of two
        classes only where there are two; `groups` where images of some split come in groups.
    """
    row: dict[str, Any] = {
        name: {split: getattr(own, name) if own else None for split, own in by_split.items()}
        for name in ("majority", "worst_recall", "worst_class")
    }
    for name in MEASURES:
        found = {split: getattr(own, name) if own else None for split, own in by_split.items()}
        if name in ("auroc", "average_precision") and not any(found.values()):
            continue
        row[name] = {split: one.value if one else None for split, one in found.items()}
        row[f"{name}_interval"] = {split: [one.low, one.high] if one else None for split, one in found.items()}
    if any(own and own.groups for own in by_split.values()):
        row["groups"] = {split: own.groups if own else None for split, own in by_split.items()}
    return row


def figures_of_row(row: Mapping[str, Any], split: str) -> Figures | None:
    """Return the figures that `figures_json` made entries of; None where the row has none of this split."""
    if row.get("majority", {}).get(split) is None:
        return None
    ends = row["interval"][split]
    found = {
        name: Figure(row[name][split], *row[f"{name}_interval"][split])
        for name in MEASURES
        if row.get(name, {}).get(split) is not None
    }
    return Figures(
        n=row["n"][split],
        accuracy=Figure(row["accuracy"][split], *ends),
        majority=row["majority"][split],
        worst_class=row["worst_class"][split],
        worst_recall=row["worst_recall"][split],
        groups=row.get("groups", {}).get(split),
        **found,
    )
