"""Intervals and tests for images in groups (an object, a burst, a video), which are not independent."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.evaluation.splits import Subset


def scored_groups(dataset: Dataset, part: Subset) -> np.ndarray | None:
    """Return the `(n,)` numbers of the groups that the samples of a part are in; None where no two are in the same one."""
    if part.split not in dataset.groups:
        return None
    own = factorized(dataset.groups[part.split][part.indices])[1]
    return own if own.max() + 1 < len(own) else None


def effective_images(values: np.ndarray, groups: np.ndarray | None, confidence: float) -> float:
    """Return the number of independent images whose mean would be as certain as that of these images in groups.

    That is n / d · (t(n − 1) / t(G − 1))², with t the quantiles of Student's distribution at the confidence. The design
    effect d ≥ 1 is the variance of the mean by the G groups, G / (G − 1) · Σ_g (Σ_{i in g} (x_i − mean))² / n², over that
    of n independent images. Values that are all the same have no variance to go by: each group counts as one image.

    Source: E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data, Survey Methodology 24, 1998.

    Args:
        values: `(n,)` numbers, n > 0, such as 1 for each image a method got right and 0 for the others.
        groups: `(n,)` integers; None: the images are independent, and there are n.
        confidence: of the interval that it is for, between 0 and 1.
    """
    n, variance = len(values), float(np.var(values))
    if groups is None:
        return n
    own = np.unique(groups, return_inverse=True)[1]
    count = int(own.max()) + 1
    if count < 2 or variance == 0:
        return count
    by_groups = count / (count - 1) * np.square(np.bincount(own, values - values.mean())).sum() / n**2
    few = t.ppf((1 + confidence) / 2, [n - 1, count - 1])
    return float(n / max(1.0, by_groups / (variance / n)) * (few[0] / few[1]) ** 2)


def sign_flip_test(gains: np.ndarray, groups: np.ndarray) -> float:
    """Return the exact two-sided p-value of two methods that are equally good, from images in groups.

    If they are, each group's sum of gains could as well have the opposite sign. The chance of every total over all 2^G
    choices of signs is counted by adding one group after the other. With one image per group it is McNemar's exact test.

    Source: R. A. Fisher, The Design of Experiments, 1935, section 21, on the sums of groups.

    Args:
        gains: `(n,)` integers: 1 where only the first method is right, −1 where only the second is, else 0.
        groups: `(n,)` integers.
    """
    sums = np.bincount(groups, gains).astype(int)
    sizes = np.sort(np.abs(sums[sums != 0]))
    total = int(sizes.sum())
    chances = np.zeros(total + 1)  # that the groups with a positive sign add up to 0 … total
    chances[0] = 1.0
    for size, reached in zip(sizes, np.cumsum(sizes), strict=True):
        chances[size : reached + 1] += chances[: reached + 1 - size].copy()
        chances[: reached + 1] /= 2
    at_least = np.abs(2 * np.arange(total + 1) - total) >= abs(sums.sum())
    return min(1.0, float(chances[at_least].sum()))
