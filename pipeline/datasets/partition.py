"""The test images of data that come without a test split, drawn the same way every time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline.datasets.listing import Entry
from pipeline.errors import RequestError
from pipeline.splits import grouped_split

SPLIT_SEED = 0  # not the experiment's: another seed must not mean another cache


def draw_test(entries: Sequence[Entry], fraction: float) -> tuple[list[Entry], list[Entry]]:
    """Draw a test split, every class in both parts in nearly its own proportion, and no group in both.

    Args:
        entries: in their fixed order, at least two of each class.
        fraction: the share of the test split, between 0 and 1 (exclusive).

    Returns:
        The training and the test entries, in the order of `entries`.

    Raises:
        RequestError: the groups leave no such split.
    """
    draw = _grouped if any(entry.group for entry in entries) else _stratified
    chosen = set(draw(entries, fraction).tolist())
    return [e for i, e in enumerate(entries) if i not in chosen], [e for i, e in enumerate(entries) if i in chosen]


def straddling(splits: Mapping[str, Sequence[Entry]]) -> int:
    """Return how many groups have images in more than one split."""
    where: dict[str, set[str]] = defaultdict(set)
    for split, part in splits.items():
        for entry in part:
            where[entry.group].add(split)
    return sum(len(found) > 1 for group, found in where.items() if group)


def _stratified(entries: Sequence[Entry], fraction: float) -> np.ndarray:
    labels = np.array([entry.label for entry in entries])
    drawn = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        drawn.append(train_test_split(members, test_size=count, random_state=SPLIT_SEED)[1])
    return np.concatenate(drawn)


def _grouped(entries: Sequence[Entry], fraction: float) -> np.ndarray:
    names, labels = np.unique([entry.label for entry in entries], return_inverse=True)
    groups = np.array([entry.group for entry in entries])
    alone = [str(name) for i, name in enumerate(names) if len(np.unique(groups[labels == i])) < 2]
    if alone:
        raise RequestError(
            f"All images of {', '.join(alone[:10])} are in one group, which cannot be in training and test at once. "
            "Change dataset.group, or give dataset.test_fraction=0."
        )
    return grouped_split(labels, groups, fraction, SPLIT_SEED)[1]
