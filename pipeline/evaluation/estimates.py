"""Measures of a classifier's answers with what their intervals need: how far each image moves them.

The influence of an image on a measure is what its share of the images, were it larger, would add to it; the mean of the squares
over the images, divided by their number, is the measure's variance. Images in groups move together, so what groups cost a
measure is what they cost the mean of its influences. Which interval is taken for which measure was decided by simulation
(`benchmarks/interval_coverage.py`, docs/results.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from bottleneck_features.pipeline.evaluation.scores import wilson


@dataclass(frozen=True)
class Estimate:
    """A measure, 0..1, of n images' answers.

    Attributes:
        value: the measure.
        influence: `(n,)`, of each image on it.
        effective: the number of images of which a share would be as certain, which may be a fraction; 50 where the measure's
            variance is that of a share of 50 images.
    """

    value: float
    influence: np.ndarray
    effective: float

    def interval(self, kept: float) -> tuple[float, float]:
        """Return the ends of the interval at 95 %: Wilson's, of a share of the effective images.

        Args:
            kept: what share, 0 < kept ≤ 1, of the images counts, see `images_kept`.
        """
        return wilson(self.value, kept * self.effective)


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> Estimate:
    """Return the mean of the recalls of the classes that occur in `(n,)` labels, for `(n,)` predicted classes.

    The effective images are reckoned with one right and one wrong answer more in every class: a few images that are all
    right would say that their class's recall is certain.
    """
    classes, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    right = labels == predicted
    hits = np.bincount(own, right)
    influence = (right - (hits / counts)[own]) * len(labels) / (len(classes) * counts[own])
    recalls = (hits + 1) / (counts + 2)
    variance = np.sum(recalls * (1 - recalls) / counts) / len(classes) ** 2
    return Estimate(float(np.mean(hits / counts)), influence, float(recalls.mean() * (1 - recalls.mean()) / variance))


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> Estimate:
    """Return the mean of F1 over the classes that occur in `(n,)` labels or `(n,)` predicted classes."""
    n, own = len(labels), np.unique(np.concatenate([labels, predicted]), return_inverse=True)[1]
    actual, guess, classes = own[:n], own[n:], int(own.max()) + 1
    sizes = np.bincount(own) / n
    right = actual == guess
    f1 = 2 * np.bincount(actual[right], minlength=classes) / n / sizes
    influence = (2 * right - f1[actual]) / sizes[actual] - f1[guess] / sizes[guess]
    influence, counts = influence / classes, np.unique(labels, return_counts=True)[1]
    value, variance = float(f1.mean()), float(np.mean(influence**2)) / n
    return Estimate(value, influence, _effective(value, variance, _like_images(counts)))


def auroc(positive: np.ndarray, scores: np.ndarray) -> Estimate:
    """Return the area under the ROC curve: how often a positive image's score is above a negative one's, ties half.

    Its variance is the mean of DeLong's and Newcombe's. DeLong's alone covers 91 % with 50 positive images at an area of
    0.95, Newcombe's alone 97 to 98 %.

    Sources: E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves, Biometrics 44, 1988; R. G. Newcombe, Confidence intervals for an effect size measure
    based on the Mann–Whitney statistic, part 2, Statistics in Medicine 25, 2006, method 5.

    Args:
        positive: `(n,)` booleans, not all the same.
        scores: `(n,)` numbers.
    """
    ranks, sizes = rankdata(scores), np.array([np.sum(~positive), np.sum(positive)])
    above = np.empty(len(scores))  # of the other kind's images, how many an image is ranked right of
    above[positive] = (ranks[positive] - rankdata(scores[positive])) / sizes[0]
    above[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / sizes[1]
    area = float(above[positive].mean())
    influence = (above - area) * len(scores) / sizes[positive.astype(int)]
    delong = sum(_variance(above[kind]) / kind.sum() for kind in (positive, ~positive))
    usual = sizes.mean() - 1
    newcombe = (1 + usual * (1 - area) / (2 - area) + usual * area / (1 + area)) * area * (1 - area) / sizes.prod()
    return Estimate(area, influence, _effective(area, float(delong + newcombe) / 2, _like_images(sizes)))


def average_precision(positive: np.ndarray, scores: np.ndarray) -> Estimate:
    """Return the mean, over the positive images, of the share of positive ones among all images scored as high.

    Its variance is the mean of the influences' and of that of a share of the positive images. The influences' alone covers
    92 to 94 % where there are 50 of them, the other's alone 96 to 99 %.

    Args:
        positive: `(n,)` booleans, not all the same.
        scores: `(n,)` numbers.
    """
    n, count = len(scores), int(positive.sum())
    level = np.unique(-scores, return_inverse=True)[1]
    hits, misses = np.bincount(level, positive), np.bincount(level, ~positive)
    true, false = hits.cumsum() / n, misses.cumsum() / n
    precision = true / (true + false)
    value = float((hits * precision).sum()) / count
    gain, loss = hits * false / (true + false) ** 2, hits * true / (true + false) ** 2
    later_gain, later_loss = (np.cumsum(part[::-1])[::-1] / n for part in (gain, loss))
    influence = np.where(positive, precision[level] - value + later_gain[level], -later_loss[level]) * n / count
    share = value * (1 - value) / count
    return Estimate(value, influence, _effective(value, (float(np.var(influence)) / n + share) / 2, count))


def _effective(value: float, variance: float, at_ends: float) -> float:
    share = value * (1 - value)
    return share / variance if share and variance else at_ends


def _like_images(counts: np.ndarray) -> float:
    """Return how many images of equally frequent classes would tell a mean over classes as certainly."""
    return float(len(counts) ** 2 / np.sum(1 / counts))


def _variance(values: np.ndarray) -> float:
    """Return the variance of shares; of a single one the greatest that it can have."""
    return float(values.var(ddof=1)) if len(values) > 1 else float(values[0] * (1 - values[0]))
