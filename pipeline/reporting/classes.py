"""How well a method does on each class: precision, recall and F1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from bottleneck_features.pipeline.comparison.evaluation import score_counts

COLUMNS = ("class", "images", "precision", "recall [95 %]", "F1")


@dataclass(frozen=True)
class ClassTable:
    """A method's rows, the lowest F1 first, in the order of `COLUMNS`, and its unweighted mean F1."""

    method: str
    rows: tuple[tuple[str, ...], ...]
    macro_f1: str


def class_table(method: str, labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> ClassTable:
    """Measure a method on every class that was scored.

    Args:
        method: its name.
        labels: `(n,)` true classes.
        predicted: `(n,)` predicted classes.
        class_names: of the labels.

    Returns:
        The `ClassTable`; a class that was never predicted has no precision, and an F1 of 0.
    """
    present = np.unique(labels)
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=present, zero_division=np.nan
    )
    f1 = np.nan_to_num(f1)
    rows = []
    for row in np.argsort(f1, kind="stable"):
        found = score_counts(round(recall[row] * images[row]), int(images[row]))
        rows.append(
            (
                class_names[present[row]],
                f"{images[row]:,}",
                "–" if np.isnan(precision[row]) else _percent(precision[row]),
                f"{_percent(recall[row])} [{100 * found.low:.1f}, {100 * found.high:.1f}]",
                _percent(f1[row]),
            )
        )
    return ClassTable(method, tuple(rows), _percent(float(f1.mean())))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
