"""Multinomial logistic regression over a path of L2 values, from strong to weak, each warm-started from those before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.special import softmax

from bottleneck_features.models.parallel import Workers

_BLOCK = 512  # rows of one product: with 2,048 features 4 MiB, which stay in the processor's cache
CORRECTIONS = 10  # pairs of differences L-BFGS remembers
ITERATIONS = 1000  # for each L2 value at most
TOLERANCE = 1e-6  # nats; it leaves losses up to 2e-5 above the optimum (816 × 40 features, 17 classes, weak penalties)
ROUNDING = 1e-9  # relative change of the loss that float32 products no longer resolve
L2_VALUES = tuple(float(value) for value in np.logspace(-6, 5, 45))


@dataclass(frozen=True)
class LogisticFit:
    """A minimum of  mean cross-entropy + l2/2 · Σ weights²  (the bias is not penalised), the mean over weighted rows.

    Attributes:
        l2: its L2 value.
        weights: `(classes, r)` float64.
        bias: `(classes,)` float64.
        loss: the objective there.
    """

    l2: float
    weights: np.ndarray
    bias: np.ndarray
    loss: float

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Return `(n, classes)` float32 probabilities of `(n, r)` rows."""
        return softmax(rows @ self.weights.T.astype(np.float32) + self.bias.astype(np.float32), axis=1)


def logistic_path(
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    l2: tuple[float, ...],
    pool: Workers,
    *,
    counts: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
) -> Iterator[LogisticFit]:
    """Fit one L2 value after the other, from the strongest to the weakest.

    Products are float32; parameters, loss, penalty and the sums of the gradient over blocks are float64. The variables are
    scaled by the square root of the Hessian's diagonal where each fit begins, which in an `Eigenbasis` is nearly the
    whole Hessian. Protocol of L2 values: T. Chen et al., A Simple Framework for Contrastive Learning, 2020, B.8;
    optimiser: D. C. Liu and J. Nocedal, On the limited memory BFGS method, 1989.

    Args:
        rows: `(n, r)` float32, centred, best in the coordinates of an `Eigenbasis`.
        labels: `(n,)` integers in 0 … classes − 1.
        classes: ≥ 2.
        l2: penalties ≥ 0 in any order.
        pool: the threads to use.
        counts: `(n,)` > 0, how often each row counts; default: once.
        start: weights `(classes, r)` and bias `(classes,)` to begin with; default: zero and the classes' log frequencies.
        tolerance: a fit is finished when a Newton step with the Hessian's diagonal would gain less, in nats.

    Yields:
        One `LogisticFit` for each value, strongest first.

    Warns:
        ConvergenceWarning: scikit-learn's, where a fit stopped before it was finished: after `ITERATIONS`, or as float32
            products resolve no smaller gain, unless that is below `TOLERANCE`.
    """
    cross_entropy = _CrossEntropy(rows, labels, classes, counts, pool)
    weights, bias = start or (np.zeros((classes, rows.shape[1])), cross_entropy.log_frequencies())
    before = None
    for value in sorted(l2, reverse=True):
        fit = _minimise(cross_entropy, value, weights, bias, tolerance)
        yield fit
        # along a path of evenly spaced log(l2) the next optimum lies about as far on as this one from the last
        weights, bias = (
            (2 * fit.weights - before.weights, 2 * fit.bias - before.bias) if before else (fit.weights, fit.bias)
        )
        before = fit


class _CrossEntropy:
    def __init__(
        self, rows: np.ndarray, labels: np.ndarray, classes: int, counts: np.ndarray | None, pool: Workers
    ) -> None:
        self.shape = (classes, rows.shape[1])
        self._rows, self._labels, self._pool, self._counts = rows, labels, pool, counts
        self._total = len(rows) if counts is None else counts.sum()

    def log_frequencies(self) -> np.ndarray:
        counts = np.bincount(self._labels, self._counts, minlength=self.shape[0])
        least = 0.5 if self._counts is None else 0.5 * min(1.0, self._counts.min())
        return np.log(np.maximum(counts, least) / self._total)

    def _weighted(self, values: np.ndarray, part: slice) -> np.ndarray:
        """Multiply rows, in place, by how often they count."""
        if self._counts is not None:
            values *= self._counts[part, None].astype(np.float32)
        return values

    def _summed(self, values: np.ndarray, part: slice) -> float:
        return float(values.sum(dtype=np.float64) if self._counts is None else self._counts[part] @ values)

    def split(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights `(classes, r)` and bias `(classes,)` of one vector of both."""
        return values[: -self.shape[0]].reshape(self.shape), values[-self.shape[0] :]

    def gradient(self, weights: np.ndarray, bias: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the mean cross-entropy and its gradients with respect to weights and bias."""
        matrix, offset = np.ascontiguousarray(weights.T, np.float32), bias.astype(np.float32)

        def share(parts: list[slice]) -> tuple[float, np.ndarray, np.ndarray]:
            loss, slopes, offsets = 0.0, np.zeros(self.shape), np.zeros(self.shape[0])
            for part in parts:
                block, own = self._rows[part], self._labels[part]
                residual, normaliser, right = _residual(block @ matrix + offset, own)
                loss += self._summed(normaliser, part) - self._summed(right, part)
                residual = self._weighted(residual, part)
                slopes += residual.T @ block
                offsets += residual.sum(axis=0, dtype=np.float64)
            return loss, slopes, offsets

        totals = self._pool.totals(share, len(self._rows), _BLOCK)
        loss, slopes, offsets = (np.sum(parts, axis=0) / self._total for parts in zip(*totals, strict=True))
        return float(loss), slopes, offsets

    def curvature(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonal of the Hessian of the mean cross-entropy with respect to weights and bias."""
        matrix, offset = np.ascontiguousarray(weights.T, np.float32), bias.astype(np.float32)

        def share(parts: list[slice]) -> tuple[np.ndarray, np.ndarray]:
            slopes, offsets = np.zeros(self.shape), np.zeros(self.shape[0])
            for part in parts:
                block = self._rows[part]
                probabilities = softmax(block @ matrix + offset, axis=1)
                spread = self._weighted(probabilities * (1 - probabilities), part)
                slopes += spread.T @ np.square(block)
                offsets += spread.sum(axis=0, dtype=np.float64)
            return slopes, offsets

        totals = self._pool.totals(share, len(self._rows), _BLOCK)
        slopes, offsets = (np.sum(parts, axis=0) / self._total for parts in zip(*totals, strict=True))
        return slopes, offsets


def _residual(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn `(n, classes)` scores into probabilities minus one-hot labels, in place.

    Also returned are the two parts, each `(n,)`, whose difference is the cross-entropy.
    """
    each = np.arange(len(labels))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[each, labels]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    scores /= total
    scores[each, labels] -= 1
    return scores, np.log(total[:, 0]), right


def _minimise(
    cross_entropy: _CrossEntropy, l2: float, weights: np.ndarray, bias: np.ndarray, tolerance: float
) -> LogisticFit:
    begin = np.concatenate([weights.ravel(), bias])
    objective = _Objective(cross_entropy, l2, begin)
    loss, gradient = objective.value, objective.gradient
    # L-BFGS-B's first step has length 1: in units of the gradient's length that is the whole Newton step
    unit = float(np.linalg.norm(gradient)) or 1.0
    known = [(loss, gradient * unit)]

    def scaled(position: np.ndarray) -> tuple[float, np.ndarray]:
        if known:
            return known.pop()
        value, slope = objective(position * unit)
        return value, slope * unit

    def stop(intermediate_result: OptimizeResult) -> None:
        if objective.decrement <= tolerance:
            raise StopIteration

    found = minimize(
        scaled, np.zeros_like(begin), jac=True, method="L-BFGS-B", callback=stop,
        options={"maxiter": ITERATIONS, "maxcor": CORRECTIONS, "maxls": 10, "gtol": 0, "ftol": ROUNDING},
    )  # fmt: skip
    if objective.decrement > max(tolerance, TOLERANCE):
        _warn_unfinished(l2, found.nit, objective.decrement)
    values = objective.values(found.x * unit)
    return LogisticFit(l2, *cross_entropy.split(values), float(found.fun))


def _warn_unfinished(l2: float, iterations: int, gain: float) -> None:
    from sklearn.exceptions import ConvergenceWarning

    message = (
        f"The logistic regression with l2 = {l2:.3g} stopped before its optimum, after {iterations:,} iterations; another one "
        f"would still gain {gain:.1e} nats."
    )
    warnings.warn(message, ConvergenceWarning, stacklevel=3)


class _Objective:
    """The penalised loss around a point, in variables scaled by the root of its Hessian's diagonal.

    `decrement` is what a Newton step with that diagonal would gain where it was last called, in nats.
    """

    def __init__(self, cross_entropy: _CrossEntropy, l2: float, begin: np.ndarray) -> None:
        self._cross_entropy, self._l2, self._begin = cross_entropy, l2, begin
        slopes, offsets = cross_entropy.curvature(*cross_entropy.split(begin))
        floor = 1e-6 * offsets.mean()
        self._scale = np.concatenate([(slopes + l2 + floor).ravel(), offsets + floor]) ** -0.5
        self.value, self.gradient = self(np.zeros_like(begin))

    def values(self, position: np.ndarray) -> np.ndarray:
        """Return weights and bias, one after the other, at a position of the scaled variables."""
        return self._begin + position * self._scale

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = self._cross_entropy.split(self.values(position))
        loss, slope, offset = self._cross_entropy.gradient(weights, bias)
        gradient = np.concatenate([(slope + self._l2 * weights).ravel(), offset]) * self._scale
        self.decrement = 0.5 * float(gradient @ gradient)
        return loss + 0.5 * self._l2 * float(np.vdot(weights, weights)), gradient
