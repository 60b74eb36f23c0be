"""The threshold at which two classes are told apart best, and the same place in the answers of another fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from bottleneck_features.models.probabilities import SMALLEST_PROBABILITY


@dataclass(frozen=True)
class Spread:
    """Where the answers of a fit to two classes lie: thresholds of one fit can be used by another only relative to it.

    A fit to other images, or with another penalty, shifts and stretches all log-odds; a strong penalty leaves so narrow a
    range of probabilities that a threshold moved by a thousandth answers one class only.

    Attributes:
        mean: of the log-odds of the second class, over the images that it was fitted on.
        deviation: their standard deviation.
    """

    mean: float
    deviation: float

    def places(self, log_odds: np.ndarray) -> np.ndarray:
        """Return how many standard deviations above the mean log-odds are."""
        return (log_odds - self.mean) / self.deviation

    def threshold_at(self, place: float) -> float:
        """Return the probability of the second class that is so many standard deviations above the mean."""
        return float(expit(self.mean + place * self.deviation))


def spread_of(log_odds: np.ndarray) -> Spread | None:
    """Return the spread of `(n,)` log-odds of the second class; None where all are the same."""
    mean, deviation = float(log_odds.mean(dtype=np.float64)), float(log_odds.std(dtype=np.float64))
    return Spread(mean, deviation) if deviation > 0 else None


def log_odds_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the `(n,)` log-odds of the second of two classes, of `(n, 2)` probabilities."""
    first, second = np.log(np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1.0)).T
    return np.asarray(second - first)


def moved_threshold(threshold: float | None, before: Spread | None, after: Spread | None) -> float | None:
    """Return the threshold of one fit for another one; as it is where a spread is not known."""
    if threshold is None or before is None or after is None:
        return threshold
    return after.threshold_at(float(before.places(logit(threshold))))


def best_threshold(labels: np.ndarray, scores: np.ndarray, select: str) -> float:
    """Return the score from which the second class is answered, so that the figure is largest on these images.

    Where several thresholds reach it, the middle of the widest range of scores that do is taken.

    Args:
        labels: `(n,)` 0 or 1, both occur.
        scores: `(n,)` of the second class, 0..1.
        select: `balanced-accuracy` or `macro-f1`.
    """
    thresholds, values = _path(labels, scores, select)
    best = np.flatnonzero(values >= values.max() - 1e-12)
    below = np.append(thresholds[1:], 0.0)  # the next lower score: anything above it answers the same
    widest = best[np.argmax(np.minimum(thresholds[best], 1.0) - below[best])]
    return float((min(thresholds[widest], 1.0) + below[widest]) / 2)


def reached_at_best(labels: np.ndarray, scores: np.ndarray, select: str) -> float:
    """Return the figure at the best threshold; arguments as in `best_threshold`."""
    return float(_path(labels, scores, select)[1].max())


def _path(labels: np.ndarray, scores: np.ndarray, select: str) -> tuple[np.ndarray, np.ndarray]:
    """Return every threshold that answers otherwise, falling, from one that answers no second class, and its figure."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), labels[order] == 1
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.concatenate([[0], np.cumsum(hits)[last]])
    wrong = np.concatenate([[0], np.cumsum(~hits)[last]])
    positives, negatives = max(1, int(hits.sum())), max(1, int((~hits).sum()))
    thresholds = np.concatenate([[np.inf], ranked[last]])
    if select == "balanced-accuracy":
        return thresholds, (found / positives + (negatives - wrong) / negatives) / 2
    first = 2 * (negatives - wrong) / np.maximum(2 * (negatives - wrong) + wrong + (positives - found), 1)
    second = 2 * found / np.maximum(2 * found + wrong + (positives - found), 1)
    return thresholds, (first + second) / 2
