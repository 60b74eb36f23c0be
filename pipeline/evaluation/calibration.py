"""Calibration of a classifier's confidence: expected calibration error, and temperature scaling."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import rankdata

from bottleneck_features.models.criteria import log_loss
from bottleneck_features.models.probabilities import clipped, with_temperature

BINS = 15
COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in 15 bins of equal width over 0..1; confidence is the largest probability.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, 2017.

    Attributes:
        counts: `(15,)` images per bin.
        confidence: `(15,)` mean confidence of a bin; NaN where it is empty.
        accuracy: `(15,)` share of right answers of a bin; NaN where it is empty.
        expected_error: Σ counts · |accuracy − confidence| / n, 0..1.
        equal_mass_error: the same sum over at most 15 bins of nearly equally many images; equal confidences share one.
        log_loss: mean negative log-likelihood, in nats.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_error: float
    equal_mass_error: float
    log_loss: float

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types; an empty bin has nulls."""
        return {
            "expected_calibration_error": self.expected_error,
            "equal_mass_calibration_error": self.equal_mass_error,
            "log_loss": self.log_loss,
            "bins": {
                "count": self.counts.tolist(),
                "confidence": [None if np.isnan(value) else float(value) for value in self.confidence],
                "accuracy": [None if np.isnan(value) else float(value) for value in self.accuracy],
            },
        }


@dataclass(frozen=True)
class Calibration:
    """A temperature fitted on images that the model has not seen, and the reliability of images before and after it.

    Attributes:
        temperature: above 1 the classifier was overconfident.
        before: at temperature 1.
        after: at the temperature.
        held_out: whether the temperature was fitted on other images; else `after` is too optimistic.
        fitted_images: how many images the temperature was fitted on.
        fitted_on: `validation`, or `cross_validated` for answers of the models of folds.
    """

    temperature: float
    before: Reliability
    after: Reliability
    held_out: bool
    fitted_images: int
    fitted_on: str = "validation"

    def as_json(self) -> Mapping[str, Any]:
        """Return plain JSON types."""
        return {
            "bins": f"{BINS} bins of equal width",
            "temperature": self.temperature,
            "fitted_on": self.fitted_on,
            "fitted_images": self.fitted_images,
            "held_out": self.held_out,
            "before": self.before.as_json(),
            "after": self.after.as_json(),
        }


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Measure how well confidence predicts accuracy.

    Args:
        labels: `(n,)` integers in 0 … classes − 1, n > 0.
        probabilities: `(n, classes)`, rows that sum to 1.

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
    return Reliability(
        counts,
        mean_confidence,
        accuracy,
        _error(bins, confidence, right),
        _error(equal_mass, confidence, right),
        log_loss(probabilities, labels),
    )


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Find the temperature T that minimises the log loss of softmax(logits / T).

    Probabilities are enough: the logarithm of a softmax equals its logits up to a constant, which a softmax ignores. Targets
    are (n + 1) / (n + 2) for the right class, and the others share the rest; with 1 and 0, T would fall to 0 if there is no
    error among the n images. Source: J. Platt, Probabilistic Outputs for Support Vector Machines, 1999.

    Args:
        labels: `(n,)` integers of the validation images.
        probabilities: `(n, classes)` of the same images.

    Returns:
        T, between 0.01 and 100; above 1 the classifier was overconfident.
    """
    logits, (n, classes) = np.log(clipped(probabilities)), probabilities.shape
    rest = 1 / ((n + 2) * max(1, classes - 1))
    targets = np.where(np.arange(classes) == labels[:, None], (n + 1) / (n + 2), rest)

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded").x))


def calibrate(
    validation: tuple[np.ndarray, np.ndarray], scored: tuple[np.ndarray, np.ndarray], held_out: bool
) -> Calibration:
    """Fit a temperature on validation images and measure images before and after it.

    Args:
        validation: labels `(n,)` and probabilities `(n, classes)` that the temperature is fitted on.
        scored: labels `(m,)` and probabilities `(m, classes)` of the evaluation set.
        held_out: whether these are test images, on which nothing is fitted.

    Returns:
        The `Calibration`.
    """
    labels, probabilities = scored
    temperature = fit_temperature(*validation)
    return Calibration(
        temperature,
        reliability(labels, probabilities),
        reliability(labels, with_temperature(probabilities, temperature)),
        held_out,
        len(validation[0]),
    )


def _error(bins: np.ndarray, confidence: np.ndarray, right: np.ndarray) -> float:
    gaps = np.bincount(bins, right - confidence, BINS)
    return float(np.abs(gaps).sum() / len(bins))
