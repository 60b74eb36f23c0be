"""The three probes on prepared coordinates: search a path on validation samples, then fit the chosen setting.

Every probe is searched on the coordinates of one `Eigenbasis`, so that its cost is paid once per set of layers. Samples may
have several views, one row each, one after the other: all rows train, scores are averaged over a sample's views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from bottleneck_features.models.criteria import Criterion, accuracy, log_loss
from bottleneck_features.models.eigenbasis import BLOCK, Eigenbasis, Rows, eigenbasis
from bottleneck_features.models.logistic import TOLERANCE, logistic_optimum, logistic_path, warn_unless_finished
from bottleneck_features.models.neighbours import majority_path, nearest_labels, probability_path, vote_shares
from bottleneck_features.models.parallel import Workers
from bottleneck_features.models.rows import mean_over_views

SMALL = 5_000_000  # numbers in rows times classes: all optima of a smaller one take seconds
LARGEST_K = 200  # neighbours that vote at most
ProgressCallback = Callable[[], None]


@dataclass(frozen=True)
class Coordinates:
    """Labelled samples in the coordinates of a basis.

    Attributes:
        basis: the `Eigenbasis` of the training rows.
        rows: `(n · views, r)` float32.
        labels: `(n,)` integers.
        views: rows of each sample.
        weights: `(n,)` > 0, how often each sample counts in a fit, and counted in the basis; None: once.
    """

    basis: Eigenbasis
    rows: np.ndarray
    labels: np.ndarray
    views: int = 1
    weights: np.ndarray | None = None

    @property
    def row_labels(self) -> np.ndarray:
        """The label of every row, `(n · views,)`."""
        return np.repeat(self.labels, self.views)

    @property
    def row_weights(self) -> np.ndarray | None:
        """How often every row counts, `(n · views,)`; None: once."""
        return None if self.weights is None else np.repeat(self.weights, self.views)


def training_coordinates(
    rows: Rows, labels: np.ndarray, pool: Workers, *, views: int = 1, weights: np.ndarray | None = None
) -> Coordinates:
    """Return labelled training samples in the coordinates of their own basis, in which the same weights count.

    A fit on samples with whole weights is that on samples that are repeated as often.

    Args:
        rows: `(n · views, d)` features.
        labels: `(n,)` integers.
        pool: the threads to use.
        views: rows of each sample.
        weights: `(n,)` > 0, or None where every sample counts once.
    """
    weights = None if weights is None else np.asarray(weights, np.float64)
    basis = eigenbasis(rows, pool, None if weights is None else np.repeat(weights, views))
    return Coordinates(basis, basis.rotate(rows, pool), labels, views, weights)


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
    criterion: Criterion = accuracy,
    progress: ProgressCallback = lambda: None,
    tolerance: float = TOLERANCE,
) -> tuple[SettingPath, Linear]:
    """Fit the multinomial logistic path and return it with the best value's weights.

    Every fit of a small problem is at the optimum, which costs little there; of larger ones a search does without.

    Warns:
        ConvergenceWarning: scikit-learn's, of fits that stopped early.
    """
    points: list[tuple[float, float, float, float]] = []
    best: tuple[tuple[float, float], Linear] | None = None
    rows, labels, counts = train.rows, train.row_labels, train.row_weights
    for fit in logistic_path(rows, labels, classes, l2, pool, counts=counts, tolerance=tolerance):
        if rows.size * classes < SMALL:
            fit = logistic_optimum(fit, rows, labels, pool, counts=counts, tolerance=tolerance)
        warn_unless_finished(fit, tolerance)
        probabilities = mean_over_views(fit.probabilities(validation.rows), validation.views)
        decisive, loss = criterion(probabilities, validation.labels), log_loss(probabilities, validation.labels)
        points.append((fit.l2, accuracy(probabilities, validation.labels), loss, decisive))
        if best is None or (-decisive, loss) < best[0]:
            best = (-decisive, loss), Linear(fit.weights, fit.bias)
        progress()
    assert best is not None
    return SettingPath("l2", *np.array(points).T), best[1]


def search_ridge(
    train: Coordinates,
    validation: Coordinates,
    classes: int,
    l2: tuple[float, ...],
    pool: Workers,
    *,
    criterion: Criterion = accuracy,
) -> tuple[SettingPath, Linear]:
    """Solve the ridge path and return it with the best value's weights; the softmax of scores stands for probabilities."""
    values = tuple(sorted(l2, reverse=True))
    weights, bias = _ridge(train, classes, values, pool)
    points = []
    for value, matrix in zip(values, weights, strict=True):
        scores = mean_over_views(linear_scores(validation.rows, Linear(matrix, bias)), validation.views)
        right, loss = accuracy(scores, validation.labels), squared_error(scores, validation.labels)
        decisive = right if criterion is accuracy else criterion(softmax(scores, axis=1), validation.labels)
        points.append((value, right, loss, decisive))
    path = SettingPath("l2", *np.array(points).T)
    return path, Linear(weights[path.best], bias)


def search_neighbours(
    train: Coordinates,
    validation: Coordinates,
    classes: int,
    limit: int,
    pool: Workers,
    *,
    criterion: Criterion = accuracy,
) -> tuple[SettingPath, np.ndarray]:
    """Let the nearest 1 … `limit` training rows vote; return the path and the best k's shares `(n, classes)` of the votes.

    Every row has one vote, whatever its sample's weight; `smoothed` shares stand for probabilities.
    """
    count = min(limit, len(train.rows))
    found = nearest_labels(validation.rows, train.rows, train.row_labels, count, pool)
    right = (majority_path(found, classes, validation.views) == validation.labels).mean(axis=1)
    decisive = right
    if criterion is not accuracy:
        every = probability_path(found, classes, validation.views)
        decisive = np.array([criterion(probabilities, validation.labels) for probabilities in every])
    path = SettingPath("k", np.arange(1, count + 1), right, np.zeros(count), decisive)
    return path, mean_over_views(vote_shares(found[:, : path.best + 1], classes), validation.views)


def fit_logistic(
    train: Coordinates, classes: int, l2: float, start: Linear, pool: Workers, *, tolerance: float = TOLERANCE
) -> Linear:
    """Fit one L2 value to be kept, beginning at `start`: to the optimum; warns as `search_logistic`."""
    begin, rows, labels, counts = (start.weights, start.bias), train.rows, train.row_labels, train.row_weights
    (near,) = logistic_path(rows, labels, classes, (l2,), pool, counts=counts, start=begin, tolerance=tolerance)
    fit = logistic_optimum(near, rows, labels, pool, counts=counts, tolerance=tolerance)
    warn_unless_finished(fit, tolerance)
    return Linear(fit.weights, fit.bias)


def fit_ridge(train: Coordinates, classes: int, l2: float, pool: Workers) -> Linear:
    """Solve one L2 value."""
    weights, bias = _ridge(train, classes, (l2,), pool)
    return Linear(weights[0], bias)


def _ridge(train: Coordinates, classes: int, l2: tuple[float, ...], pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, counts = train.basis.eigenvalues, train.row_weights
    return ridge_path(train.rows, train.row_labels, classes, l2, pool, eigenvalues=eigenvalues, counts=counts)


def linear_scores(rows: np.ndarray, linear: Linear) -> np.ndarray:
    """Return `(n, classes)` float32 scores of `(n, r)` rows."""
    return rows @ linear.weights.T.astype(np.float32) + linear.bias.astype(np.float32)


def ridge_path(
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    l2: tuple[float, ...],
    pool: Workers,
    *,
    eigenvalues: np.ndarray,
    counts: np.ndarray | None = None,
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
        counts: `(n,)` > 0, how often each row counts in the mean, and counted in that basis; default: once.

    Returns:
        Weights `(len(l2), classes, r)` and the bias `(classes,)` that all share, float64.
    """
    total = len(rows) if counts is None else counts.sum()
    bias = np.bincount(labels, counts, minlength=classes) / total
    targets = (np.eye(classes) - bias).astype(np.float32)

    def products(part: slice) -> np.ndarray:
        own = targets[labels[part]]
        if counts is not None:
            own *= counts[part, None].astype(np.float32)
        return own.T @ rows[part]

    cross = pool.total(products, len(rows), BLOCK) / total
    return np.stack([cross / (eigenvalues + value) for value in l2]), bias


@dataclass(frozen=True)
class SettingPath:
    """Settings with their validation scores, in the order in which ties are resolved: the simplest first.

    Attributes:
        setting: the name of what varies: `l2` or `k`.
        values: `(m,)` its values.
        accuracy: `(m,)` on the validation samples, 0 … 1.
        loss: `(m,)` resolves ties of the criterion, smaller is better.
        criterion: `(m,)` what decides, higher is better.
    """

    setting: str
    values: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    criterion: np.ndarray

    @property
    def best(self) -> int:
        """Index of the highest criterion; among equals the lowest loss, then the first."""
        return int(np.lexsort((self.loss, -self.criterion))[0])

    @property
    def chosen(self) -> float:
        """The value at `best`."""
        return self.values[self.best].item()


def squared_error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of `(n, classes)` scores from one-hot labels."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float((np.square(scores, dtype=np.float64).sum(axis=1) - 2 * right + 1).mean())
