"""Stratified splits, never the tail of a sorted array."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.splitting import grouped_split, stratified_split
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.errors import RequestError

_SHOWN = 10  # classes in a message


@dataclass(frozen=True)
class Subset:
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
    """The training samples, and the validation samples, on which settings are chosen."""

    train: Subset
    validation: Subset


def digest(*parts: Subset) -> str:
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
        RequestError: a class has too few samples, or too few groups, to be in both parts; the message names it.
    """
    samples = dataset.splits["train"]
    if "validation" in dataset.splits:
        own = dataset.splits["validation"]
        return Holdout(Subset("train", np.arange(len(samples))), Subset("validation", np.arange(len(own))))
    if problem := why_no_holdout(dataset):
        raise RequestError(problem)
    if "train" in dataset.groups:
        groups = factorized(dataset.groups["train"])[1]
        train, validation = grouped_split(samples.labels, groups, fraction, seed)
    else:
        train, validation = stratified_split(samples.labels, fraction, seed)
    return Holdout(Subset("train", train), Subset("train", validation))


def why_no_holdout(dataset: Dataset) -> str:
    """Return a message that names the classes with too few images or groups for `hold_out`; empty if there are none."""
    if "validation" in dataset.splits:
        return ""
    labels, what = dataset.splits["train"].labels, "training image"
    if "train" in dataset.groups:
        _, groups = factorized(dataset.groups["train"])
        labels, what = np.unique(np.stack([labels, groups]), axis=1)[0], "group of training images"
    few = [dataset.class_names[label] for label in np.flatnonzero(np.bincount(labels) == 1)]
    if not few:
        return ""
    named = enumerated(map(repr, few), _SHOWN)
    return (
        f"Some classes are too small to hold out validation images: of {named} there is only 1 {what}, and 2 are needed. "
        "Add images of these classes, raise dataset.limit, lower dataset.test_fraction (0: no test split), add a validation "
        "split to the data, or remove these classes."
    )


def smallest_class(dataset: Dataset, fraction: float, seeds: Iterable[int]) -> int:
    """Return the number of training images of the smallest class, the least over some seeds of the split.

    0 if no validation images can be held out.
    """
    samples, classes = dataset.splits["train"], len(dataset.class_names)
    try:
        holdouts = [hold_out(dataset, fraction, seed) for seed in seeds]
    except RequestError:
        return 0
    return min(int(np.bincount(samples.labels[one.train.indices], minlength=classes).min()) for one in holdouts)


def scored_subset(dataset: Dataset, holdout: Holdout) -> Subset:
    """Return the samples of the evaluation set: the whole test split, or the validation samples where there is none."""
    if "test" not in dataset.splits:
        return holdout.validation
    return Subset("test", np.arange(len(dataset.splits["test"])))


def labels_of(dataset: Dataset, part: Subset) -> np.ndarray:
    """Return the `(n,)` integer labels of some samples."""
    return dataset.splits[part.split].labels[part.indices]
