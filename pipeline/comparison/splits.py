"""Stratified splits, never the tail of a sorted array."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import RequestError

if TYPE_CHECKING:
    from pipeline.datasets import Dataset


@dataclass(frozen=True)
class Part:
    """Some samples of one split.

    Attributes:
        split: the name of the split.
        indices: `(n,)` sorted positions in it.
    """

    split: str
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Holdout:
    """Which samples a method may learn from, and which choose between its settings."""

    train: Part
    validation: Part


def digest(*parts: Part) -> str:
    """Return the SHA-256 of which samples these are, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        found.update(f"\0{part.split}\0".encode() + part.indices.astype("<i8").tobytes())
    return found.hexdigest()


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Holdout:
    """Return the samples to train on and the samples to validate on; the same for every method.

    A data set with a `validation` split is validated on it. Otherwise a stratified part of `train` is held out, whole
    groups at a time where the data set has groups.

    Args:
        dataset: an open data set.
        fraction: the share of `train` to hold out, between 0 and 1 (exclusive).
        seed: the same seed gives the same split.

    Returns:
        The `Holdout`.

    Raises:
        RequestError: a class has too few samples, or too few groups, to be in both parts.
    """
    samples = dataset.splits["train"]
    if "validation" in dataset.splits:
        own = dataset.splits["validation"]
        return Holdout(Part("train", np.arange(len(samples))), Part("validation", np.arange(len(own))))
    if "train" in dataset.groups:
        train, held = grouped_split(samples.labels, dataset.groups["train"], fraction, seed)
    else:
        train, held = stratified_split(samples.labels, fraction, seed)
    return Holdout(Part("train", train), Part("train", held))


def scored_part(dataset: Dataset, held: Holdout) -> Part:
    """Return what methods are compared on at the end: the whole test split, or the validation samples where there is none."""
    if "test" not in dataset.splits:
        return held.validation
    return Part("test", np.arange(len(dataset.splits["test"])))


def labels_of(dataset: Dataset, part: Part) -> np.ndarray:
    """Return the `(n,)` integer labels of some samples."""
    return dataset.splits[part.split].labels[part.indices]


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in two, every class in both parts in its own proportion.

    Args:
        labels: `(n,)` integer array.
        fraction: the share of the second part, between 0 and 1 (exclusive).
        seed: the same seed gives the same split.

    Returns:
        Two sorted, disjoint index arrays that cover all samples.

    Raises:
        RequestError: a class has too few samples to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    except ValueError as error:
        raise RequestError(
            f"A share of {fraction} (head.validation_split or dataset.test_fraction) cannot give every class an image in "
            f"both parts of {len(labels)} images ({error}). Give more images, raise dataset.limit, or change the share."
        ) from error
    return np.sort(first), np.sort(second)


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
        f"A share of {fraction} (head.validation_split or dataset.test_fraction) cannot give every class an image in both "
        f"parts of {len(labels)} images in {len(np.unique(groups))} groups. Give more groups, or change the share."
    )
