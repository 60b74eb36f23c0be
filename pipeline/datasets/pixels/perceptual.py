"""Perceptual hashes: a description of an image's pixels that re-encoding and resizing change little."""

import hashlib
from functools import lru_cache

import numpy as np

FREQUENCIES = 8  # per side; 8 × 8 × 3 numbers describe an image


def hash_type(height: int, width: int) -> np.dtype:
    """Return the type of the records of `perceptual_hash` for images of one size."""
    kept = (min(height, FREQUENCIES), min(width, FREQUENCIES), 3)
    return np.dtype([("digest", "S64"), ("mirrored", "S64"), ("frequencies", "<f4", kept), ("colour", "<f4", 3)])


def perceptual_hash(images: np.ndarray) -> np.ndarray:
    """Describe images by their pixels alone.

    Idea: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.

    Args:
        images: `(n, height, width, 3)` uint8.

    Returns:
        `(n,)` records of the type `hash_type`: `digest` and `mirrored`, SHA-256 of the pixels as they are and mirrored;
        `frequencies`, the 8×8 lowest DCT frequencies in each colour, without the mean, at unit length, float32; `colour`, the
        mean, 0..255.
    """
    count, height, width, _ = images.shape
    out = np.empty(count, hash_type(height, width))
    out["digest"], out["mirrored"] = _digests(images), _digests(images[:, :, ::-1])
    vertical, horizontal = (lowest_frequencies(side, FREQUENCIES) for side in (height, width))
    rows = images.reshape(count, height, width * 3).astype(np.float32)
    lines = (vertical @ rows).reshape(count, len(vertical), width, 3)
    low = horizontal @ lines  # an image's numbers do not depend on those beside it
    out["colour"] = low[:, 0, 0] / np.sqrt(height * width)
    low[:, 0, 0] = 0
    out["frequencies"] = low / np.maximum(np.sqrt(np.square(low).sum(axis=(1, 2, 3), keepdims=True)), 1e-6)
    return out


@lru_cache(maxsize=16)
def lowest_frequencies(side: int, most: int) -> np.ndarray:
    """Return what gives the lowest DCT frequencies of `side` numbers: `(min(side, most), side)` float32, orthonormal rows."""
    from scipy.fft import dct  # a third of a second that most commands can do without

    return np.ascontiguousarray(dct(np.eye(side), norm="ortho", axis=0)[:most], np.float32)


def _digests(images: np.ndarray) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).hexdigest().encode() for image in images]
