"""How well confidence predicts accuracy, and how much of a calibration error is the noise of few images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from bottleneck_features.models.criteria import log_loss
from bottleneck_features.pipeline.evaluation.groups import effective_groups

BINS = 15
DRAWS = 400
TAIL = 0.05
FEWEST_GROUPS = 20


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in 15 bins of equal width over 0..1; confidence is the largest probability.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, 2017.

    Attributes:
        counts: `(15,)` images per bin.
        confidence: `(15,)` mean confidence of a bin; NaN where it is empty.
        accuracy: `(15,)` share of right answers of a bin; NaN where it is empty.
        expected_error: Σ counts · |accuracy − confidence| / n, 0..1. Few images make it too large.
        interval: its ends at 95 %, for the error on unlimited images: see `reliability`.
        noise: the error that a perfectly calibrated classifier of these confidences shows on so few images, on average.
        noise_limit: the error that it exceeds in 5 % of draws.
        equal_mass_error: the same sum over at most 15 bins of nearly equally many images; equal confidences share one.
        log_loss: mean negative log-likelihood, in nats.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_error: float
    interval: tuple[float, float]
    noise: float
    noise_limit: float
    equal_mass_error: float
    log_loss: float

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types; an empty bin has nulls."""
        return {
            "expected_calibration_error": self.expected_error,
            "interval": list(self.interval),
            "noise_floor": self.noise,
            "noise_limit": self.noise_limit,
            "equal_mass_calibration_error": self.equal_mass_error,
            "log_loss": self.log_loss,
            "bins": {
                "count": self.counts.tolist(),
                "confidence": [None if np.isnan(value) else float(value) for value in self.confidence],
                "accuracy": [None if np.isnan(value) else float(value) for value in self.accuracy],
            },
        }


def reliability(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None) -> Reliability:
    """Measure how well confidence predicts accuracy.

    The noise is what the error is where answers are right as often as their confidences say, drawn 400 times; with groups
    each group's residuals, right minus confidence, get random signs instead, which keeps what its images have in common.
    The interval is of 400 bootstrap draws of images, or of groups. Its upper end is the percentile, less the draws' bias. Its
    lower end is the basic bootstrap's, but 0 unless the error exceeds the noise limit. How often it holds the true error:
    `benchmarks/calibration_noise.py`, docs/results.md. Of fewer groups than 20 of one size, or as many unequal ones, neither is
    known: the interval is all that is possible, and the limit 1.

    Sources: J. Bröcker and L. A. Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting 22,
    2007 (the noise); C. F. J. Wu, Jackknife, bootstrap and other resampling methods in regression analysis, Annals of
    Statistics 14, 1986 (random signs); B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993.

    Args:
        labels: `(n,)` integers in 0 … classes − 1, n > 0.
        probabilities: `(n, classes)`, rows that sum to 1.
        groups: `(n,)` integers, of images that are not independent.

    Returns:
        The `Reliability`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    empty = np.where(counts == 0, np.nan, 1.0)
    mean_confidence, accuracy = (
        np.bincount(bins, values, BINS) / np.maximum(counts, 1) * empty for values in (confidence, right)
    )
    equal_mass = (rankdata(confidence, method="min").astype(int) - 1) * BINS // len(labels)  # equal ones in one bin
    error, noise = _error(bins, right - confidence), _noise(bins, confidence, right, groups)
    limit = float(np.quantile(noise, 1 - TAIL))
    ends = _interval(error, _bootstrapped(bins, right - confidence, groups), limit)
    if len(labels) < 2 or (groups is not None and effective_groups(groups) < FEWEST_GROUPS):
        ends, limit = (0.0, 1.0), 1.0
    return Reliability(
        counts,
        mean_confidence,
        accuracy,
        error,
        ends,
        float(noise.mean()),
        limit,
        _error(equal_mass, right - confidence),
        log_loss(probabilities, labels),
    )


def _error(bins: np.ndarray, residuals: np.ndarray, weights: np.ndarray | None = None) -> float:
    own = residuals if weights is None else residuals * weights
    return float(np.abs(np.bincount(bins, own, BINS)).sum() / (len(bins) if weights is None else weights.sum()))


def _noise(bins: np.ndarray, confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    random = np.random.default_rng(0)
    if groups is None:
        return _drawn(lambda: _error(bins, (random.random(len(bins)) < confidence) - confidence))
    own = np.unique(groups, return_inverse=True)[1]
    return _drawn(lambda: _error(bins, (right - confidence) * random.choice([-1, 1], own.max() + 1)[own]))


def _bootstrapped(bins: np.ndarray, residuals: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    random = np.random.default_rng(1)
    own = np.arange(len(bins)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(own.max()) + 1
    return _drawn(lambda: _error(bins, residuals, np.bincount(random.integers(0, count, count), minlength=count)[own]))


def _drawn(one: Callable[[], float]) -> np.ndarray:
    return np.array([one() for _ in range(DRAWS)])


def _interval(error: float, drawn: np.ndarray, limit: float) -> tuple[float, float]:
    high = float(np.quantile(drawn, 1 - TAIL / 2))
    bias = float(drawn.mean()) - error
    lower = max(0.0, 2 * error - high) if error > limit else 0.0
    return min(lower, error), min(1.0, max(error, high - bias))
