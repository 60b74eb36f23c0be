"""The test images of data that come without a test split, drawn the same way every time."""

from collections.abc import Mapping

import numpy as np

from pipeline.comparison.splits import grouped_split
from pipeline.errors import RequestError

SPLIT_SEED = 0  # not the experiment's: another seed must not mean another cache


def draw_test(
    labels: np.ndarray, names: tuple[str, ...], groups: np.ndarray, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a test split, every class in both parts in nearly its own proportion, and no group in both.

    Args:
        labels: `(n,)` integers, at least two of each class, in their fixed order.
        names: of the classes, sorted as text.
        groups: `(n,)`, or `(0,)` where there are none.
        fraction: the share of the test split, between 0 and 1 (exclusive).

    Returns:
        The sorted positions of the training and of the test images.

    Raises:
        RequestError: the groups leave no such split.
    """
    chosen = np.zeros(len(labels), bool)
    chosen[_grouped(labels, names, groups, fraction) if len(groups) else _stratified(labels, fraction)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def straddling(groups: Mapping[str, np.ndarray]) -> int:
    """Return how many groups have images in more than one split, `(n,)` groups being given for each."""
    found = [np.unique(part) for part in groups.values() if len(part)]
    if not found:
        return 0
    names, counts = np.unique(np.concatenate(found), return_counts=True)
    return int(((counts > 1) & (names != "")).sum())


def _stratified(labels: np.ndarray, fraction: float) -> np.ndarray:
    from sklearn.model_selection import train_test_split

    drawn = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        drawn.append(train_test_split(members, test_size=count, random_state=SPLIT_SEED)[1])
    return np.concatenate(drawn)


def _grouped(labels: np.ndarray, names: tuple[str, ...], groups: np.ndarray, fraction: float) -> np.ndarray:
    present, labels = np.unique(labels, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    alone = [names[label] for i, label in enumerate(present) if len(np.unique(groups[labels == i])) < 2]
    if alone:
        raise RequestError(
            f"All images of {', '.join(alone[:10])} are in one group, which cannot be in training and test at once. "
            "Change dataset.group, or give dataset.test_fraction=0."
        )
    return grouped_split(labels, groups, fraction, SPLIT_SEED)[1]
