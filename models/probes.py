"""The three probes on prepared coordinates: search a path on validation samples, then fit the chosen setting.

Every probe is searched on the coordinates of one `Eigenbasis`, so that its cost is paid once per set of layers. Samples may
have several views, one row each, one after the other: all rows train, scores are averaged over a sample's views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bottleneck_features.models.eigenbasis import BLOCK, Eigenbasis
from bottleneck_features.models.logistic import TOLERANCE, logistic_path
from bottleneck_features.models.neighbours import majority_path, nearest_labels, vote_shares
from bottleneck_features.models.parallel import Workers
from bottleneck_features.models.rows import mean_over_views

LARGEST_K = 200  # neighbours that vote at most
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)  # what a logarithm is taken of where a probability is 0
ProgressCallback = Callable[[], None]


@dataclass(frozen=True)
class Coordinates:
    """Labelled samples in the coordinates of a basis.

    Attributes:
        basis: the `Eigenbasis` of the training rows.
        rows: `(n · views, r)` float32.
        labels: `(n,)` integers.
        views: rows of each sample.
    """

    basis: Eigenbasis
    rows: np.ndarray
    labels: np.ndarray
    views: int = 1

    @property
    def row_labels(self) -> np.ndarray:
        """The label of every row, `(n · views,)`."""
        return np.repeat(self.labels, self.views)


@dataclass(frozen=True)
class Linear:
    """Weights `(classes, r)` and bias `(classes,)`, float64, of coordinates."""

    weights: np.ndarray
    bias: np.ndarray


def search_logistic(
    train: Coordinates,
    validation: Coordinates,
    classes: int,
    l2: tuple[float, ...],
    pool: Workers,
    *,
    progress: ProgressCallback = lambda: None,
    tolerance: float = TOLERANCE,
) -> tuple[SettingPath, Linear]:
    """Fit the multinomial logistic path and return it with the best value's weights."""
    points: list[tuple[float, float, float]] = []
    best: tuple[tuple[float, float], Linear] | None = None
    for fit in logistic_path(train.rows, train.row_labels, classes, l2, pool, tolerance=tolerance):
        probabilities = mean_over_views(fit.probabilities(validation.rows), validation.views)
        accuracy, loss = _accuracy(probabilities, validation.labels), log_loss(probabilities, validation.labels)
        points.append((fit.l2, accuracy, loss))
        if best is None or (-accuracy, loss) < best[0]:
            best = (-accuracy, loss), Linear(fit.weights, fit.bias)
        progress()
    assert best is not None
    return SettingPath("l2", *np.array(points).T), best[1]


def search_ridge(
    train: Coordinates, validation: Coordinates, classes: int, l2: tuple[float, ...], pool: Workers
) -> tuple[SettingPath, Linear]:
    """Solve the ridge path and return it with the best value's weights."""
    values = tuple(sorted(l2, reverse=True))
    weights, bias = ridge_path(train.rows, train.row_labels, classes, values, pool, eigenvalues=train.basis.eigenvalues)
    points = []
    for value, matrix in zip(values, weights, strict=True):
        scores = mean_over_views(linear_scores(validation.rows, Linear(matrix, bias)), validation.views)
        points.append((value, _accuracy(scores, validation.labels), squared_error(scores, validation.labels)))
    path = SettingPath("l2", *np.array(points).T)
    return path, Linear(weights[path.best], bias)


def search_neighbours(
    train: Coordinates, validation: Coordinates, classes: int, limit: int, pool: Workers
) -> tuple[SettingPath, np.ndarray]:
    """Let the nearest 1 … `limit` training rows vote; return the path and the best k's shares `(n, classes)` of the votes."""
    count = min(limit, len(train.rows))
    found = nearest_labels(validation.rows, train.rows, train.row_labels, count, pool)
    votes = majority_path(found, classes, validation.views)
    path = SettingPath("k", np.arange(1, count + 1), (votes == validation.labels).mean(axis=1), np.zeros(count))
    return path, mean_over_views(vote_shares(found[:, : path.best + 1], classes), validation.views)


def fit_logistic(
    train: Coordinates, classes: int, l2: float, start: Linear, pool: Workers, *, tolerance: float = TOLERANCE
) -> Linear:
    """Fit one L2 value, beginning at `start`."""
    begin = start.weights, start.bias
    (fit,) = logistic_path(train.rows, train.row_labels, classes, (l2,), pool, start=begin, tolerance=tolerance)
    return Linear(fit.weights, fit.bias)


def fit_ridge(train: Coordinates, classes: int, l2: float, pool: Workers) -> Linear:
    """Solve one L2 value."""
    weights, bias = ridge_path(train.rows, train.row_labels, classes, (l2,), pool, eigenvalues=train.basis.eigenvalues)
    return Linear(weights[0], bias)


def linear_scores(rows: np.ndarray, linear: Linear) -> np.ndarray:
    """Return `(n, classes)` float32 scores of `(n, r)` rows."""
    return rows @ linear.weights.T.astype(np.float32) + linear.bias.astype(np.float32)


def _accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def ridge_path(
    rows: np.ndarray, labels: np.ndarray, classes: int, l2: tuple[float, ...], pool: Workers, *, eigenvalues: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise  1/n · Σ |one-hot − scores|² + l2 · Σ weights²  (the bias is not penalised) for each L2 value.

    In the eigenbasis of the correlations the solution is  weights = cross / (eigenvalues + l2)  with cross (classes, r)
    the mean product of centred targets and rows. Source: A. E. Hoerl and R. W. Kennard, Ridge regression, 1970; the
    protocol is big_vision's fewshot_lsr.

    Args:
        rows: `(n, r)` float32, the coordinates of the training rows in their own `Eigenbasis`.
        labels: `(n,)` integers in 0 … classes − 1.
        classes: how many.
        l2: penalties ≥ 0.
        pool: the threads to use.
        eigenvalues: `(r,)` float64, of that basis.

    Returns:
        Weights `(len(l2), classes, r)` and the bias `(classes,)` that all share, float64.
    """
    count = len(rows)
    bias = np.bincount(labels, minlength=classes) / count
    targets = (np.eye(classes) - bias).astype(np.float32)
    cross = pool.total(lambda part: targets[labels[part]].T @ rows[part], count, BLOCK) / count
    return np.stack([cross / (eigenvalues + value) for value in l2]), bias


@dataclass(frozen=True)
class SettingPath:
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
    """Return the mean cross-entropy in nats of `(n, classes)` probabilities; those below the smallest count as that."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1.0)).mean())


def squared_error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of `(n, classes)` scores from one-hot labels."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float((np.square(scores, dtype=np.float64).sum(axis=1) - 2 * right + 1).mean())
