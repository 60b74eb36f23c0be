"""How certain figures are of images in groups (an object, a burst, a video), which are not independent.

Figures are means over images, and intervals are for images of new groups. Which variance is taken was decided by simulation
over equal and unequal sizes of groups (`benchmarks/interval_coverage.py`, docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.figures import CONFIDENCE

LARGE, HUGE = 0.10, 0.25  # of the images: a group of which a reader must know, and one that no other group can outweigh


def groups_of(dataset: Dataset, *parts: Subset) -> np.ndarray | None:
    """Return the `(n,)` names of the groups that the samples of some parts are in; None where one of them has no groups."""
    if any(part.split not in dataset.groups for part in parts):
        return None
    return np.concatenate([dataset.groups[part.split][part.indices] for part in parts])


def group_numbers(names: np.ndarray | None) -> np.ndarray | None:
    """Return the `(n,)` numbers, from 0, of groups by `(n,)` names; None where no two images are in the same one."""
    if names is None or not len(names):
        return None
    own = factorized(names)[1]
    return own if own.max() + 1 < len(own) else None


def group_warnings(names: np.ndarray | None, images: str) -> tuple[str, ...]:
    """Return what a reader must know of figures of images in groups; nothing where no two images are in the same one.

    Args:
        names: `(n,)` of the images' groups; None where there are none.
        images: what they are called, such as `test images`.
    """
    numbers = group_numbers(names)
    if numbers is None:
        return ()
    come = (
        f"The {len(numbers):,} {images} come in {int(numbers.max()) + 1:,} groups (dataset.group). Figures are means over "
        "images; their intervals and p-values are for images of new groups, so they count groups."
    )
    return ((come,) if numbers.max() else ()) + large_group_warnings(names, images)


def large_group_warnings(names: np.ndarray | None, images: str) -> tuple[str, ...]:
    """Return a warning of a group that has many of the images, or all; nothing where there is none. Arguments as above."""
    numbers = group_numbers(names)
    if names is None or numbers is None:
        return ()
    counts = np.bincount(numbers)
    most, largest = int(counts.max()), str(names[int(np.argmax(numbers == counts.argmax()))])
    if len(counts) == 1:
        return (
            f"Groups: the {most:,} {images} are all of one group, {largest!r} (dataset.group): they say next to nothing of "
            "images of other groups, and every interval is wide for it.",
        )
    share = most / len(numbers)
    if share < LARGE:
        return ()
    wide = " Intervals are wide for it: more groups would make them narrower." if share > HUGE else ""
    return (
        f"Groups: {most:,} of the {len(numbers):,} {images} ({share:.0%}) are of one group, {largest!r}, so every figure depends "
        f"much on how that one went.{wide}",
    )


def lone_class_warnings(
    names: np.ndarray | None, labels: np.ndarray, class_names: Sequence[str], images: str
) -> tuple[str, ...]:
    """Return a warning of classes whose images are all of one group, of two images or more.

    Args:
        names: `(n,)` of the images' groups; None where there are none.
        labels: `(n,)` integers, indices into the names of the classes.
        class_names: of the classes.
        images: what the images are called, such as `test images`.
    """
    numbers = group_numbers(names)
    if numbers is None or not numbers.max():
        return ()
    own = [np.flatnonzero(labels == label) for label in range(len(class_names))]
    lone = [label for label, rows in enumerate(own) if len(rows) > 1 and len(np.unique(numbers[rows])) == 1]
    if not lone:
        return ()
    named = enumerated((repr(str(class_names[label])) for label in lone), 5)
    return (
        f"Groups: all {images} of {named} are of one group for each class: how well such a class is found in other groups cannot "
        "be told, nor, closely, any figure that is a mean over classes.",
    )


def effective_groups(groups: np.ndarray) -> float:
    """Return how many groups of one size would be as certain as groups of these sizes: n² / Σ sizes² of `(n,)` numbers."""
    sizes = np.unique(groups, return_counts=True)[1]
    return float(len(groups) ** 2 / np.square(sizes).sum())


@dataclass(frozen=True)
class _Grouped:
    """How n images lie in G groups and in strata, such as their classes, whose means are estimated.

    Attributes:
        groups: `(n,)` integers 0 … G − 1.
        strata: `(n,)` integers.
        sizes: `(G,)` images of each group.
        cells: `(m,)` images of each group in each of its strata.
        cell_strata: `(m,)` the stratum of each cell, from 0.
        cell_of: `(n,)` the cell of each image.
        leverage: `(G,)`, 0..1, how far a group's own images move the means that they are compared with: the mean, over its
            images, of its share of their stratum.
    """

    groups: np.ndarray
    strata: np.ndarray
    sizes: np.ndarray
    cells: np.ndarray
    cell_strata: np.ndarray
    cell_of: np.ndarray
    leverage: np.ndarray


def _grouped(groups: np.ndarray, strata: np.ndarray) -> _Grouped:
    """Return how images lie in groups and strata; both are `(n,)` integers."""
    own, strata = (np.unique(numbers, return_inverse=True)[1] for numbers in (groups, strata))
    places, cell_of, cells = np.unique(np.stack([strata, own]), axis=1, return_inverse=True, return_counts=True)
    cell_strata, cell_groups = places
    sizes = np.bincount(own)
    leverage = np.bincount(cell_groups, cells**2 / np.bincount(strata)[cell_strata]) / sizes
    return _Grouped(own, strata, sizes, cells, cell_strata, cell_of.ravel(), leverage)


def images_kept(influence: np.ndarray, groups: np.ndarray | None, strata: np.ndarray | None = None) -> float:
    """Return what share of n images, were they independent, would tell a measure as certainly as these in groups do.

    That is 1 / d · (t(n − 1) / t(f))², with t the quantiles of Student's distribution for the interval at 95 %, d ≥ 1 the design
    effect, the measure's variance by its G groups over that of n independent images, and f degrees of freedom. There are two
    such estimates, and the one that keeps less is taken: the first is too sure where a few large groups make most of the
    variance, the second where large groups are more alike inside than small ones.

    1. From the groups' sums of influence, each corrected for its leverage h: Σ_g S_g² / (1 − h_g), with the freedom of
       `_freedom`.
    2. From how alike images of a group are, ρ (the intraclass correlation, by the analysis of variance), and the sizes:
       1 + (κ − 1) ρ, with κ the number of images that an image's group has on average; f = Σ_g (1 − h_g).

    Influences that are all 0 have no variance to go by: images of a group are then as good as one, and 1 / κ is kept.

    Sources: E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24, 1998 (the effective number of images); R. M. Bell and D. F. McCaffrey,
    Bias reduction in standard errors for linear regression with multi-stage samples, Survey Methodology 28, 2002 (1); L. Kish,
    Survey Sampling, 1965, and A. Donner, A review of inference procedures for the intraclass correlation coefficient in the
    one-way random effects model, International Statistical Review 54, 1986 (2).

    Args:
        influence: `(n,)`, of each image on the measure: see `estimates`; for a mean the deviations from it.
        groups: `(n,)` integers; None: the images are independent, and the share is 1.
        strata: `(n,)` integers, such as the classes where the measure is a mean over them; None: one for all.
    """
    if groups is None:
        return 1.0
    count = len(influence)
    own = _grouped(groups, np.zeros(count, int) if strata is None else strata)
    between = float((1 - own.leverage).sum())
    if between < 1e-9 or np.square(influence).mean() < 1e-20:
        return effective_groups(groups) / count
    by_sums = _kept(_effect_of_sums(own, influence), _freedom(own, influence), count)
    return min(by_sums, _kept(_effect_of_likeness(own, influence), between, count))


def _kept(effect: float, freedom: float, count: int) -> float:
    few = t.ppf((1 + CONFIDENCE) / 2, [count - 1, freedom])
    return float((few[0] / few[1]) ** 2 / max(1.0, effect))


def _effect_of_sums(own: _Grouped, influence: np.ndarray) -> float:
    sums = np.bincount(own.groups, influence)
    inside = own.leverage < 1
    return float(np.sum(sums[inside] ** 2 / (1 - own.leverage[inside])) / np.square(influence).sum())


def _freedom(own: _Grouped, influence: np.ndarray) -> float:
    """Return the degrees of freedom of the variance by the groups' sums.

    A stratum's part of the variance, V_c, is as certain as groups of these sizes allow were images independent: with w the
    groups' shares of its images f_c = 1 / (Σ w² + (Σ w² / (1 − w))² − Σ w⁴ / (1 − w)²), G_c − 1 for equal ones. The parts
    together have (Σ V_c)² / Σ V_c² / f_c, as a rare class's few groups make most of the variance of a measure that heeds every
    class; but never more than all groups have.

    Sources: see `images_kept` (f_c); F. E. Satterthwaite, An approximate distribution of estimates of variance components,
    Biometrics Bulletin 2, 1946.
    """
    usual = _freedom_of(own.sizes)
    strata, sums = own.cell_strata, np.square(np.bincount(own.cell_of, influence))
    shares = own.cells / np.bincount(own.strata)[strata]
    inside = shares < 1
    parts = np.bincount(strata[inside], sums[inside] / (1 - shares[inside]), strata.max() + 1)
    if parts.sum() <= 1e-12 * np.square(influence).sum():
        return usual
    known = np.flatnonzero(parts)
    freedoms = np.array([_freedom_of(own.cells[strata == number]) for number in known])
    return float(min(usual, parts.sum() ** 2 / np.sum(parts[known] ** 2 / freedoms)))


def _freedom_of(sizes: np.ndarray) -> float:
    """Return f of groups of these sizes, at least two."""
    shares = sizes / sizes.sum()
    others = shares**2 / (1 - shares)
    return float(1 / (np.sum(shares**2) + others.sum() ** 2 - np.sum(others**2)))


def _effect_of_likeness(own: _Grouped, influence: np.ndarray) -> float:
    spread = np.sqrt(np.bincount(own.strata, influence**2) / np.bincount(own.strata))[own.strata]
    values = np.divide(influence, spread, out=np.zeros_like(influence, float), where=spread > 0)
    sums, free = np.bincount(own.groups, values), 1 - own.leverage
    between = np.sum(sums**2 / own.sizes) / free.sum()
    within = np.sum((values - (sums / own.sizes)[own.groups]) ** 2) / max(1, len(values) - len(own.sizes))
    usual = np.sum(own.sizes * free) / free.sum()
    likeness = float(np.clip((between - within) / (between + (usual - 1) * within), 0, 1))
    together = np.square(np.bincount(own.groups, spread)).sum() / np.square(spread).sum()
    return float(1 + (together - 1) * likeness)
