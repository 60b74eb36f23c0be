"""A trained method that answers what a test says."""

from collections.abc import Callable

import numpy as np

from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method


def trained_method(method: Method, probabilities: Callable[[Subset], np.ndarray]) -> TrainedMethod:
    """A method whose probabilities are given."""
    return TrainedMethod(method, None, probabilities, np.zeros((0, 2)), {})


def target_of(classes: int = 2, select: str = "accuracy") -> ClassTarget:
    """A target of classes named by their numbers."""
    return ClassTarget(tuple(map(str, range(classes))), select, "as the test says")
