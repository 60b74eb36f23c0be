"""A path of settings scored on validation samples, and which of them is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Path:
    """Settings with their validation scores, in the order in which ties are resolved: the simplest first.

    Attributes:
        setting: the name of what varies: `l2` or `k`.
        values: `(m,)` its values.
        accuracy: `(m,)` on the validation samples, 0 … 1.
        loss: `(m,)` resolves ties of accuracy, smaller is better.
    """

    setting: str
    values: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray

    @property
    def best(self) -> int:
        """Index of the highest accuracy; among equals the lowest loss, then the first."""
        return int(np.lexsort((self.loss, -self.accuracy))[0])

    @property
    def chosen(self) -> float:
        """The value at `best`."""
        return self.values[self.best].item()


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy in nats of `(n, classes)` probabilities; chances below 1e-12 count as that."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def squared_error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of `(n, classes)` scores from one-hot labels."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float((np.square(scores, dtype=np.float64).sum(axis=1) - 2 * right + 1).mean())
