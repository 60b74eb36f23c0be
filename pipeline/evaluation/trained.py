"""A trained method of any kind, as ranking and scoring need it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.thresholds import Spread
from bottleneck_features.pipeline.method_row import Curves, Method


@dataclass(frozen=True)
class TrainedMethod:
    """A trained method; its training is finished.

    Attributes:
        method: its row in a table, without a score on the test split.
        model: a `keras.Model`, with the weights of its best epoch, or a `Classifier` of features.
        probabilities: returns the `(n, classes)` class probabilities of a `Subset`, not calibrated.
        validation_probabilities: `(m, classes)` of the validation images, by a model fitted without them.
        curves: of its training; empty for a method without epochs.
        spread: of the model's answers; None where it is not known.
        threshold: the model's, where other fits answer the scored images at the row's; else None.
    """

    method: Method
    model: Any
    probabilities: Callable[[Subset], np.ndarray]
    validation_probabilities: np.ndarray
    curves: Curves
    spread: Spread | None = None
    threshold: float | None = None
