"""Every two methods compared on the same images, and which differences may be chance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.differences import Answers, holm, paired_difference
from bottleneck_features.pipeline.evaluation.folds import at_least_as_wide, folded_difference
from bottleneck_features.pipeline.evaluation.scores import mcnemar


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same images.

    Attributes:
        first: the label of one method.
        second: of the other.
        measure: what is compared, see `paired_difference`.
        difference: the first method's figure minus the second's.
        interval: its ends at 95 %, of this comparison alone.
        test: which test gave the p-value.
        p_value: two-sided, of this comparison alone.
        only_first_right: images that only the first answers rightly.
        only_second_right: images that only the second does.
        adjusted: Holm's p-value among the comparisons with the best method; None for the others.
    """

    first: str
    second: str
    measure: str
    difference: float
    interval: tuple[float, float]
    test: str
    p_value: float
    only_first_right: int
    only_second_right: int
    adjusted: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return its entry under `pairs` in results."""
        return {
            "first": self.first,
            "second": self.second,
            "measure": self.measure,
            "only_first_right": self.only_first_right,
            "only_second_right": self.only_second_right,
            "test": self.test,
            "p_value": self.p_value,
            "p_adjusted": self.adjusted,
            "difference": self.difference,
            "difference_interval": list(self.interval),
        }


Pair = tuple[str, str]


def on_the_same_images(
    labels: np.ndarray, answers: Mapping[str, Answers], groups: np.ndarray | None, measure: str
) -> list[Comparison]:
    """Compare every two methods on the same test images; the arguments are those of `paired_difference`."""

    def compared(first: str, second: str) -> Comparison:
        found = paired_difference(labels, answers[first], answers[second], groups, measure)
        ends = found.low, found.high
        return _comparison(labels, answers, (first, second), measure, found.value, ends, found.test, found.p_value)

    return [compared(first, second) for first, second in combinations(answers, 2)]


def on_the_same_folds(
    labels: np.ndarray,
    answers: Mapping[str, Answers],
    folded: Callable[[str], np.ndarray],
    sizes: tuple[int, int],
    groups: np.ndarray | None,
    measure: str,
) -> list[Comparison]:
    """Compare every two methods on the same folds.

    Folds do not show what a few large groups cost. So with groups an interval never reaches less far than that of the answers
    of one repeat, nor is a p-value smaller than the interval allows.

    Args:
        labels: `(n,)` of the images of one repeat.
        answers: of the methods in that repeat.
        folded: returns a method's figures by fold; of two methods the folds that both have are compared.
        sizes: how many images a fold is trained and how many it is scored on.
        groups: `(n,)` integers, of images that are not independent.
        measure: what the figures are.
    """

    def compared(first: str, second: str) -> Comparison:
        one, other = folded(first), folded(second)
        shared = min(len(one), len(other))
        known = np.isfinite(one[:shared]) & np.isfinite(other[:shared])  # a fold may lack a class that is ranked
        found, test = folded_difference(one[:shared][known], other[:shared][known], sizes), "corrected resampled t"
        if groups is not None:
            found = at_least_as_wide(found, paired_difference(labels, answers[first], answers[second], groups, measure))
        ends = found.low, found.high
        return _comparison(labels, answers, (first, second), measure, found.value, ends, test, found.p_value)

    return [compared(first, second) for first, second in combinations(answers, 2)]


def _comparison(
    labels: np.ndarray,
    answers: Mapping[str, Answers],
    pair: Pair,
    measure: str,
    value: float,
    ends: tuple[float, float],
    test: str,
    p_value: float,
) -> Comparison:
    counts = mcnemar(labels, answers[pair[0]].predicted, answers[pair[1]].predicted)
    return Comparison(*pair, measure, value, ends, test, p_value, counts.only_first, counts.only_second)


def adjusted(comparisons: Sequence[Comparison], best: str) -> list[Comparison]:
    """Adjust the p-values of the comparisons with the best method for there being several of them (Holm)."""
    family = [number for number, one in enumerate(comparisons) if best in (one.first, one.second)]
    values = dict(zip(family, holm([comparisons[number].p_value for number in family]), strict=True))
    return [replace(one, adjusted=values.get(number)) for number, one in enumerate(comparisons)]
