"""What stands beside an accuracy: figures that see unequal classes, with their intervals, and curves of two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from bottleneck_features.models.criteria import rarer_class
from bottleneck_features.pipeline.evaluation.estimates import (
    Estimate,
    auroc,
    average_precision,
    balanced_accuracy,
    macro_f1,
)
from bottleneck_features.pipeline.evaluation.groups import images_kept
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.figures import Figure, Figures

_POINTS = 200


def figures(
    labels: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None = None
) -> Figures:
    """Return the figures of a method's answers.

    Args:
        labels: `(n,)` integers, n > 0.
        probabilities: `(n, classes)`.
        predicted: `(n,)` integers: the classes answered, by the highest probability or by a threshold that was moved.
        groups: `(n,)` integers, of images that are not independent.
    """
    accuracy = score(labels, predicted, groups)
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    recalls = np.bincount(labels, labels == predicted)[present] / counts[present]
    worst = present[recalls.argmin()]
    positive = positive_class(labels, probabilities)
    ranking = {}
    if positive is not None:
        found, scores = labels == positive, probabilities[:, positive]
        ranking = {
            "auroc": _figure(labels, auroc(found, scores), groups),
            "average_precision": _figure(labels, average_precision(found, scores), groups),
        }
    return Figures(
        accuracy.n,
        Figure(accuracy.accuracy, accuracy.low, accuracy.high),
        float(counts.max() / counts.sum()),
        _figure(labels, balanced_accuracy(labels, predicted), groups),
        _figure(labels, macro_f1(labels, predicted), groups),
        int(worst),
        float(recalls.min()),
        **ranking,
        groups=None if groups is None else len(np.unique(groups)),
    )


def positive_class(labels: np.ndarray, probabilities: np.ndarray) -> int | None:
    """Return the class whose scores are ranked, see `Figures`; None unless there are two and both occur."""
    counts = np.bincount(labels, minlength=2)
    return rarer_class(labels) if probabilities.shape[1] == 2 and counts.all() else None


def _figure(labels: np.ndarray, estimate: Estimate, groups: np.ndarray | None) -> Figure:
    return Figure(estimate.value, *estimate.interval(images_kept(estimate.influence, groups, labels)))


@dataclass(frozen=True)
class TwoClassCurves:
    """The points of both curves of a class against the other, at most 200 each, from its highest score to its lowest."""

    positive: int
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    recall: list[float]
    precision: list[float]


def curves(labels: np.ndarray, probabilities: np.ndarray) -> TwoClassCurves | None:
    """Return the ROC and the precision-recall curve of two classes, else None; for the positive class see `Figures`.

    Args:
        labels: `(n,)` integers.
        probabilities: `(n, classes)`.
    """
    positive = positive_class(labels, probabilities)
    if positive is None:
        return None
    found, scores = labels == positive, probabilities[:, positive]
    roc = roc_curve(found, scores)[:2]
    precision, recall, _ = precision_recall_curve(found, scores, drop_intermediate=True)
    return TwoClassCurves(positive, *_thinned(*roc), *_thinned(recall[::-1], precision[::-1]))


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Keep both ends and points about evenly along the curve."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    chosen = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _POINTS - 1)).clip(max=len(x) - 1))
    chosen = np.union1d(chosen, [0, len(x) - 1])
    return x[chosen].tolist(), y[chosen].tolist()
