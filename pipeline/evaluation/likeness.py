"""Which images look alike: a description of an image's pixels, and the nearest other images by it."""

import numpy as np

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.pixels.perceptual import FREQUENCIES
from bottleneck_features.pipeline.evaluation.splits import Subset

SMALLEST_SIDE = 2 * FREQUENCIES
BYTES_AT_A_TIME = 32 << 20  # of a product
_NEIGHBOURS = 10
NOBODY = -1

# Chosen by looking at CIFAR-10's pairs with a ResNet-50: docs/results.md says what each one keeps out.
SIMILAR, UNMISTAKABLE = 0.90, 0.985
DISTINCT = 0.4


def perceptual_hashes(dataset: Dataset, part: Subset) -> np.ndarray:
    """Return the perceptual hash of each sample of a part: `(n,)` records, as `perceptual_hash` makes them."""
    return dataset.perceptual_hashes(part.split, part.indices)


def flipped(frequencies: np.ndarray) -> np.ndarray:
    """Return the `(n, 8, 8, 3)` frequencies of the mirrored images: every odd horizontal one with its sign changed."""
    return frequencies * (-1.0) ** np.arange(frequencies.shape[2], dtype=np.float32)[None, None, :, None]


def near_duplicate_pairs(
    candidates: np.ndarray, queries: np.ndarray, own: np.ndarray | None = None
) -> list[tuple[int, int, float]]:
    """Find the images whose nearest other image is much nearer than the others.

    A pair is alike when its similarity s is at least 0.985, or at least 0.90 and much above the tenth nearest image's
    (1 − s ≤ 0.4 (1 − s₁₀)). Only pixels are compared, so two different pictures may be alike, such as seas under a horizon.

    Args:
        candidates: `(n, d)` float32, the frequencies of each image at unit length.
        queries: `(m, d)` float32, likewise.
        own: `(m,)` the row of `candidates` that is the query itself, which is ignored; −1, or no array: none.

    Returns:
        (row of the query, row of its nearest image, their similarity), for those that are alike.
    """
    own = np.full(len(queries), NOBODY) if own is None else own
    best, nearest = np.full(len(queries), -1.0, np.float32), np.zeros(len(queries), int)
    step = max(1, BYTES_AT_A_TIME // (4 * len(queries)))
    for start in range(0, len(candidates), step):
        similarity = candidates[start : start + step] @ queries.T
        inside = np.flatnonzero((own >= start) & (own < start + step))
        similarity[own[inside] - start, inside] = -1
        top = similarity.max(axis=0)
        better = np.flatnonzero(top > np.maximum(best, SIMILAR))
        best = np.maximum(best, top)
        nearest[better] = start + similarity[:, better].argmax(axis=0)
    close = np.flatnonzero(best >= SIMILAR)
    return [
        (int(row), int(nearest[row]), float(best[row]))
        for rows in np.array_split(close, -(-len(close) // 256) or 1)
        for row, tenth in zip(rows, _tenth_nearest(candidates, queries[rows], own[rows]), strict=True)
        if best[row] >= UNMISTAKABLE or 1 - best[row] <= DISTINCT * (1 - tenth)
    ]


def _tenth_nearest(candidates: np.ndarray, queries: np.ndarray, own: np.ndarray) -> np.ndarray:
    similarity = queries @ candidates.T
    known = np.flatnonzero(own != NOBODY)
    similarity[known, own[known]] = -1
    place = min(_NEIGHBOURS, len(candidates))
    return np.partition(similarity, -place, axis=1)[:, -place]
