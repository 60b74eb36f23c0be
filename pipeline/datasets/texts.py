"""Arrays of text: a million texts are one array, not a million objects."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

TEXT = np.dtypes.StringDType()
_BLOCK = 1 << 16  # texts that are Python objects at a time
Item = TypeVar("Item")


def text_array(values: Iterable[str]) -> np.ndarray:
    """Return texts as a `(n,)` array of variable width."""
    arrays = [np.array(block, TEXT) for block in batches(values, _BLOCK)]
    return np.concatenate(arrays) if arrays else np.empty(0, TEXT)


def without_blanks(texts: np.ndarray) -> np.ndarray:
    """Return `(n,)` texts as they are, or, where all are empty, as an array that takes no memory."""
    return texts if (texts != "").any() else np.broadcast_to(np.array("", TEXT), len(texts))


def concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the texts of several arrays in one; where all are empty, it takes no memory."""
    if all(part.strides == (0,) for part in parts):
        return np.broadcast_to(np.array("", TEXT), sum(map(len, parts)))
    return np.concatenate(parts)


def factorized(texts: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the different texts, sorted, and for each of `(n,)` texts its index in them.

    NumPy's unstable sort, which `np.sort` and `np.unique` take, ends the process (2.4.6) on texts such as those of a thousand
    patients, twice in the same order. With `return_index` they are sorted stably.
    """
    names, _, codes = np.unique(texts, return_index=True, return_inverse=True)
    return tuple(names.tolist()), codes


def utf8(texts: np.ndarray) -> np.ndarray:
    """Return `(n,)` texts as UTF-8 of fixed width, which NumPy's files can hold."""
    encoded: np.ndarray = np.strings.encode(texts, "utf-8") if len(texts) else np.empty(0, "S1")
    return encoded


def from_utf8(encoded: np.ndarray) -> np.ndarray:
    """Return `(n,)` bytes as the texts they are in UTF-8; NumPy would take any and fail when one is read.

    Raises:
        UnicodeDecodeError: they are not UTF-8.
        TypeError: they are no bytes.
    """
    if encoded.dtype.kind != "S":
        raise TypeError(f"texts of the type {encoded.dtype}")
    for start in range(0, len(encoded), _BLOCK):
        b"\0".join(encoded[start : start + _BLOCK].tolist()).decode("utf-8")
    return encoded.astype(TEXT)


def joined(texts: np.ndarray) -> Iterator[bytes]:
    """Give `(n,)` texts joined by zeros, in UTF-8, block by block."""
    for start in range(0, len(texts), _BLOCK):
        block = "\0".join(texts[start : start + _BLOCK].tolist())
        yield (("\0" if start else "") + block).encode()


def batches(values: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Give values in lists of at most `size`, in their order."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
