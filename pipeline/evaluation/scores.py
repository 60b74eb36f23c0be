"""Accuracy with its interval, confusion matrices, and the comparison of two methods on the same images."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from bottleneck_features.pipeline.evaluation.groups import images_kept
from bottleneck_features.pipeline.figures import CONFIDENCE, Figures
from bottleneck_features.pipeline.method_row import Score


def score(labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None = None) -> Score:
    """Score predictions.

    Args:
        labels: `(n,)` integer array, n > 0.
        predicted: `(n,)` integer array.
        groups: `(n,)` integers, of images that are not independent; the interval is of as many as `images_kept` leaves.

    Returns:
        The `Score`.
    """
    right = labels == predicted
    accuracy = int(right.sum()) / len(right)
    return Score(accuracy, *wilson(accuracy, len(right) * images_kept(right - accuracy, groups)), len(right))


def accuracy_of(figures: Figures) -> Score:
    """Return the accuracy among the figures."""
    return Score(figures.accuracy.value, figures.accuracy.low, figures.accuracy.high, figures.n)


def score_counts(correct: int, n: int) -> Score:
    """Return the `Score` of `correct` right answers among `n` > 0."""
    return Score(correct / n, *wilson(correct / n, n), n)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a share, 0..1, observed on `n` > 0 images, which may be a fraction."""
    z = ndtri((1 + CONFIDENCE) / 2)
    scale = 2 * (n + z**2)
    centre = (2 * n * share + z**2) / scale
    reach = z / scale * np.sqrt(4 * n * share * (1 - share) + z**2)
    return (0.0 if share == 0 else float(centre - reach)), (1.0 if share == 1 else float(centre + reach))


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the `(classes, classes)` matrix of counts: rows are the true classes, columns the predicted ones."""
    return confusion_matrix(labels, predicted, labels=np.arange(classes))


@dataclass(frozen=True)
class PairedTest:
    """Images only the first method got right, only the second, and the two-sided p-value of McNemar's exact test.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions, 1947.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Compare two methods' predictions on the same images, which are independent.

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


@dataclass(frozen=True)
class AccuracyDifference:
    """How far the first method's accuracy is above the second's: its value (-1..1) and its interval at 95 %.

    Source of the interval: R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions
    based on paired data, Statistics in Medicine 17, 1998, method 10.
    """

    value: float
    low: float
    high: float


def accuracy_difference(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> AccuracyDifference:
    """Return the difference of two methods' accuracies on the same images.

    The distances d of both accuracies p to the ends of their Wilson intervals are joined by square-and-add, less what the
    methods have in common: low = p₁ − p₂ − √(d₁² − 2φ d₁ d₂ + d₂²), with d₁ to the lower end of the first interval and d₂ to
    the upper end of the second; high likewise. φ = (r − p₁ p₂) / √(p₁ (1 − p₁) p₂ (1 − p₂)), r the share that both get right,
    is their correlation; a positive r − p₁ p₂ is made smaller by 1 / 2n, but not negative. With groups n is as many images as
    `images_kept` leaves of the difference.

    Args:
        labels: `(n,)` integer array, n > 0.
        first: `(n,)` predictions of one method.
        second: `(n,)` predictions of the other.
        groups: `(n,)` integers, of images that are not independent.

    Returns:
        The `AccuracyDifference`; never a point, also where no image tells the methods apart.
    """
    gains = (first == labels).astype(float) - (second == labels)
    value = float(gains.mean())
    n = len(gains) * images_kept(gains - value, groups)
    p, q = float(np.mean(first == labels)), float(np.mean(second == labels))
    common = float(np.mean((first == labels) & (second == labels))) - p * q
    spread = np.sqrt(p * (1 - p) * q * (1 - q))
    phi = (max(common - 1 / (2 * n), 0) if common > 0 else common) / spread if spread else 0.0
    (p_low, p_high), (q_low, q_high) = wilson(p, n), wilson(q, n)
    return AccuracyDifference(
        value, value - _joined(p - p_low, q_high - q, phi), value + _joined(p_high - p, q - q_low, phi)
    )


def _joined(first: float, second: float, phi: float) -> float:
    return float(np.sqrt(first**2 - 2 * phi * first * second + second**2))
