"""What a search decides by: one number for probabilities of samples whose labels are known, higher is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import rankdata

from bottleneck_features.models.errors import require_choice
from bottleneck_features.models.probabilities import SMALLEST_PROBABILITY

Criterion = Callable[[np.ndarray, np.ndarray], float]  # of (n, classes) probabilities and (n,) labels


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples whose label is the most probable; scores do as well as probabilities."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of the classes' recalls; classes that no label names are left out."""
    right, count, _ = _tallies(probabilities, labels)
    present = count > 0
    return float((right[present] / count[present]).mean())


def macro_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of the classes' F1 scores, over the classes in labels or predictions."""
    right, count, predicted = _tallies(probabilities, labels)
    either = count + predicted
    return float((2 * right[either > 0] / either[either > 0]).mean())


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy in nats of `(n, classes)` probabilities; those below the smallest count as that."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1.0)).mean())


def auroc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve of two classes.

    Raises:
        ValueError: other than two classes, or labels of one class only.
    """
    positive = rarer_class(labels)
    is_positive, scores = _two_classes("AUROC", probabilities, labels, positive)
    positives = int(is_positive.sum())
    ranks = rankdata(scores)[is_positive].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(labels) - positives)))


def average_precision(probabilities: np.ndarray, labels: np.ndarray, positive: int | None = None) -> float:
    """Return the average precision of one of two classes.

    Args:
        probabilities: `(n, 2)`.
        labels: `(n,)`.
        positive: the class that is looked for; default: the rarer one of the labels.

    Raises:
        ValueError: other than two classes, or labels of one class only.
    """
    from sklearn.metrics import average_precision_score

    positive = rarer_class(labels) if positive is None else positive
    is_positive, scores = _two_classes("Average precision", probabilities, labels, positive)
    return float(average_precision_score(is_positive, scores))


CRITERIA: Mapping[str, Criterion] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "macro-f1": macro_f1,
    "log-loss": lambda probabilities, labels: -log_loss(probabilities, labels),
    "auroc": auroc,
    "average-precision": average_precision,
}
FOR_TWO_CLASSES = ("auroc", "average-precision")


def criterion_named(name: str) -> Criterion:
    """Return the criterion of this name.

    Raises:
        InvalidSetting: there is none.
    """
    return CRITERIA[require_choice("criterion", name, CRITERIA)]


def default_criterion(labels: np.ndarray, classes: int) -> str:
    """Return the criterion that suits the labels.

    Args:
        labels: `(n,)` integers in 0 … classes − 1.
        classes: how many.

    Returns:
        `balanced-accuracy` where the rarest class has less than half of the classes' mean share (two classes: less than
        25 %), else `accuracy`.
    """
    rarest = np.bincount(labels, minlength=classes).min()
    return "balanced-accuracy" if 2 * classes * rarest < len(labels) else "accuracy"


def rarer_class(labels: np.ndarray) -> int:
    """Return which of two classes has fewer labels; 1 where they have as many."""
    first, second = np.bincount(labels, minlength=2)[:2]
    return 0 if first < second else 1


def _tallies(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of every class how many samples are right, have its label, and are predicted to be it."""
    classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    named = (labels[predicted == labels], labels, predicted)
    right, count, answers = (np.bincount(some, minlength=classes) for some in named)
    return right, count, answers


def _two_classes(
    name: str, probabilities: np.ndarray, labels: np.ndarray, positive: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which samples are of the class, and its probabilities."""
    if probabilities.shape[1] != 2:
        raise ValueError(f"{name} is for two classes. Received: {probabilities.shape[1]} classes.")
    is_positive = labels == positive
    if is_positive.all() or not is_positive.any():
        raise ValueError(f"{name} needs samples of both classes. Received: {len(labels)} of class {labels[0]} only.")
    return is_positive, probabilities[:, positive]
