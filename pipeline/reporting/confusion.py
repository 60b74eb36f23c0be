"""Confusion matrices as tables: what each class is taken for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.pipeline.method_names import row_label, row_title
from bottleneck_features.pipeline.reporting.answer import answering, best_method
from bottleneck_features.pipeline.reporting.figures import MOST_CELLS, TRAINERS

WORST = 10  # pairs that are listed
LONGEST_HEADING = 16  # characters of class names that stand above columns; longer ones have numbers there


@dataclass(frozen=True)
class Cell:
    """How many images of one class were taken for another one, and their share of its images, 0..1."""

    count: int
    share: float


@dataclass(frozen=True)
class Confused:
    """A class that was taken for another one: their numbers, and how often."""

    true: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class ConfusionTable:
    """The matrix of a method.

    Attributes:
        method: its title.
        cells: a row for each true class, a cell for each predicted class; empty where there are too many classes for a table.
        numbered: whether columns have the classes' numbers above them, not their names.
        right: images on the diagonal.
        n: all images.
        worst: the most frequent mistakes.
        opens: whether it is of the method that the page shows in detail.
    """

    method: str
    cells: tuple[tuple[Cell, ...], ...]
    numbered: bool
    right: int
    n: int
    worst: tuple[Confused, ...]
    opens: bool


def confusion_tables(results: Mapping[str, Mapping[str, Any]]) -> list[ConfusionTable]:
    """Return the matrices of the command that the page answers from, that of the method shown in detail first."""
    result = results[answering(results)]
    shown = row_label(best_method(result))
    found = [
        _table(title, np.array(counts), result["classes"], label == shown) for label, title, counts in _matrices(result)
    ]
    return sorted(found, key=lambda table: not table.opens)


def _matrices(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[Sequence[int]]]]:
    """Give the label, the title and the counts of every method of a result that has them."""
    titles = {row_label(row): row_title(row) for row in result["methods"]}
    if result["command"] in TRAINERS:
        (label,) = titles
        yield label, titles[label], result["confusion"]
    else:
        for label, counts in result.get("confusion", {}).items():
            yield label, titles.get(label, label), counts


def _table(title: str, counts: np.ndarray, classes: Sequence[str], opens: bool) -> ConfusionTable:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    places = [divmod(int(place), len(counts)) for place in np.argsort(-wrong, axis=None, kind="stable")[:WORST]]
    worst = tuple(
        Confused(row, column, int(counts[row, column]), float(shares[row, column]))
        for row, column in places
        if wrong[row, column]
    )
    rows = zip(counts.tolist(), shares.tolist(), strict=True) if len(counts) <= MOST_CELLS else ()
    cells = tuple(tuple(map(Cell, *row)) for row in rows)
    numbered = any(len(name) > LONGEST_HEADING for name in classes)
    return ConfusionTable(title, cells, numbered, int(np.trace(counts)), int(counts.sum()), worst, opens)
