"""Calibration of a classifier's confidence by temperature scaling, and whether it made probabilities better or worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import chi2, t

from bottleneck_features.models.probabilities import clipped, with_temperature
from bottleneck_features.pipeline.evaluation.groups import images_kept
from bottleneck_features.pipeline.evaluation.reliability import BINS, Reliability, reliability
from bottleneck_features.pipeline.figures import CONFIDENCE

COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class LogLossChange:
    """How much higher the log loss is after than before, in nats, on the same images: its interval at 95 % and p-value.

    Attributes:
        value: below 0 the probabilities are better.
        low: the interval's lower end.
        high: its upper end.
        p_value: two-sided, of no change.
    """

    value: float
    low: float
    high: float
    p_value: float

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"value": self.value, "interval": [self.low, self.high], "p_value": self.p_value}


@dataclass(frozen=True)
class Calibration:
    """A temperature fitted on images that the model has not seen, and the reliability of images before and after it.

    Attributes:
        temperature: above 1 the classifier was overconfident; exactly 1 where validation images do not show that one is needed.
        before: at temperature 1; None where the method's own scores are no probabilities.
        after: at the temperature.
        change: of the log loss, by the temperature; None where there is no `before`, the temperature is 1, or it was fitted on
            these same images, which are better by it in any case.
        held_out: whether the temperature was fitted on other images; else `after` is too optimistic.
        fitted_images: how many images the temperature was fitted on.
        fitted_on: `validation`, or `cross_validated` for answers of the models of folds.
    """

    temperature: float
    before: Reliability | None
    after: Reliability
    change: LogLossChange | None
    held_out: bool
    fitted_images: int
    fitted_on: str = "validation"

    def of_scores(self) -> Calibration:
        """Return the calibration of a method whose own scores are no probabilities: there is nothing to compare with."""
        return replace(self, before=None, change=None)

    def as_json(self) -> Mapping[str, Any]:
        """Return plain JSON types."""
        return {
            "bins": f"{BINS} bins of equal width",
            "log_loss_change": self.change and self.change.as_json(),
            "temperature": self.temperature,
            "fitted_on": self.fitted_on,
            "fitted_images": self.fitted_images,
            "held_out": self.held_out,
            "before": self.before and self.before.as_json(),
            "after": self.after.as_json(),
        }


class Known(NamedTuple):
    """Labels `(n,)`, probabilities `(n, classes)`, and the numbers of groups `(n,)` or None, of the same images."""

    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray | None = None


Temperature = Callable[[Known], float]


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


def whole_temperature(known: Known) -> float:
    """Return the temperature of `fit_temperature` of some images, whatever they show."""
    return fit_temperature(known.labels, known.probabilities)


def needed_temperature(known: Known) -> float:
    """Return as much of the temperature of `fit_temperature` as these images show to be needed; 1 where they show none.

    With R its likelihood ratio to 1, and q what 5 % of ratios exceed where 1 is right, that is T to the power 1 − q / R, but not
    below 0: R counts groups as as many images as `images_kept` leaves. T itself is too far from 1 where few images happen to ask
    for one, and makes the probabilities of other images worse.

    Sources: S. S. Wilks, The large-sample distribution of the likelihood ratio, Annals of Mathematical Statistics 9, 1938;
    L. Breiman, Better subset regression using the nonnegative garrote, Technometrics 37, 1995 (1 − q / R).

    Args:
        known: the validation images.
    """
    labels, probabilities, groups = known
    temperature = fit_temperature(labels, probabilities)
    gains = _gains(labels, probabilities, with_temperature(probabilities, temperature))
    ratio = 2 * float(gains.sum()) * images_kept(gains - gains.mean(), groups)
    limit = float(chi2.ppf(CONFIDENCE, 1))
    return temperature ** (1 - limit / ratio) if ratio > limit else 1.0


def _gains(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return how much likelier the right class of each image is after than before, `(n,)`, in nats."""
    rows = np.arange(len(labels))
    return np.log(clipped(after))[rows, labels] - np.log(clipped(before))[rows, labels]


def log_loss_change(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> LogLossChange:
    """Compare the log loss of two sets of probabilities of the same images by Student's t test on their differences.

    Args:
        labels: `(n,)` integers, n > 1.
        before: `(n, classes)` probabilities.
        after: likewise.
        groups: `(n,)` integers, of images that are not independent; the test counts them, see `images_kept`.
    """
    losses = -_gains(labels, before, after)
    value, freedom = float(losses.mean()), len(losses) - 1
    error = float(np.sqrt(losses.var(ddof=1) / len(losses) / images_kept(losses - value, groups)))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p_value = float(2 * t.sf(abs(value) / error, freedom)) if error else float(value == 0)
    return LogLossChange(value, value - reach, value + reach, p_value)


def calibrate(validation: Known, scored: Known, *, held_out: bool, temperature: Temperature) -> Calibration:
    """Fit a temperature on validation images and measure images before and after it.

    Args:
        validation: what the temperature is fitted on.
        scored: the evaluation set.
        held_out: whether these are test images, on which nothing is fitted.
        temperature: `needed_temperature`, or `whole_temperature` for scores that are no probabilities without one.

    Returns:
        The `Calibration`.
    """
    labels, probabilities, groups = scored
    found = temperature(validation)
    before = after = reliability(labels, probabilities, groups)
    change = None
    if found != 1:
        scaled = with_temperature(probabilities, found)
        after = reliability(labels, scaled, groups)
        change = log_loss_change(labels, probabilities, scaled, groups) if held_out and len(labels) > 1 else None
    return Calibration(found, before, after, change, held_out, len(validation.labels))
