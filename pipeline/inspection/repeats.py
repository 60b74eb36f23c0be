"""Images that a data set holds more than once, within and across its splits, by their pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.pixels.perceptual import FREQUENCIES, lowest_frequencies
from bottleneck_features.pipeline.datasets.splitting import linked
from bottleneck_features.pipeline.datasets.texts import batches
from bottleneck_features.pipeline.evaluation.likeness import (
    SMALLEST_SIDE,
    flipped,
    near_duplicate_pairs,
    perceptual_hashes,
)
from bottleneck_features.pipeline.evaluation.splits import Subset

FINEST = 4 * FREQUENCIES  # frequencies compared per side, where images have so many
DETAIL = 0.75  # of 600 JPEG copies of CIFAR-10 images all are above at quality 75, 99 % at quality 30
THE_SAME, DETAIL_OF_THE_SAME = 0.999, 0.40  # smooth pictures have little detail, and JPEG changes most of it
_PAIRS_AT_A_TIME = 10_000  # whose higher frequencies are held, 4 KiB an image
_HELD_BYTES = 8 << 20  # of images
MOST_COMPARED = 100_000  # images; the time grows with the square


@dataclass(frozen=True)
class Place:
    """Where a sample is: its split and its position in it."""

    split: str
    index: int


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
    for several in batches(candidates.items(), _PAIRS_AT_A_TIME):
        rows = sorted({row for pair, _ in several for row in pair})
        known = dict(zip(rows, _details(dataset, [places[row] for row in rows]), strict=True))
        for (a, b), (kind, similarity) in several:
            detail = detail_cosine(known[a], known[b] if kind == "near" else _mirrored(known[b]))
            if detail >= (DETAIL_OF_THE_SAME if similarity >= THE_SAME else DETAIL):
                yield a, b, kind, similarity, detail


def _details(dataset: Dataset, places: Sequence[Place]) -> list[np.ndarray]:
    at_a_time = max(1, _HELD_BYTES // int(np.prod(dataset.image_shape)))
    with threadpool_limits(1, user_api="blas"):  # threads would wait for one another at each small image
        return [middle_frequencies(image) for some in batches(places, at_a_time) for image in images_at(dataset, some)]


def images_at(dataset: Dataset, places: Sequence[Place]) -> list[np.ndarray]:
    """Return whole images at some places, in their order; each split is read once, in its own order."""
    found: dict[Place, np.ndarray] = {}
    for split in {place.split for place in places}:
        indices = sorted({place.index for place in places if place.split == split})
        images = dataset.whole_images(split, np.array(indices))
        found |= {Place(split, index): image for index, image in zip(indices, images, strict=True)}
    return [found[place] for place in places]


def middle_frequencies(image: np.ndarray) -> np.ndarray:
    """Return what perceptual hashes leave out of an image: the 32×32 lowest frequencies of its brightness without the 8×8 lowest.

    Args:
        image: `(height, width, 3)` uint8.

    Returns:
        `(32, 32)` float32, fewer where the image has fewer pixels; zeros for the lowest.
    """
    vertical, horizontal = (lowest_frequencies(side, FINEST) for side in image.shape[:2])
    red, green, blue = np.moveaxis(image.astype(np.float32), 2, 0)
    found = vertical @ ((red + green + blue) / 3) @ horizontal.T
    found[:FREQUENCIES, :FREQUENCIES] = 0
    return found


def detail_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return how alike two images are in their middle frequencies: the cosine, −1..1; 0 where one of them has no such detail.

    Args:
        first: as from `middle_frequencies`.
        second: likewise, of an image of the same size.
    """
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / length if length > 1e-3 else 0.0


def _mirrored(frequencies: np.ndarray) -> np.ndarray:
    return frequencies * (-1.0) ** np.arange(frequencies.shape[1])


def _sets(places: list[Place], links: list[tuple[int, int]]) -> Iterator[tuple[Place, ...]]:
    if not links:
        return
    first, second = np.array(links).T
    labels = linked(first, second, len(places))
    involved = np.unique(np.array(links))
    order = involved[np.argsort(labels[involved], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        yield tuple(places[i] for i in members)
