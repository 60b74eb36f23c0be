"""Whether two images that look alike have the same details: their middle frequencies, which perceptual hashes leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.pixels.perceptual import FREQUENCIES, lowest_frequencies
from bottleneck_features.pipeline.datasets.texts import batches

FINEST = 4 * FREQUENCIES  # frequencies compared per side, where images have so many
DETAIL = 0.75  # of 600 JPEG copies of CIFAR-10 images all are above at quality 75, 99 % at quality 30
THE_SAME, DETAIL_OF_THE_SAME = 0.999, 0.20  # smooth pictures have little detail, and JPEG changes most of it
_PAIRS_AT_A_TIME = 10_000  # whose higher frequencies are held, 4 KiB an image
_HELD_BYTES = 8 << 20  # of images


@dataclass(frozen=True)
class Place:
    """Where a sample is: its split and its position in it."""

    split: str
    index: int


def same_details(similarity: float, detail: float) -> bool:
    """Return whether two images that are alike show the same picture.

    Args:
        similarity: of their low frequencies, −1..1.
        detail: of their middle frequencies, −1..1, from `details`.
    """
    return detail >= (DETAIL_OF_THE_SAME if similarity >= THE_SAME else DETAIL)


def details(dataset: Dataset, pairs: Sequence[tuple[Place, Place, bool]]) -> Iterator[float]:
    """Give how alike the middle frequencies of each pair of images are, −1..1.

    Args:
        dataset: the open data set.
        pairs: where both images are, and whether the second is mirrored first.
    """
    for several in batches(pairs, _PAIRS_AT_A_TIME):
        wanted = list(dict.fromkeys(place for first, second, _ in several for place in (first, second)))
        known = dict(zip(wanted, _middle_frequencies_at(dataset, wanted), strict=True))
        for first, second, is_mirrored in several:
            yield detail_cosine(known[first], _mirrored(known[second]) if is_mirrored else known[second])


def _middle_frequencies_at(dataset: Dataset, places: Sequence[Place]) -> list[np.ndarray]:
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
