"""Ridge regression on one-hot targets for all L2 values at once, from one eigendecomposition."""

from __future__ import annotations

import numpy as np

from bottleneck_features.models.eigenbasis import BLOCK
from bottleneck_features.models.parallel import Workers


def ridge_path(
    rows: np.ndarray, labels: np.ndarray, classes: int, eigenvalues: np.ndarray, l2: tuple[float, ...], team: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise  1/n · Σ |one-hot − scores|² + l2 · Σ weights²  (the bias is not penalised) for each L2 value.

    In the eigenbasis of the correlations the solution is  weights = cross / (eigenvalues + l2)  with cross (classes, r)
    the mean product of centred targets and rows. Source: A. E. Hoerl and R. W. Kennard, Ridge regression, 1970; the
    protocol is big_vision's fewshot_lsr.

    Args:
        rows: `(n, r)` float32, the coordinates of the training rows in their own `Eigenbasis`.
        labels: `(n,)` integers in 0 … classes − 1.
        classes: how many.
        eigenvalues: `(r,)` float64, of that basis.
        l2: penalties ≥ 0.
        team: the threads to use.

    Returns:
        Weights `(len(l2), classes, r)` and the bias `(classes,)` that all share, float64.
    """
    count, width = rows.shape
    bias = np.bincount(labels, minlength=classes) / count
    targets = (np.eye(classes) - bias).astype(np.float32)

    def share(parts: list[slice]) -> np.ndarray:
        total = np.zeros((classes, width))
        for part in parts:
            total += targets[labels[part]].T @ rows[part]
        return total

    cross = np.sum(team.totals(share, count, BLOCK), axis=0) / count
    return np.stack([cross / (eigenvalues + value) for value in l2]), bias
