"""How well each class is told from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.figures import Figure


@dataclass(frozen=True)
class ClassFigures:
    """How well one class is told from the others.

    Attributes:
        name: of the class.
        n: its images.
        predicted: the images that were taken for it.
        recall: the share of its images that were; None where it has none.
        precision: the share of those taken for it that are of it; None where none were.
        f1: the harmonic mean of both; None where it has no image and none was taken for it.
        taken_for: the other class that its images were most often taken for; empty where all are right.
        taken: how many were.
    """

    name: str
    n: int
    predicted: int
    recall: Figure | None
    precision: float | None
    f1: float | None
    taken_for: str
    taken: int


def per_class(
    labels: np.ndarray,
    predicted: np.ndarray,
    matrix: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None = None,
) -> list[ClassFigures]:
    """Return the figures of every class: that of the lowest recall first, those without images last.

    Args:
        labels: `(n,)` integers, indices into `names`.
        predicted: `(n,)` integers.
        matrix: `(classes, classes)` counts of both, see `confusion`.
        names: of the classes.
        groups: `(n,)` integers, of images that are not independent; the intervals of recalls count them.
    """
    found = [_of_class(number, labels, predicted, matrix, names, groups) for number in range(len(names))]
    return sorted(found, key=lambda one: (one.recall is None, one.recall.value if one.recall else 0.0))


def absent_warnings(labels: np.ndarray, names: Sequence[str], images: str) -> tuple[str, ...]:
    """Return a warning of classes that no image is of.

    Args:
        labels: `(n,)` integers, indices into `names`.
        names: of the classes.
        images: what the images are called, such as `test images`.
    """
    absent = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if not len(absent):
        return ()
    named = enumerated((repr(names[number]) for number in absent.tolist()), 10)
    return (f"Classes: there are no {images} of {named}: how well the model finds these classes is not measured.",)


def _of_class(
    number: int,
    labels: np.ndarray,
    predicted: np.ndarray,
    matrix: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None,
) -> ClassFigures:
    n, answered, right = int(matrix[number].sum()), int(matrix[:, number].sum()), int(matrix[number, number])
    recall = None
    if n:
        own = labels == number
        counted = score(labels[own], predicted[own], None if groups is None else groups[own])
        recall = Figure(counted.accuracy, counted.low, counted.high)
    others = np.where(np.arange(len(names)) == number, 0, matrix[number])
    mistaken = int(others.argmax())
    return ClassFigures(
        names[number],
        n,
        answered,
        recall,
        right / answered if answered else None,
        2 * right / (n + answered) if n + answered else None,
        names[mistaken] if others[mistaken] else "",
        int(others[mistaken]),
    )
