"""Stratified splits, never the tail of a sorted array."""

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline.errors import RequestError


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in two, every class in both parts in its own proportion.

    Args:
        labels: `(n,)` integer array.
        fraction: the share of the second part, between 0 and 1 (exclusive).
        seed: the same seed gives the same split.

    Returns:
        Two sorted, disjoint index arrays that cover all samples: training, validation.

    Raises:
        RequestError: a class has too few samples to be in both parts.
    """
    try:
        train, held = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    except ValueError as error:
        raise RequestError(
            f"head.validation_split={fraction} cannot give every class an image in both parts of {len(labels)} training "
            f"images ({error}). Raise dataset.limit or change head.validation_split."
        ) from error
    return np.sort(train), np.sort(held)
