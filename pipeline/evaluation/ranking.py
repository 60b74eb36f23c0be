"""The order of trained methods by their validation accuracy."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from bottleneck_features.models.criteria import Criterion, accuracy, log_loss
from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.evaluation.calibration import fit_temperature
from bottleneck_features.pipeline.method_row import Method

_KNN = "knn"


class Validated(Protocol):
    """A trained method with its `(n, classes)` probabilities of the validation images, not calibrated."""

    @property
    def method(self) -> Method:
        """Its row, with a validation score."""

    @property
    def validation_probabilities(self) -> np.ndarray:
        """`(n, classes)` of the validation images."""


Ranked = TypeVar("Ranked", bound=Validated)


def ranked(
    methods: Iterable[Ranked], labels: np.ndarray, layers: Sequence[str], criterion: Criterion = accuracy
) -> list[Ranked]:
    """Return the best by the criterion first; of equals that of the lowest calibrated log loss, then the latest layer.

    Values on few images are often equal. Log losses also differ by how confident the methods are; one temperature for
    each method removes that. Among equals k-NN comes last: if nearly all images are right, it is certain of each, so the
    loss favours it, and it cannot be exported to other runtimes.

    Args:
        methods: some methods.
        labels: `(n,)` integers of the validation images.
        layers: of the backbone, the earliest first.
        criterion: of their probabilities.
    """
    found = list(methods)
    values = {id(one): round(criterion(one.validation_probabilities, labels), 12) for one in found}
    equals = Counter(values.values())

    def rank(one: Ranked) -> tuple[float, bool, float, int]:
        value = values[id(one)]
        loss = calibrated_loss(labels, one.validation_probabilities) if equals[value] > 1 else 0.0
        return (
            -value,
            one.method.name == _KNN,
            loss,
            -max((layers.index(layer) for layer in one.method.layers), default=0),
        )

    return sorted(found, key=rank)


def level_with_best(best_first: Sequence[Ranked], labels: np.ndarray, criterion: Criterion = accuracy) -> int:
    """Return how many of the ranked methods have the same value of the criterion as the first, with the first."""
    first, *others = (round(criterion(one.validation_probabilities, labels), 12) for one in best_first)
    return 1 + sum(value == first for value in others)


def calibrated_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean cross-entropy in nats of `(n, classes)` probabilities at the temperature fitted to them."""
    return log_loss(with_temperature(probabilities, fit_temperature(labels, probabilities)), labels)
