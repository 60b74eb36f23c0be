"""Two methods on the same images, by any measure, and p-values of several comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from bottleneck_features.models.criteria import FOR_TWO_CLASSES
from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.evaluation.estimates import (
    Estimate,
    auroc,
    average_precision,
    balanced_accuracy,
    macro_f1,
)
from bottleneck_features.pipeline.evaluation.figures import positive_class
from bottleneck_features.pipeline.evaluation.groups import images_kept
from bottleneck_features.pipeline.evaluation.scores import accuracy_difference, mcnemar
from bottleneck_features.pipeline.figures import CONFIDENCE


class Answers(NamedTuple):
    """What a method says of n images: `(n, classes)` probabilities, and the `(n,)` classes it answers with."""

    probabilities: np.ndarray
    predicted: np.ndarray

    def confidence(self, temperature: float) -> np.ndarray:
        """Return the `(n,)` probabilities of the answers at a temperature."""
        return with_temperature(self.probabilities, temperature)[np.arange(len(self.predicted)), self.predicted]


@dataclass(frozen=True)
class PairedDifference:
    """How far the first method's figure is above the second's, -1..1, its interval at 95 %, and a two-sided p-value.

    Attributes:
        value: the difference.
        low: the interval's lower end.
        high: its upper end.
        p_value: of two methods that are equally good.
        test: `mcnemar` (exact), or `interval`: the p-value is below 0.05 where the interval leaves out 0.
    """

    value: float
    low: float
    high: float
    p_value: float
    test: str


def paired_difference(
    labels: np.ndarray, first: Answers, second: Answers, groups: np.ndarray | None, measure: str
) -> PairedDifference:
    """Compare two methods' answers on the same images by a measure.

    Args:
        labels: `(n,)` integers, n > 0.
        first: of one method.
        second: of the other.
        groups: `(n,)` integers, of images that are not independent; None: all are.
        measure: `accuracy`, `balanced-accuracy`, `macro-f1`, or of two classes `auroc` and `average-precision`; where only one
            of them occurs accuracy stands for these, as in `Figures`.

    Returns:
        The `PairedDifference`; its interval is never a point.
    """
    if measure == "accuracy" or (measure in FOR_TWO_CLASSES and len(np.unique(labels)) < 2):
        gap = accuracy_difference(labels, first.predicted, second.predicted, groups)
        if groups is None:
            p_value = mcnemar(labels, first.predicted, second.predicted).p_value
            return PairedDifference(gap.value, gap.low, gap.high, p_value, "mcnemar")
        return by_its_interval(gap.value, gap.value - gap.low, gap.high - gap.value)
    estimate = _MEASURES[measure]
    return _difference(labels, estimate(labels, first), estimate(labels, second), groups)


def _ranked(
    measure: Callable[[np.ndarray, np.ndarray], Estimate],
) -> Callable[[np.ndarray, Answers], Estimate]:
    def of(labels: np.ndarray, answers: Answers) -> Estimate:
        positive = positive_class(labels, answers.probabilities)
        if positive is None:
            raise ValueError("images are ranked where there are two classes, and both occur")
        return measure(labels == positive, answers.probabilities[:, positive])

    return of


_MEASURES: dict[str, Callable[[np.ndarray, Answers], Estimate]] = {
    "balanced-accuracy": lambda labels, answers: balanced_accuracy(labels, answers.predicted),
    "macro-f1": lambda labels, answers: macro_f1(labels, answers.predicted),
    "auroc": _ranked(auroc),
    "average-precision": _ranked(average_precision),
}


def _difference(labels: np.ndarray, first: Estimate, second: Estimate, groups: np.ndarray | None) -> PairedDifference:
    """Join both intervals by square-and-add, less what the methods have in common, as `accuracy_difference` does.

    The correlation is that of the images' influences; what groups cost is in the number of images that are kept for the
    difference. As there, a positive one is made smaller, but not negative, by what 1 / 2n is of the shares' spreads.
    """
    kept = images_kept(first.influence - second.influence, groups, labels)
    correlation = _correlation(first, second, kept)
    (low, high), (other_low, other_high) = first.interval(kept), second.interval(kept)
    value = first.value - second.value
    below = _joined(first.value - low, other_high - second.value, correlation)
    above = _joined(high - first.value, second.value - other_low, correlation)
    return by_its_interval(value, below, above)


def by_its_interval(value: float, below: float, above: float) -> PairedDifference:
    """Return a difference whose p-value is below 0.05 where its interval leaves out 0."""
    reach = below if value > 0 else above
    p_value = float(2 * norm.sf(abs(value) / reach * ndtri((1 + CONFIDENCE) / 2)))
    return PairedDifference(value, value - below, value + above, p_value, "interval")


def _correlation(first: Estimate, second: Estimate, kept: float) -> float:
    pair = np.stack([first.influence, second.influence])
    (own, together), (_, other) = pair @ pair.T
    alone = float(np.sqrt(own * other))
    if not alone:
        return 0.0
    spread = np.sqrt(first.value * (1 - first.value) * second.value * (1 - second.value))
    correlation = float(np.clip(together / alone, -1, 1))
    images = kept * min(first.effective, second.effective)
    return max(correlation - 1 / (2 * images * spread), 0.0) if correlation > 0 else correlation


def _joined(first: float, second: float, correlation: float) -> float:
    return float(np.sqrt(first**2 - 2 * correlation * first * second + second**2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of a family of tests, adjusted so that one below 0.05 is found by chance in 5 % of families.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()
