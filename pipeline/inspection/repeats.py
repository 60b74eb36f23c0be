"""Images that a data set holds more than once, within and across its splits, by their pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.splitting import linked
from bottleneck_features.pipeline.evaluation.details import Place, details, same_details
from bottleneck_features.pipeline.evaluation.likeness import (
    SMALLEST_SIDE,
    flipped,
    near_duplicate_pairs,
    perceptual_hashes,
)
from bottleneck_features.pipeline.evaluation.splits import Subset

MOST_COMPARED = 100_000  # images; the time grows with the square


@dataclass(frozen=True)
class Repeat:
    """Two images that show the same picture.

    Attributes:
        first: where the one is.
        second: where the other is.
        kind: `exact` (the same pixels), `near` (re-encoded or retouched), or either with `mirrored-` before it.
        similarity: of their low frequencies, −1..1; 1 for exact ones.
        detail: of their higher frequencies, −1..1; 1 for exact ones.
    """

    first: Place
    second: Place
    kind: str
    similarity: float
    detail: float


@dataclass(frozen=True)
class Repeats:
    """What was found.

    Attributes:
        pairs: enough pairs to link every set of repeated images.
        sets: the places of every set of two or more images that show the same picture.
        near_ones: how near-duplicates were looked for, or why not.
    """

    pairs: tuple[Repeat, ...]
    sets: tuple[tuple[Place, ...], ...]
    near_ones: str


def describe_all(dataset: Dataset) -> tuple[list[Place], np.ndarray]:
    """Return the place and the description (see `perceptual_hashes`) of every image of every split."""
    parts = [Subset(split, np.arange(len(samples))) for split, samples in dataset.splits.items()]
    places = [Place(part.split, index) for part in parts for index in range(len(part))]
    return places, np.concatenate([perceptual_hashes(dataset, part) for part in parts])


def find_repeats(dataset: Dataset, places: list[Place], described: np.ndarray) -> Repeats:
    """Find images that a data set holds more than once; needs no network.

    Exact ones have the same pixels, as they are or mirrored. Near ones are those that `near_duplicate_pairs` finds by
    their low frequencies and whose 32×32 lowest frequencies of brightness, without the 8×8 lowest, have a cosine of at
    least 0.75: re-encoding keeps an image's details, and two different seas under a horizon share none. Cropped, shifted or
    rotated copies are not covered.

    Args:
        dataset: the open data set.
        places: of the images, as from `describe_all`.
        described: `(n,)` records, likewise.

    Returns:
        The `Repeats`.
    """
    exact = list(_exact(described))
    _, first_of_each = np.unique(_whichever_way(described), return_index=True)
    originals = np.sort(first_of_each)
    near_ones = "looked for by low DCT frequencies, checked by higher ones"
    near: list[tuple[int, int, str, float, float]] = []
    if min(dataset.image_shape[:2]) < SMALLEST_SIDE:
        near_ones = f"not looked for: images under {SMALLEST_SIDE} pixels per side are too alike"
    elif len(originals) > MOST_COMPARED:
        near_ones = f"not looked for: more than {MOST_COMPARED:,} images; dataset.limit takes fewer"
    else:
        near = list(_near(dataset, places, described["frequencies"], originals))
    found = [*exact, *near]
    pairs = tuple(Repeat(places[a], places[b], kind, round(s, 4), round(d, 4)) for a, b, kind, s, d in found)
    return Repeats(pairs, tuple(_sets(places, [(a, b) for a, b, *_ in found])), near_ones)


def _whichever_way(described: np.ndarray) -> np.ndarray:
    """Return one digest for an image and its mirror image."""
    return np.where(described["digest"] < described["mirrored"], described["digest"], described["mirrored"])


def _exact(described: np.ndarray) -> Iterator[tuple[int, int, str, float, float]]:
    seen: dict[bytes, int] = {}
    for row, key in enumerate(_whichever_way(described).tolist()):
        first = seen.setdefault(key, row)
        if first != row:
            same = described["digest"][first] == described["digest"][row]
            yield first, row, "exact" if same else "mirrored-exact", 1.0, 1.0


def _near(
    dataset: Dataset, places: list[Place], frequencies: np.ndarray, originals: np.ndarray
) -> Iterator[tuple[int, int, str, float, float]]:
    own = frequencies[originals]
    flat, count = own.reshape(len(own), -1), np.arange(len(own))
    candidates: dict[tuple[int, int], tuple[str, float]] = {}
    for kind, queries in (("near", flat), ("mirrored-near", flipped(own).reshape(len(own), -1))):
        for query, other, similarity in near_duplicate_pairs(flat, queries, count):
            a, b = sorted((int(originals[query]), int(originals[other])))
            if similarity > candidates.get((a, b), ("", -1.0))[1]:  # symmetric pictures are alike both ways
                candidates[a, b] = kind, similarity
    pairs = [(places[a], places[b], kind != "near") for (a, b), (kind, _) in candidates.items()]
    for ((a, b), (kind, similarity)), detail in zip(candidates.items(), details(dataset, pairs), strict=True):
        if same_details(similarity, detail):
            yield a, b, kind, similarity, detail


def _sets(places: list[Place], links: list[tuple[int, int]]) -> Iterator[tuple[Place, ...]]:
    if not links:
        return
    first, second = np.array(links).T
    labels = linked(first, second, len(places))
    involved = np.unique(np.array(links))
    order = involved[np.argsort(labels[involved], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        yield tuple(places[i] for i in members)
