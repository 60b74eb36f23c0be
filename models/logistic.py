"""Multinomial logistic regression over a path of L2 values, from strong to weak, each warm-started from those before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.special import softmax

from bottleneck_features.models.cross_entropy import CrossEntropy
from bottleneck_features.models.parallel import Workers

CORRECTIONS = 10  # pairs of differences L-BFGS remembers
ITERATIONS = 1000  # of L-BFGS for each L2 value at most
STEPS = 200  # of Newton's method at most
TOLERANCE = 1e-6  # nats
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
        left: what is left to gain, in nats: from `logistic_optimum` at most, from `logistic_path` by the Hessian's diagonal
            alone, which at weak penalties is too little.
    """

    l2: float
    weights: np.ndarray
    bias: np.ndarray
    loss: float
    left: float

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
    """Fit one L2 value after the other, from the strongest to the weakest, until little is left to gain.

    Products are float32; parameters, loss, penalty and the sums of the gradient over blocks are float64. The variables are
    scaled by the square root of the Hessian's diagonal where each fit begins, which in an `Eigenbasis` is nearly the
    whole Hessian. Protocol of L2 values: T. Chen et al., A Simple Framework for Contrastive Learning, 2020, B.8;
    optimiser: D. C. Liu and J. Nocedal, On the limited memory BFGS method, 1989.

    At weak penalties the diagonal tells too little: fits of small problems were up to 8e-5 nats above the optimum, where rows
    count very differently 2e-4 (`benchmarks/logistic_optimum.py`, tests). `logistic_optimum` goes on from a fit.

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
        One `LogisticFit` for each value, strongest first. Where it has more left than the tolerance it stopped early: after
        `ITERATIONS`, or as float32 products resolve no smaller gain.
    """
    cross_entropy = CrossEntropy(rows, labels, classes, counts, pool)
    weights, bias = start or (np.zeros((classes, rows.shape[1])), cross_entropy.log_frequencies())
    before = None
    for value in sorted(l2, reverse=True):
        fit = _minimise(cross_entropy, value, np.concatenate([weights.ravel(), bias]), tolerance)
        yield fit
        # along a path of evenly spaced log(l2) the next optimum lies about as far on as this one from the last
        weights, bias = (
            (2 * fit.weights - before.weights, 2 * fit.bias - before.bias) if before else (fit.weights, fit.bias)
        )
        before = fit


def logistic_optimum(
    fit: LogisticFit,
    rows: np.ndarray,
    labels: np.ndarray,
    pool: Workers,
    *,
    counts: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> LogisticFit:
    """Go on from a fit to the optimum, by Newton's method with float64 products.

    The penalty makes the loss strongly convex: at its best bias, no more than |gradient|² / (2 l2) is left to gain. The fit is
    finished when that is less than the tolerance. Steps heed the whole Hessian, within a region in which it is trusted.

    Source: T. Steihaug, The conjugate gradient method and trust regions in large scale optimization, 1983 (SciPy's trust-ncg).

    Args:
        fit: of `logistic_path`, of the same rows.
        rows: as there.
        labels: as there.
        pool: the threads to use.
        counts: as there.
        tolerance: what may be left to gain, in nats.

    Returns:
        The fit at the optimum. Where it has more left than the tolerance, `STEPS` were too few, or float64 resolves no lower
        loss.
    """
    cross_entropy = CrossEntropy(rows, labels, len(fit.bias), counts, pool, np.float64)
    objective = _Objective(cross_entropy, fit.l2, np.concatenate([fit.weights.ravel(), fit.bias]))
    start = np.zeros_like(objective.gradient)
    left = objective.most_left(objective.gradient)
    if left <= tolerance:
        return LogisticFit(fit.l2, fit.weights, fit.bias, objective.value, left)

    def stop(intermediate_result: OptimizeResult) -> None:
        if objective.most_left(objective(intermediate_result.x)[1]) <= tolerance:
            raise StopIteration

    found = minimize(
        objective, start, jac=True, hessp=objective.along, method="trust-ncg", callback=stop,
        options={"maxiter": STEPS, "gtol": 0, "initial_trust_radius": 1.0},
    )  # fmt: skip
    loss, gradient = objective(found.x)
    return LogisticFit(fit.l2, *cross_entropy.split(objective.values(found.x)), loss, objective.most_left(gradient))


def warn_unless_finished(fit: LogisticFit, tolerance: float) -> None:
    """Warn with scikit-learn's ConvergenceWarning of a fit that has more left to gain than the tolerance, in nats."""
    from sklearn.exceptions import ConvergenceWarning

    if fit.left > tolerance:
        message = (
            f"The logistic regression with l2 = {fit.l2:.3g} stopped before its optimum: {fit.left:.1e} nats may be left to "
            f"gain, more than the tolerance of {tolerance:.0e}."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=2)


def _minimise(cross_entropy: CrossEntropy, l2: float, begin: np.ndarray, tolerance: float) -> LogisticFit:
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
    return LogisticFit(
        l2, *cross_entropy.split(objective.values(found.x * unit)), float(found.fun), objective.decrement
    )


class _Objective:
    """The penalised loss around a point, in variables scaled by the root of its Hessian's diagonal.

    `decrement` is what a Newton step with that diagonal would gain where it was last called, in nats.
    """

    def __init__(self, cross_entropy: CrossEntropy, l2: float, begin: np.ndarray) -> None:
        self._cross_entropy, self._l2, self._begin = cross_entropy, l2, begin
        self._penalty = np.concatenate([np.full(np.prod(cross_entropy.shape), l2), np.zeros(cross_entropy.shape[0])])
        slopes, offsets = cross_entropy.curvature(begin)
        floor = 1e-6 * offsets.mean()
        self._scale = np.concatenate([(slopes + l2 + floor).ravel(), offsets + floor]) ** -0.5
        self.value, self.gradient = self(np.zeros_like(begin))
        self._curved: tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]] | None = None

    def values(self, position: np.ndarray) -> np.ndarray:
        """Return weights and bias, one after the other, at a position of the scaled variables."""
        return self._begin + position * self._scale

    def __call__(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        values = self.values(position)
        loss, slope = self._cross_entropy.gradient(values)
        penalised = self._penalty * values
        gradient = (slope + penalised) * self._scale
        self.decrement = 0.5 * float(gradient @ gradient)
        return loss + 0.5 * float(penalised @ values), gradient

    def along(self, position: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return the product of the Hessian there with a direction, both in scaled variables."""
        if self._curved is None or not np.array_equal(self._curved[0], position):
            self._curved = position.copy(), self._cross_entropy.hessian(self.values(position))
        own = direction * self._scale
        return (self._curved[1](own) + self._penalty * own) * self._scale

    def most_left(self, gradient: np.ndarray) -> float:
        """Return the most that is left to gain where this is the gradient, in nats: see `logistic_optimum`."""
        if not self._l2:
            return np.inf
        weights, bias = self._cross_entropy.split(gradient / self._scale)[0], self._cross_entropy.split(gradient)[1]
        return 0.5 * float(np.vdot(weights, weights) / self._l2 + bias @ bias)
