"""Probabilities of classes: of scores, at a temperature, and the class that is answered."""

from __future__ import annotations

import numpy as np

SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)  # what a logarithm is taken of where a probability is 0


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the `(n, classes)` softmax of `(n, classes)` scores; SciPy's has the same bits, and takes longer to import."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the `(n, classes)` probabilities at another temperature; the predicted classes stay."""
    return softmax(np.log(clipped(probabilities)) / temperature)


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities as float64 of which a logarithm can be taken."""
    return np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1.0)


def decide(probabilities: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Return the `(n,)` answers: the most probable class, or of two the second from a threshold on."""
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] >= threshold).astype(np.int64)
