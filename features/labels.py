"""Labels as others save them: numbers, text or one-hot rows become classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.features.errors import ImportRefused
from bottleneck_features.features.npyfiles import SavedArray

MOST_CLASSES = 250_000
FAR = 1_000_000  # a label beyond it, in values spread over …
SPREAD = 100  # … so many times their number, is a measured value or an id
SHOWN = 10
_AS_TEXT = "If they are classes, save them as text: labels.astype(str)."


@dataclass(frozen=True)
class Labels:
    """The labels of one split.

    Attributes:
        array: where they were read.
        values: the different ones, whole numbers or texts, in the order they were met.
        numbers: int64, (n,), an index into `values` for each row.
        columns: how many a one-hot row has; 0 for other labels.
    """

    array: SavedArray
    values: tuple[int | str, ...]
    numbers: np.ndarray
    columns: int


def read_labels(array: SavedArray) -> Labels:
    """Read the labels of a split in blocks.

    Args:
        array: (n,) or (n, 1) whole numbers, booleans or text; or (n, classes) with one 1 in each row and 0 elsewhere.

    Raises:
        ImportRefused: if they are none of these; names the first row that is not.
    """
    array.require_rows()
    one_hot = len(array.shape) == 2 and array.shape[1] > 1
    if array.dtype.kind not in ("biuf" if one_hot else "biufUS") or len(array.shape) > 2:
        raise ImportRefused(
            f"{array.place} cannot be labels: they must be whole numbers or text (n,) or (n, 1), or one-hot numbers "
            f"(n, classes). Received: {array.dtype} of shape {array.shape}"
        )
    parts, known = array.blocks(), dict[int | str, int]()
    numbers = np.empty(array.shape[0], np.int64)
    for part, rows in zip(parts, array.rows(parts), strict=True):
        values, inverse = np.unique(
            _positions(array, part.start, rows) if one_hot else rows.ravel(), return_inverse=True
        )
        first = part.start + np.unique(inverse, return_index=True)[1]
        own = [_value(array, int(row), value) for value, row in zip(values, first, strict=True)]
        numbers[part] = np.array([known.setdefault(value, len(known)) for value in own])[inverse]
        if len(known) > MOST_CLASSES:
            raise ImportRefused(
                f"The labels of {array.place} are more than {MOST_CLASSES:,} different ones: these are no classes."
            )
    return Labels(array, tuple(known), numbers, array.shape[1] if one_hot else 0)


def class_names(labels: Mapping[str, Labels]) -> tuple[str, ...]:
    """Return the classes of all splits: their different labels, numbers in order of size, text in that of the alphabet.

    Raises:
        ImportRefused: if numbers are too far apart to be classes, or one-hot rows of two splits differ in width.
    """
    widths = {split: own.columns for split, own in labels.items() if own.columns}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{split} {width}" for split, width in widths.items())
        raise ImportRefused(
            f"One-hot labels must have a column for each class in every split. Received columns: {found}"
        )
    values = {value for own in labels.values() for value in own.values}
    whole = sorted(value for value in values if isinstance(value, int))
    if whole and whole[-1] > FAR and whole[-1] - whole[0] >= SPREAD * len(whole):
        places = ", ".join(own.array.place for own in labels.values())
        raise ImportRefused(
            f"The labels of {places} look like measured values or ids, not classes: {len(whole):,} different numbers from "
            f"{_short(whole[0])} to {_short(whole[-1])}. {_AS_TEXT}"
        )
    return tuple(map(str, whole)) if len(whole) == len(values) else tuple(sorted(set(map(str, values))))


def require_trained_classes(labels: Mapping[str, Labels]) -> None:
    """Refuse labels of which the `train` split lacks a class.

    Raises:
        ImportRefused: it does; names the classes.
    """
    for split, own in labels.items():
        _require_trained(split, own, labels.get("train", own))


def numbered(labels: Labels, names: tuple[str, ...]) -> np.ndarray:
    """Return the labels as indices into the class names, int64, (n,)."""
    position = {name: number for number, name in enumerate(names)}
    return np.array([position[str(value)] for value in labels.values], np.int64)[labels.numbers]


def is_one_hot(array: SavedArray) -> bool:
    """Return whether an array could be one-hot labels: two axes, and one 1 in each row of its first block, else 0."""
    if len(array.shape) != 2 or not array.shape[0] or array.shape[1] < 2 or array.dtype.kind not in "biuf":
        return False
    return all(bool(_ones(rows).all()) for rows in array.rows(array.blocks()[:1]))


def _ones(rows: np.ndarray) -> np.ndarray:
    """Return for each row whether it has one 1 and is 0 elsewhere."""
    return ((rows == 0) | (rows == 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)


def _positions(array: SavedArray, start: int, rows: np.ndarray) -> np.ndarray:
    wrong = np.flatnonzero(~_ones(rows))
    if len(wrong):
        row = rows[wrong[0]]
        several = (row == 1).sum() > 1 and bool(((row == 0) | (row == 1)).all())
        found = "has several labels" if several else "has no label" if not row.any() else f"is {_shown(row)}"
        raise ImportRefused(
            f"{array.place} has {array.shape[1]} columns, so its labels must be one-hot: one 1 in each row, 0 elsewhere. "
            f"Row {start + wrong[0]:,} {found}. Every image must have one class here: leave out the other rows, or give whole "
            "numbers (n,)."
        )
    return rows.argmax(axis=1)


def _value(array: SavedArray, row: int, value: Any) -> int | str:
    if array.dtype.kind in "US":
        return _text(array, row, value)
    if not np.isfinite(value):
        raise ImportRefused(f"Row {row:,} of {array.place} has no label: it is {value}. Leave such rows out.")
    if value % 1:
        raise ImportRefused(
            f"The labels of {array.place} are measured numbers, not classes: row {row:,} is {value}. Predicting such numbers "
            f"(regression) is not done here. {_AS_TEXT}"
        )
    if value < 0:
        raise ImportRefused(
            f"Row {row:,} of {array.place} has the label {_short(int(value))}. Negative numbers often stand for images without a "
            f"label: leave such rows out. {_AS_TEXT}"
        )
    return int(value)


def _text(array: SavedArray, row: int, value: Any) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except ValueError as error:
        raise ImportRefused(f"The label in row {row:,} of {array.place} is no valid text (UTF-8).") from error
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ImportRefused(f"Row {row:,} of {array.place} has no label: it is {text!r}. Leave such rows out.")
    return name


def _require_trained(split: str, own: Labels, train: Labels) -> None:
    known = {str(value) for value in train.values}
    strangers = sorted({str(value) for value in own.values} - known)
    if strangers:
        raise ImportRefused(
            f"The {split} split has labels that no row of train has: {', '.join(map(repr, strangers[:SHOWN]))}. "
            f"Labels of train: {', '.join(map(repr, sorted(known)[:SHOWN]))}. Leave these rows out, or add such rows to train."
        )


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**15 else f"{float(number):g}" if abs(number) < 10**300 else "more than 1e300"


def _shown(row: np.ndarray) -> str:
    more = ", …" if len(row) > SHOWN else ""
    return f"[{', '.join(f'{value:g}' for value in row[:SHOWN].tolist())}{more}]"
