"""Samples parted in two, drawn the same way every time and never the tail of a sorted array."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping

import numpy as np

from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.errors import RequestError


def linked(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Return a number for each of `count` things, the same for those that links join, directly or through others.

    Args:
        first: `(m,)` where each link begins, 0 … count − 1.
        second: `(m,)` where it ends.
        count: of things.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: np.ndarray = connected_components(
        coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count)), directed=False
    )[1]
    return numbers


def straddling(groups: Mapping[str, np.ndarray]) -> int:
    """Return how many groups have images in more than one split, `(n,)` groups being given for each."""
    counts = Counter(name for part in groups.values() for name in factorized(part)[0] if name)
    return sum(count > 1 for count in counts.values())


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in two, every class in both parts in its own proportion.

    Args:
        labels: `(n,)` integer array.
        fraction: the share of the second part, between 0 and 1 (exclusive); it is larger where it would not give every class
            a sample.
        seed: the same seed gives the same split.

    Returns:
        Two sorted, disjoint index arrays that cover all samples.

    Raises:
        RequestError: a class has too few samples to be in both parts.
    """
    size = len(labels) - max(math.ceil(fraction * len(labels)), len(np.unique(labels)))
    try:
        first = stratified_draw(labels, size, seed, left=1)
    except ValueError as error:
        raise RequestError(
            f"A share of {fraction} (head.validation_split) cannot give every class an image in "
            f"both parts of {len(labels)} images ({error}). Give more images, raise dataset.limit, or change the share."
        ) from error
    return first, np.setdiff1d(np.arange(len(labels)), first)


def grouped_split(labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in two with every group on one side, every class in both parts, nearly in its own proportion.

    Args:
        labels: `(n,)` integer array.
        groups: `(n,)` array; samples of the same value stay together.
        fraction: the share of the second part; the nearest 1/k is taken.
        seed: the same seed gives the same split.

    Returns:
        Two sorted, disjoint index arrays that cover all samples.

    Raises:
        RequestError: no split has every class in both parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = max(2, round(1 / min(fraction, 1 - fraction)))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    groups_of_rarest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    if min(len(np.unique(groups)), np.bincount(labels[labels >= 0]).max()) >= folds and groups_of_rarest >= 2:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of classes with fewer samples than folds, which is checked here
            for first, second in splitter.split(labels, labels, groups):
                if set(labels[first]) == set(labels[second]):
                    return (first, second) if fraction <= 0.5 else (second, first)
    raise RequestError(
        f"A share of {fraction} (head.validation_split) cannot give every class an image in both "
        f"parts of {len(labels)} images in {len(np.unique(groups))} groups. Give more groups, or change the share."
    )


def stratified_draw(labels: np.ndarray, size: int, seed: int, left: int) -> np.ndarray:
    """Draw samples without replacement, of each class nearly its share.

    scikit-learn's stratified draw is taken where it keeps what is asked for here: it gives rare classes no sample now and then.

    Args:
        labels: `(n,)` integer array.
        size: how many are drawn.
        seed: the same seed gives the same samples.
        left: of every class at least so many are not drawn.

    Returns:
        Their sorted positions, at least one of every class.

    Raises:
        ValueError: there are too few samples for that.
    """
    from sklearn.model_selection import train_test_split

    _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if (counts <= left).any() or not len(counts) <= size <= len(labels) - left * len(counts):
        raise ValueError(f"{size} of {len(labels)} samples of {len(counts)} classes, {left} of each left")
    if counts.min() > 1 and len(counts) <= len(labels) - size:
        drawn, _ = train_test_split(np.arange(len(labels)), train_size=size, stratify=labels, random_state=seed)
        found = np.bincount(own[drawn], minlength=len(counts))
        if ((found > 0) & (counts - found >= left)).all():
            return np.sort(drawn)
    rng = np.random.default_rng(seed)
    shares = _shares(counts, size, counts - left)
    drawn = [rng.choice(np.flatnonzero(own == label), share, replace=False) for label, share in enumerate(shares)]
    return np.sort(np.concatenate(drawn))


def _shares(counts: np.ndarray, size: int, most: np.ndarray) -> np.ndarray:
    """How many of each class: its share of `size`, at least one and at most `most`, those rounded furthest mended first."""
    exact = size * counts / counts.sum()
    shares = np.clip(np.floor(exact).astype(int), 1, most)
    while shares.sum() < size:
        shares[np.where(shares < most, exact - shares, -np.inf).argmax()] += 1
    while shares.sum() > size:
        shares[np.where(shares > 1, exact - shares, np.inf).argmin()] -= 1
    return shares
