"""How much a sample of each class counts in a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bottleneck_features.models.errors import InvalidSetting, require_choice

NAMED = ("none", "balanced")
ClassWeights = str | Mapping[int, float] | Sequence[float] | np.ndarray


def class_weights(labels: np.ndarray, classes: int, how: ClassWeights) -> np.ndarray:
    """Return the weight of every class.

    Args:
        labels: `(n,)` integers in 0 … classes − 1, of the samples that a model is fitted on.
        classes: how many.
        how: `none`: 1 each; `balanced`: n / (classes · count), so that all classes count the same (as scikit-learn;
            a class without samples counts as one sample); or weights > 0 by class number, 1 where a mapping has none.

    Returns:
        `(classes,)` float64.

    Raises:
        InvalidSetting: another word, weights that are not positive, or of classes that do not exist.
    """
    if isinstance(how, str):
        if require_choice("class_weight", how, NAMED) == "none":
            return np.ones(classes)
        return len(labels) / (classes * np.maximum(np.bincount(labels, minlength=classes), 1.0))
    if isinstance(how, Mapping):
        return _positive(_by_number(how, classes), classes)
    return _positive(np.array(how, np.float64), classes)


def _by_number(given: Mapping[int, float], classes: int) -> np.ndarray:
    if unknown := [key for key in given if key not in range(classes)]:
        raise InvalidSetting(f"class_weight names class {unknown[0]!r}, but the classes are 0 … {classes - 1}.")
    return np.array([given.get(each, 1.0) for each in range(classes)], np.float64)


def _positive(weights: np.ndarray, classes: int) -> np.ndarray:
    if weights.shape != (classes,):
        raise InvalidSetting(f"class_weight needs {classes} weights, one of each class. Received: {weights.shape}.")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InvalidSetting(f"class_weight needs finite weights above 0. Received: {weights.tolist()}.")
    return weights
