"""Accuracy with its interval, confusion matrices, and the comparison of two methods on the same images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import confusion_matrix

from pipeline.comparison.splits import Holdout, Part
from pipeline.results import Score

CONFIDENCE = 0.95
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 256  # bounds the memory: 256 resamples of 10,000 images take 20 MiB
BOOTSTRAP_SEED = 0


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


def held_scores(
    held: Holdout, labels: Callable[[Part], np.ndarray], predict: Callable[[Part], np.ndarray]
) -> tuple[dict[str, Score], np.ndarray]:
    """Score a method on the samples it learned from and on those that chose between its settings.

    Args:
        held: which samples these are.
        labels: returns the `(n,)` integers of a `Part`.
        predict: returns the `(n, classes)` probabilities of a `Part`.

    Returns:
        The `Score` of `train` and of `validation`, and the `(n, classes)` probabilities of the validation samples.
    """
    chances = {"train": predict(held.train), "validation": predict(held.validation)}
    parts = {"train": held.train, "validation": held.validation}
    scores = {name: score(labels(part), chances[name].argmax(axis=1)) for name, part in parts.items()}
    return scores, chances["validation"]


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


@dataclass(frozen=True)
class Difference:
    """How far the first method's accuracy is above the second's: its value (-1..1) and its interval at 95 %.

    Source of the interval: paired percentile bootstrap over the test images, 9,999 seeded resamples; B. Efron and
    R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """

    value: float
    low: float
    high: float


def accuracy_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Difference:
    """Bootstrap the difference of two methods' accuracies; an image is drawn with both methods' answers to it.

    Args:
        labels: `(n,)` integer array, n > 0.
        first: `(n,)` predictions of one method.
        second: `(n,)` predictions of the other.

    Returns:
        The `Difference`. The same predictions give the same interval every time; a single image gives −1..1.
    """
    gain = (first == labels).astype(np.int8) - (second == labels).astype(np.int8)
    if len(gain) < 2:
        return Difference(float(gain.mean()), -1.0, 1.0)
    interval = bootstrap(
        (gain,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(BOOTSTRAP_SEED),
    ).confidence_interval
    return Difference(float(gain.mean()), float(interval.low), float(interval.high))


def paired_comparisons(labels: np.ndarray, predictions: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare every two methods on the same test images, as results have it under `pairs`.

    Args:
        labels: `(n,)` integer array, n > 1.
        predictions: `(n,)` predicted classes by the method's name.

    Returns:
        One object a pair: `first`, `second`, `only_first_right`, `only_second_right`, `p_value` (exact McNemar),
        `difference` (accuracy of the first minus the second's) and `difference_interval` (95 %, paired bootstrap).
    """
    pairs = []
    for (first, first_guess), (second, second_guess) in combinations(predictions.items(), 2):
        test = mcnemar(labels, first_guess, second_guess)
        difference = accuracy_difference(labels, first_guess, second_guess)
        pairs.append(
            {
                "first": first,
                "second": second,
                "only_first_right": test.only_first,
                "only_second_right": test.only_second,
                "p_value": test.p_value,
                "difference": difference.value,
                "difference_interval": [difference.low, difference.high],
            }
        )
    return pairs
