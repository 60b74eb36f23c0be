"""Which of several trained methods validation images speak for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from bottleneck_features.pipeline.evaluation.calibration import fit_temperature, reliability, with_temperature
from bottleneck_features.pipeline.results import Method

_KNN = "knn"


class Validated(Protocol):
    """A trained method with what it answers to the validation images, `(n, classes)` probabilities, not calibrated."""

    @property
    def method(self) -> Method:
        """Its row, with a validation score."""

    @property
    def validation_probabilities(self) -> np.ndarray:
        """`(n, classes)` of the validation images."""


Ranked = TypeVar("Ranked", bound=Validated)


def ranked(methods: Iterable[Ranked], labels: np.ndarray, layers: Sequence[str]) -> list[Ranked]:
    """Return the best by validation accuracy first; of equals that of the lowest calibrated log loss, then the latest layer.

    Accuracies of few images are often equal. Log losses differ by how sure the methods are of themselves, too, which one
    temperature for each takes away. Among equals neighbours come last: where nearly all images are right they are certain of
    each, so that the loss favours them, and they can be exported to no other runtime.

    Args:
        methods: some methods.
        labels: `(n,)` integers of the validation images.
        layers: of the backbone, the earliest first.
    """
    found = list(methods)
    equals = Counter(_accuracy(one) for one in found)

    def rank(one: Ranked) -> tuple[float, bool, float, int]:
        accuracy = _accuracy(one)
        loss = calibrated_loss(labels, one.validation_probabilities) if equals[accuracy] > 1 else 0.0
        return (
            -accuracy,
            one.method.name == _KNN,
            loss,
            -max((layers.index(layer) for layer in one.method.layers), default=0),
        )

    return sorted(found, key=rank)


def level_with_best(best_first: Sequence[Ranked]) -> int:
    """Return how many of some ranked methods have the accuracy of the first."""
    return sum(_accuracy(one) == _accuracy(best_first[0]) for one in best_first)


def calibrated_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean cross-entropy in nats of `(n, classes)` probabilities at the temperature that suits them best."""
    return reliability(labels, with_temperature(probabilities, fit_temperature(labels, probabilities))).log_loss


def _accuracy(one: Validated) -> float:
    return one.method.scores["validation"].accuracy
