"""Corrections applied to labels that were read, and what is to be said of them in every result."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bottleneck_features.errors import enumerated, nearest, quoted
from bottleneck_features.pipeline.dataset_settings import MISSING_LABELS, DatasetSettings
from bottleneck_features.pipeline.datasets.classes import FEWEST
from bottleneck_features.pipeline.datasets.corrections.finding import LEFT_OUT, find_images
from bottleneck_features.pipeline.datasets.corrections.reading import DROP, Correction, Corrections, read_corrections
from bottleneck_features.pipeline.datasets.labels.reading import DOUBTFUL, WHOLE
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.errors import RequestError


@dataclass(frozen=True)
class Corrected:
    """Labels after corrections.

    Attributes:
        labels: `(n,)` text; empty where there is none.
        dropped: `(n,)` bool, the images that are taken out.
        notices: sentences a reader of any number from these data must know.
    """

    labels: np.ndarray
    dropped: np.ndarray
    notices: tuple[str, ...]


def corrected(
    settings: DatasetSettings,
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    usable: np.ndarray,
    elsewhere: Collection[str] = (),
) -> Corrected:
    """Apply `dataset.corrections`.

    Args:
        settings: `corrections`, `fold_case` and `missing_labels`.
        ids: `(n,)` text.
        labels: `(n,)` text as it is compared; empty where there is none.
        splits: `(n,)` text; `train` and empty are for training.
        usable: `(n,)` bool; others are left out whatever their label.
        elsewhere: ids of images that are not among these, since they cannot be used.

    Raises:
        RequestError: the table cannot be read; an id is not in the data, or has two answers; a label is empty, a new class of
            fewer than two training images, or might be the word for dropping; or all images are dropped.
    """
    corrections = read_corrections(settings)
    known = set(factorized(labels[usable])[0]) - {""}
    corrections = _in_words_of_the_data(corrections, known, settings)
    places = find_images(corrections, ids, usable, elsewhere)
    answers = _one_answer_each(corrections, places)
    fixed, dropped = labels.copy(), np.zeros(len(ids), bool)
    for place, row in answers.items():
        if row.label == DROP:
            dropped[place] = True
        else:
            fixed[place] = row.label
    left = usable & ~dropped & (fixed != "")
    if dropped.any() and not left.any():
        raise RequestError(f"'{corrections.file}' drops all {dropped.sum():,} images that can be used. Keep some.")
    training = left & ((splits == "") | (splits == "train"))
    new = _new_classes(answers, corrections.file, known, Counter(fixed[training].tolist()))
    emptied = known - set(factorized(fixed[left])[0])
    changed = int((fixed != labels)[left].sum())
    return Corrected(
        fixed,
        dropped,
        (
            _counts(corrections, places, changed, int(dropped.sum())),
            *([f"Data: {corrections.file} makes new classes: {_counted(new)}."] if new else ()),
            *([f"Data: {corrections.file} leaves no image of these classes: {_named(emptied)}."] if emptied else ()),
        ),
    )


def _in_words_of_the_data(corrections: Corrections, known: Collection[str], settings: DatasetSettings) -> Corrections:
    """Return the rows with labels as the data write them.

    Raises:
        RequestError: a label says nothing, or it cannot be told what it says.
    """
    missing = {"", *MISSING_LABELS, *settings.missing_labels, *sum(DOUBTFUL, ())}
    folded = {name.casefold(): name for name in sorted(known)}
    understood, rows = {*known, DROP}, []
    for row in corrections.rows:
        if row.label == DROP and DROP in folded:
            raise RequestError(
                f"Row {row.row} of '{corrections.file}' says `{DROP}`, and the data have a class {folded[DROP]!r}: it cannot be "
                "told which is meant. Give this class another name in the data."
            )
        label = _class_meant(row.label, known, folded if settings.fold_case else {})
        if label not in understood:
            _require_new_class(replace(row, label=label), corrections.file, missing, folded)
            folded[label.casefold()] = label
        rows.append(replace(row, label=label))
    return replace(corrections, rows=tuple(rows))


def _class_meant(label: str, classes: Collection[str], folded: Mapping[str, str]) -> str:
    if label in classes:
        return label
    whole = label.partition(".")[0] if WHOLE.fullmatch(label) else label
    return whole if whole in classes else folded.get(label.casefold(), label)


def _require_new_class(row: Correction, file: str, missing: Collection[str], folded: Mapping[str, str]) -> None:
    """Refuse a label that is no class of the data, and no new one either."""
    if row.label in missing:
        said = f" but {row.label!r}, which says that there is none" if row.label else ""
        raise RequestError(
            f"Row {row.row} of '{file}' gives no label to {row.id!r}{said}. Write its class, or `{DROP}` to take the image out."
        )
    if row.label.casefold() == DROP:
        raise RequestError(f"Row {row.row} of '{file}' says {row.label!r}. To take an image out, write `{DROP}`.")
    alike = folded.get(row.label.casefold(), row.label)
    if alike != row.label:
        raise RequestError(
            f"Row {row.row} of '{file}' gives the label {row.label!r}, which differs from {alike!r} only in case. Write it so."
        )


def _one_answer_each(corrections: Corrections, places: Mapping[str, int]) -> dict[int, Correction]:
    """Return what is said of each image, by its position."""
    answers: dict[int, Correction] = {}
    for row in corrections.rows:
        place = places[row.id]
        if place == LEFT_OUT:
            continue
        first = answers.setdefault(place, row)
        if first.label != row.label:
            raise RequestError(
                f"Rows {first.row} and {row.row} of '{corrections.file}' contradict one another: {row.id!r} is {first.label!r} "
                f"and {row.label!r}. Keep one of them."
            )
    return answers


def _new_classes(
    answers: dict[int, Correction], file: str, known: Collection[str], counts: Mapping[str, int]
) -> dict[str, int]:
    """Return the classes that only corrections name, each with its number of training images, `counts` being those of all.

    Raises:
        RequestError: one has fewer than a class needs, as a misspelt one has.
    """
    new = {row.label: row.row for row in reversed(answers.values()) if row.label != DROP and row.label not in known}
    found = {name: counts.get(name, 0) for name in new}
    few = {name: new[name] for name, count in found.items() if count < FEWEST}
    if few:
        name, row = min(few.items(), key=lambda one: one[1])
        raise RequestError(
            f"Row {row} of '{file}' gives the label {name!r}, which is no class of the data. Nearest: "
            f"{quoted(nearest(name, sorted(known, key=natural_key))[:5])}. A new class needs {FEWEST} training images at least."
        )
    return found


def _counts(corrections: Corrections, places: Mapping[str, int], changed: int, dropped: int) -> str:
    """Return how many labels and images were changed, and how many rows change nothing."""
    rows, parts = len(corrections.rows), list[str]()
    left_out = sum(places[row.id] == LEFT_OUT for row in corrections.rows)
    if said := rows - changed - dropped - left_out:
        parts.append(f"{said:,} say what is so already or what another row says")
    if left_out:
        parts.append(f"{left_out:,} are of images that are left out in any case")
    idle = f" Of its {rows:,} rows {rows - changed - dropped:,} change nothing: {' and '.join(parts)}." if parts else ""
    return f"Data: {changed:,} labels corrected and {dropped:,} images dropped by {corrections.file}.{idle}"


def _counted(classes: Mapping[str, int]) -> str:
    return enumerated(f"'{name}' ({classes[name]:,} training images)" for name in sorted(classes, key=natural_key))


def _named(classes: Collection[str]) -> str:
    return enumerated(map(repr, sorted(classes, key=natural_key)))
