"""Accuracy with its interval, confusion matrices, and the comparison of two methods on the same images."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Score:
    """A top-1 accuracy: its value (0..1), its Wilson interval at 95 %, and the number of images.

    Source of the interval: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """

    accuracy: float
    low: float
    high: float
    n: int


def score(labels: np.ndarray, predicted: np.ndarray) -> Score:
    """Score predictions.

    Args:
        labels: `(n,)` integer array, n > 0.
        predicted: `(n,)` integer array.

    Returns:
        The `Score`.
    """
    return score_counts(int(np.sum(labels == predicted)), len(labels))


def score_counts(correct: int, n: int) -> Score:
    """Return the `Score` of `correct` right answers among `n` > 0."""
    interval = binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return Score(correct / n, float(interval.low), float(interval.high), n)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the `(classes, classes)` matrix of counts: rows are the true classes, columns the predicted ones."""
    return confusion_matrix(labels, predicted, labels=np.arange(classes))


@dataclass(frozen=True)
class PairedTest:
    """Exact McNemar test: images only the first method got right, only the second, and the two-sided p-value.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions, 1947.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Compare two methods' predictions on the same images.

    Args:
        labels: `(n,)` integer array.
        first: `(n,)` predictions of one method.
        second: `(n,)` predictions of the other.

    Returns:
        The `PairedTest`.
    """
    only_first = int(np.sum((first == labels) & (second != labels)))
    only_second = int(np.sum((first != labels) & (second == labels)))
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return PairedTest(only_first, only_second, p_value)
