"""Multinomial logistic regression over a path of L2 values, from strong to weak, each warm-started from those before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import softmax

from bottleneck_features.models.cross_entropy import CrossEntropy
from bottleneck_features.models.parallel import Workers

CORRECTIONS = 10  # pairs of differences L-BFGS remembers
ITERATIONS = 1000  # of L-BFGS for each L2 value at most
STEPS = 50  # of Newton's method at most
SOLVED, PRODUCTS = 1e-3, 2000  # relative residual of a Newton step, and products with the Hessian to find one at most
ENOUGH, SHORTEST = (
    1e-3,
    1e-6,
)  # share of what a step should gain that must be gained, and the shortest share of it tried
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
    finished when that is less than the tolerance, or else when a step should gain less. Steps heed the whole Hessian: they are
    found by conjugate gradients.

    Source: J. Nocedal and S. J. Wright, Numerical Optimization, 2006, 7.1.

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
    point = _Point(np.zeros_like(objective.gradient), objective.value, objective.gradient)
    left = objective.most_left(point.gradient)
    for _ in range(STEPS):
        if left <= tolerance:
            break
        step, solved = _newton_step(objective, point)
        gain = -0.5 * float(point.gradient @ step)
        lower = _lower_point(objective, point, step, gain)
        left = gain if solved and gain <= tolerance else objective.most_left((lower or point).gradient)
        if lower is None:
            break
        point = lower
    return LogisticFit(fit.l2, *cross_entropy.split(objective.values(point.position)), point.loss, left)


def warn_unless_finished(fit: LogisticFit, tolerance: float) -> None:
    """Warn with scikit-learn's ConvergenceWarning of a fit that has more left to gain than the tolerance, in nats."""
    from sklearn.exceptions import ConvergenceWarning

    if fit.left > tolerance:
        message = (
            f"The logistic regression with l2 = {fit.l2:.3g} stopped before its optimum: {fit.left:.1e} nats may be left to "
            f"gain, more than the tolerance of {tolerance:.0e}."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=2)


class _Point(NamedTuple):
    position: np.ndarray
    loss: float
    gradient: np.ndarray


def _lower_point(objective: _Objective, point: _Point, step: np.ndarray, gain: float) -> _Point | None:
    """Go the step, or a half, a quarter, … of it, until a share of what that should gain is gained; None: none is lower."""
    length = 1.0
    while length > SHORTEST:
        position = point.position + length * step
        loss, gradient = objective(position)
        if loss <= point.loss - ENOUGH * length * gain:
            return _Point(position, loss, gradient)
        length /= 2
    return None


def _newton_step(objective: _Objective, point: _Point) -> tuple[np.ndarray, bool]:
    """Return the step that solves Hessian · step = −gradient, and whether it does."""
    size = len(point.gradient)
    hessian = LinearOperator((size, size), objective.hessian(point.position), dtype=np.float64)
    step, failed = cg(hessian, -point.gradient, rtol=SOLVED, maxiter=PRODUCTS)
    return step, failed == 0


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

    def hessian(self, position: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return what multiplies the Hessian there by a direction, both in scaled variables."""
        hessian = self._cross_entropy.hessian(self.values(position))

        def product(direction: np.ndarray) -> np.ndarray:
            own = direction * self._scale
            return (hessian(own) + self._penalty * own) * self._scale

        return product

    def most_left(self, gradient: np.ndarray) -> float:
        """Return the most that is left to gain where this is the gradient, in nats: see `logistic_optimum`."""
        if not self._l2:
            return np.inf
        weights, bias = self._cross_entropy.split(gradient / self._scale)[0], self._cross_entropy.split(gradient)[1]
        return 0.5 * float(np.vdot(weights, weights) / self._l2 + bias @ bias)
