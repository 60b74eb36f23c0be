"""What stands beside an accuracy in results: figures that see unequal classes, with their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        accuracy: the share of right answers.
        majority: the accuracy of always answering with the labels' most frequent class.
        balanced_accuracy: the mean recall of the classes that occur in the labels.
        macro_f1: the mean F1 of the classes that occur in the labels or the answers.
        worst_class: the class of the lowest recall, of those that occur in the labels; of equals the first.
        worst_recall: its recall.
        worst_n: its number of images.
        positive: of two classes, the one that is rarer in the labels, the second where both are equally frequent; else
            None, as are the two figures that follow. They are also None where one class is absent.
        auroc: the area under the ROC curve, the same whichever class is the positive one.
        average_precision: that of the positive class.
    """

    n: int
    accuracy: Figure
    majority: float
    balanced_accuracy: Figure
    macro_f1: Figure
    worst_class: int
    worst_recall: float
    worst_n: int
    positive: int | None = None
    auroc: Figure | None = None
    average_precision: Figure | None = None


def figures_json(by_split: Mapping[str, Figures | None]) -> dict[str, Any]:
    """Return what a method's row has beside its accuracy: each figure by split, as `accuracy` is.

    Args:
        by_split: the figures of every split the row has; None where it was not scored.

    Returns:
        `majority`, `worst_recall` and `worst_class` (a number) by split; each of `MEASURES` and its `…_interval`, those of two
        classes only where there are two.
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
    return row
